package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
)

// Peers say who talked to whom, for long after the samples: for each hour and each day a row for each program, service and
// address of the other end. They are a roll-up of three tables: of sockets, by the growth of each from the first sample of
// an hour to its last, and of closes and close_counts, by what the kernel told at the end.
//
// An hour is summed up when it is over, in pieces: the samples of one run of the recorder. Where samples of an hour must be
// forgotten before it is over, they are a piece. A piece is worked out in steps, in temporary tables, and comes into the
// file at once, with the number of its last sample. One that a crash has interrupted is begun again.

// PeerID is what peers are told apart by.
type PeerID struct {
	RemoteAddr string `col:"remote_addr" doc:"Address of the other end; of the least of many, beyond two thousand in a period, its network (203.0.113.0/24, 2001:db8::/64), or NULL."`
	Port       Int    `col:"port" doc:"Port of the service: where direction is in, the local one; where it is out, the other end's; else the lower of both."`
	Direction  string `col:"direction" doc:"in: something listened on the local port in that time; out: nothing did, and the local port is one that the kernel gives out (ip_local_port_range) or the higher one; NULL: neither."`
	Proto      string `col:"proto" doc:"tcp or udp; of udp only connected sockets have a peer."`
	Family     Int    `col:"family" doc:"4 for IPv4, 6 for IPv6."`
	Comm       string `col:"comm" doc:"Name of the program, as in sockets and closed_sockets; NULL where no process is known."`
	Exe        string `col:"exe" doc:"Path of its executable."`
	User       string `col:"user" doc:"Name of the user whom the process runs as; where none is known, of the user who made the socket."`
	NetNS      Int    `col:"netns" doc:"Inode number of the network namespace."`
}

// Peer is what is kept of one in a period.
type Peer struct {
	Carried       Int `col:"carried,value"` // connections that were there when the period began
	Found         Int `col:"found,value"`   // those that were there when the recorder looked first: nobody saw them being opened
	Opened        Int `col:"opened,value"`
	Failed        Int `col:"failed,value"`
	BytesSent     Int `col:"bytes_sent,value"`
	BytesReceived Int `col:"bytes_received,value"`
	Retransmits   Int `col:"retransmits,value"`
	First         Int `col:"first_ms,value"` // since the begin of the period
	Last          Int `col:"last_ms,value"`
}

// rollUpPeers declares them; tables.go is the list of roll-ups.
func rollUpPeers() *Rollup {
	r := &Rollup{Name: "peers", Subject: "peer", kind: contact, levels: Levels()[1:],
		Doc: "Who talked to whom: what each program had to do with each address and service",
		by:  columnsOf(reflect.TypeFor[PeerID](), "peers"), values: columnsOf(reflect.TypeFor[Peer](), "peers"), index: "remote_addr, port"}
	rollups = append(rollups, r)
	return r
}

