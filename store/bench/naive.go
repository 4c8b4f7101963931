package bench

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"time"
)

// naive is the recording that one would write first: a row of text for each socket and sample.
type naive struct {
	db   *sql.DB
	path string
}

func newNaive(ctx context.Context, path string) (*naive, error) {
	address := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	db, err := sql.Open("sqlite", address+"?mode=rwc&_pragma=journal_mode(wal)&_pragma=synchronous(normal)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, `CREATE TABLE sockets (ts REAL, proto TEXT, state TEXT, local_addr TEXT, local_port INTEGER, remote_addr TEXT,
		remote_port INTEGER, user TEXT, pid INTEGER, comm TEXT, inode INTEGER, recv_q INTEGER, send_q INTEGER, bytes_sent INTEGER,
		bytes_received INTEGER, segs_out INTEGER, segs_in INTEGER, rtt INTEGER, rttvar INTEGER, cwnd INTEGER);
		CREATE INDEX sockets_ts ON sockets (ts)`); err != nil {
		db.Close()
		return nil, err
	}
	return &naive{db, path}, nil
}

func (n *naive) close() error { return n.db.Close() }

// sample writes what the workload holds now and returns how long that took.
func (n *naive) sample(ctx context.Context, l *Workload, ts float64) (time.Duration, error) {
	start := time.Now()
	tx, err := n.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() // of nothing, once it is committed
	insert, err := tx.PrepareContext(ctx, "INSERT INTO sockets VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	for i, id := range l.ids {
		v := l.vals[i]
		if _, err := insert.Exec(ts, id.Proto, v.State, id.LocalAddr, id.LocalPort.Or(0), id.RemoteAddr, id.RemotePort.Or(0), v.User, 100+i%10, "nginx",
			id.Inode.Or(0), v.RecvQ.Or(0), v.SendQ.Or(0), v.BytesSent.Or(0), v.BytesReceived.Or(0), v.SegsOut.Or(0), v.SegsIn.Or(0),
			v.RTT.Or(0), v.RTTVar.Or(0), v.Cwnd.Or(0)); err != nil {
			return 0, err
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}