// peersView shows them. It is driven by the periods where ts is asked for, and by the peers where the address is: the
// number of a row is said in two ways, so that SQLite may take either. Other columns must not drive it: a program may have
// had more peers than there are rows.
func (r *Rollup) peersView(l Level) View {
	number := func(name, unit, doc string) Column { return Column{Name: name, Unit: unit, Doc: doc, Role: Value} }
	moment := func(name, doc string) Column {
		return Column{Name: name, Unit: "unix s", Doc: doc, Role: Value, kind: kindTime}
	}
	v := View{
		Name: r.Name + "_" + l.Name, Doc: fmt.Sprintf("%s, in each %s: for years after the samples. The %s under way is not in it yet.", r.Doc, l.Noun, l.Noun), Rollup: r,
		Columns: slices.Concat([]Column{
			{Name: "ts", Unit: "unix s", kind: kindTime, Doc: "Begin of the period; days begin at midnight UTC."},
			number("watched_s", "s", "How much of it was watched."),
		}, r.by, []Column{
			number("connections", "", "Connections that were there at some time of the period: those opened in it, before it, and when nobody looked."),
			number("opened", "", "Of these, those that were opened in it."),
			number("failed", "", "Of these, TCP connections that never came about: refused, or without an answer. Those that only closed_counts has, since format 8."),
			number("bytes_sent", "bytes", "Payload that was sent in it, retransmits included; NULL where it is not known, as of udp."),
			number("bytes_received", "bytes", "Payload that was received in it, and one byte more for some FINs; see closed_sockets."),
			number("retransmits", "segments", "Segments that were sent again in it."),
			moment("first", "When the first of these connections was there, within the period, as far as is known."),
			moment("last", "When the last of them was."),
		}),
	}
	var by strings.Builder
	by.WriteString("remote_addr")
	for _, c := range r.by[1:] {
		fmt.Fprintf(&by, ", +%[1]s AS %[1]s", c.Name)
	}
	v.Body = fmt.Sprintf(`SELECT m.ts, m.watched_ms / 1000.0 AS watched_s, %s,
       carried + found + opened AS connections, opened, failed, bytes_sent, bytes_received, retransmits,
       m.ts + first_ms / 1000.0 AS first, m.ts + last_ms / 1000.0 AS last
  FROM %s m JOIN %s p ON p.id BETWEEN m.id << 32 AND (m.id << 32) + 4294967295
  JOIN %s g ON g.id = p.id & 4294967295 AND p.id = (m.id << 32) + g.id`, by.String(), l.periods(), r.rows(l), r.group())
	return v
}

// peering is how far the peers are summed up.
type peering struct {
	read   bool
	upto   int64   // the last sample that is
	day    int64   // the first day that is not
	stages []stage // of the piece that is being worked out
}

const (
	peersAtOnce = 1000 // closes or sockets that a step looks at
	peersMost   = 2000
	peersStep   = 5 * time.Millisecond // small pieces are done at once
	peersCrowd  = 8000                 // addresses in a piece of which each is looked at by itself
)

// peers is how many have their own address in a period: in a small recording fewer.
func (l Limits) peers() int {
	if l.MaxSize == 0 {
		return peersMost
	}
	return int(min(peersMost, l.MaxSize>>15))
}

// peersDue takes one step of what is due.
func (k *retention) peersDue(ctx context.Context) (bool, error) { return k.sumUpPeers(ctx, false) }

// sumUpPeers takes one step of the piece under way, or of the next; the hour under way is only due when it says now.
func (k *retention) sumUpPeers(ctx context.Context, now bool) (did bool, err error) {
	done := &k.peers
	defer func() {
		if err != nil {
			done.stages = nil // begun again
			err = fmt.Errorf("sum up peers: %w", err)
		}
	}()
	if !done.read {
		if err := k.readPeersMark(ctx); err != nil {
			return false, err
		}
		done.read = true
	}
	for began := time.Now(); len(done.stages) > 0; {
		did, err := done.stages[0](ctx)
		if err != nil || did && time.Since(began) > peersStep {
			return did, err
		}
		if !did {
			if done.stages = done.stages[1:]; len(done.stages) == 0 {
				return true, nil
			}
		}
	}
	p, err := k.nextPeers(ctx, now)
	if err != nil {
		return false, err
	}
	if p != nil {
		done.stages = p.stages()
		return true, nil
	}
	return k.peersOfDay(ctx)
}

// readPeersMark finds how far an earlier run has summed up. Where that is lost, as in a recording that was damaged and
// recovered, all is that is of the periods there are: nothing is counted twice.
func (k *retention) readPeersMark(ctx context.Context) error {
	done := &k.peers
	const lost = `NOT EXISTS (SELECT 1 FROM peer_upto WHERE sample BETWEEN 0 AND (SELECT max(id) FROM sample) AND day <= (SELECT max(ts) FROM sample) / 86400 + 1
		AND (sample > 0 OR NOT EXISTS (SELECT 1 FROM peer_1h)))`
	if _, err := k.file.conn.ExecContext(ctx, `REPLACE INTO peer_upto SELECT 1, coalesce((SELECT max(id) FROM sample WHERE ts < ((SELECT max(id) FROM peer_1h) >> 32) * 3600.0 + 3600), 0),
		coalesce(((SELECT max(id) FROM peer_1d) >> 32) + 1, 0) WHERE `+lost); err != nil {
		return err
	}
	return k.file.conn.QueryRowContext(ctx, "SELECT sample, day FROM peer_upto").Scan(&done.upto, &done.day)
}

// peersOfDay sums up the next day that is over, from its hours.
func (k *retention) peersOfDay(ctx context.Context) (bool, error) {
	r, hour, day := rollupNamed("peers"), Levels()[1], Levels()[2]
	done := &k.peers
	ratio := day.Seconds / hour.Seconds
	var next sql.NullInt64
	err := k.file.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT (SELECT id >> 32 FROM %s WHERE id >= ? ORDER BY id LIMIT 1) / %d", r.rows(hour), ratio), (done.day*ratio)<<32).Scan(&next)
	if err != nil || !next.Valid {
		return false, err
	}
	var ts float64 // of the last sample that is summed up
	if err := k.file.conn.QueryRowContext(ctx, "SELECT coalesce((SELECT ts FROM sample WHERE id > ? ORDER BY id LIMIT 1), 0)", done.upto).Scan(&ts); err != nil {
		return false, err
	}
	if ts < day.begin(next.Int64+1) {
		return false, nil // its last hour is not yet
	}
	p := &peerPiece{retention: k}
	err = p.run(ctx, dropPeers(), peerRows(), fmt.Sprintf(`INSERT INTO temp.peer_row (%[1]s, carried, found, opened, failed, bytes_sent, bytes_received, retransmits, first_ms, last_ms)
		SELECT %[1]s, carried, found, opened, failed, bytes_sent, bytes_received, retransmits, first_ms, last_ms FROM (
		  SELECT g, total(iif(begins, carried, 0)) AS carried, sum(found) AS found, sum(opened) AS opened, sum(failed) AS failed, sum(bytes_sent) AS bytes_sent,
		         sum(bytes_received) AS bytes_received, sum(retransmits) AS retransmits, min(first_ms + ms) AS first_ms, max(last_ms + ms) AS last_ms
		    FROM (SELECT *, id & 4294967295 AS g, ((id >> 32) - %[4]d) * %[5]d AS ms, row_number() OVER (PARTITION BY id & 4294967295 ORDER BY id) = 1 AS begins
		            FROM %[2]s WHERE id BETWEEN %[4]d << 32 AND (%[6]d << 32) - 1) GROUP BY g) y CROSS JOIN %[3]s g ON g.id = y.g`,
		columnNames(r.by), r.rows(hour), r.group(), next.Int64*ratio, hour.Seconds*1000, (next.Int64+1)*ratio))
	if err == nil {
		err = k.limitPeers(ctx)
	}
	if err != nil {
		return false, err
	}
	return true, k.enterPeers(ctx, day, next.Int64, "day", next.Int64+1)
}

// dropPeers gives up what a piece or a day was worked out in.
func dropPeers() string {
	var b strings.Builder
	for _, name := range []string{"seen", "listen", "closed", "range", "step", "sum", "addr", "process", "row", "grouped"} {
		b.WriteString("DROP TABLE IF EXISTS temp.peer_" + name + "; ")
	}
	return b.String() + "DROP TABLE IF EXISTS temp." + rollupNamed("peers").rolled()
}

// peerRows makes the table in which the rows of a period are worked out.
func peerRows() string {
	r := rollupNamed("peers")
	return "DROP TABLE IF EXISTS temp.peer_row; CREATE TEMP TABLE peer_row (" + columnNames(r.by) + ", " + strings.Join(r.stored(), ", ") + ")"
}

// groupedPeers are the rows of peer_row, one for each peer.
func groupedPeers() string {
	by := columnNames(rollupNamed("peers").by)
	return "SELECT " + by + `, sum(carried) AS carried, sum(found) AS found, sum(opened) AS opened, sum(failed) AS failed, sum(bytes_sent) AS bytes_sent,
		sum(bytes_received) AS bytes_received, sum(retransmits) AS retransmits, min(first_ms) AS first_ms, max(last_ms) AS last_ms FROM temp.peer_row GROUP BY ` + by
}

// enterPeers makes the rows of a period those of peer_row, and notes how far that is.
func (k *retention) enterPeers(ctx context.Context, l Level, period int64, mark string, upto int64) error {
	r := rollupNamed("peers")
	done := &k.peers
	statements := []string{fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT NULL AS g, * FROM (%s)", r.rolled(), groupedPeers())}
	statements = append(statements, r.findGroups()...)
	statements = append(statements,
		fmt.Sprintf("DELETE FROM %s WHERE id BETWEEN %[2]d << 32 AND (%[2]d << 32) + 4294967295", r.rows(l), period),
		fmt.Sprintf("INSERT INTO %s SELECT %d << 32 | g, 1, %s FROM temp.%s ORDER BY g", r.rows(l), period, strings.Join(r.stored(), ", "), r.rolled()),
		fmt.Sprintf("UPDATE %s SET %s = %d WHERE id IN (SELECT g FROM temp.%s)", r.group(), l.lastRow(), period, r.rolled()),
		fmt.Sprintf("UPDATE peer_upto SET %s = %d", mark, upto))
	err := k.file.transaction(ctx, func() error {
		for _, text := range statements {
			if _, err := k.file.conn.ExecContext(ctx, text); err != nil {
				return fmt.Errorf("%w in %s", err, text)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if mark == "day" {
		done.day = upto
	} else {
		done.upto = upto
	}
	_, err = k.file.conn.ExecContext(ctx, dropPeers())
	return err
}

// limitPeers puts networks in the place of addresses where there are too many, and no address at all where there are too
// many networks. Who is known from before and who moved most keeps his own.
func (k *retention) limitPeers(ctx context.Context) error {
	most := k.limits.peers()
	var n int
	if err := k.file.conn.QueryRowContext(ctx, "SELECT count(*) FROM temp.peer_row").Scan(&n); err != nil || n <= most {
		return err
	}
	beyond := func(condition string) string {
		return fmt.Sprintf(`(SELECT remote_addr FROM (SELECT remote_addr, sum(n) OVER (ORDER BY known DESC, moved DESC, remote_addr) AS upto FROM (
			SELECT remote_addr, count(*) AS n, total(bytes_sent) + total(bytes_received) AS moved, EXISTS (SELECT 1 FROM peer_group g WHERE g.remote_addr = q.remote_addr) AS known
			  FROM temp.peer_row q WHERE remote_addr %s GROUP BY remote_addr)) WHERE upto > %d)`, condition, most)
	}
	grouped := "CREATE TEMP TABLE peer_grouped AS " + groupedPeers() + "; DROP TABLE temp.peer_row; ALTER TABLE temp.peer_grouped RENAME TO peer_row"
	for _, text := range []string{
		grouped,
		"UPDATE temp.peer_row SET remote_addr = netsql_network(remote_addr) WHERE remote_addr IN " + beyond("NOT LIKE '%/%'"),
		grouped,
		"UPDATE temp.peer_row SET remote_addr = NULL WHERE remote_addr IN " + beyond("LIKE '%/%'"),
	} {
		if _, err := k.file.conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%w in %s", err, text)
		}
	}
	return nil
}

// networkOf is the network that an address is taken for: /24 or /64. What is one already stays.
func networkOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	bits := 64
	if a = a.Unmap(); a.Is4() {
		bits = 24
	}
	network, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return address
	}
	return network.String()
}

// registerNetwork makes networkOf known to SQL, on connections that are opened later: for the Writer, no view needs it.
var registerNetwork = sync.OnceFunc(func() {
	sqlite.MustRegisterDeterministicScalarFunction("netsql_network", 1, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		text, is := args[0].(string)
		if !is {
			return args[0], nil
		}
		return networkOf(text), nil
	})
})
