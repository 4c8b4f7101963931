package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// peerPiece are samples of one hour and one run whose peers are being worked out.
type peerPiece struct {
	retention   *retention
	hour        int64
	first, last int64
	since       float64 // the sample before the first, and
	until       float64 // the last
	begin       int64   // the sample whose sockets those of the last are compared to
	empty       bool    // nothing is to be summed up; or the piece was thinned before there were peers, and what is left of it does not tell
	found       bool    // nobody looked before the first: what is there then was opened at an unknown time
	goesOn      bool    // the hour has a piece already
}

// nextPeers finds the next piece that is due; nil: none.
func (k *retention) nextPeers(ctx context.Context, now bool) (*peerPiece, error) {
	l := Levels()[1]
	p := &peerPiece{retention: k}
	var ts float64
	var run int64
	err := k.file.conn.QueryRowContext(ctx, "SELECT id, ts, run FROM sample WHERE id > ? ORDER BY id LIMIT 1", k.peers.upto).Scan(&p.first, &ts, &run)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	p.hour = l.of(ts)
	over := l.begin(p.hour + 1)
	if !now && k.last.ts < over {
		return nil, nil
	}
	if err := k.file.conn.QueryRowContext(ctx, "SELECT max(id), max(ts) FROM sample WHERE ts >= ? AND ts < ? AND run = ?", ts, over, run).Scan(&p.last, &p.until); err != nil {
		return nil, err
	}
	var since sql.NullFloat64
	var before sql.NullInt64
	var whole, follows bool // no sample is thinned, and none is the one before
	err = k.file.conn.QueryRowContext(ctx, `SELECT b.ts, b.run, b.back IS NOT 0, NOT EXISTS (SELECT 1 FROM sample WHERE id BETWEEN ?1 AND ?2 AND back IS NOT NULL)
		FROM (SELECT 1) LEFT JOIN sample b ON b.id = ?1 - 1`, p.first, p.last).Scan(&since, &before, &follows, &whole)
	if err != nil {
		return nil, err
	}
	p.since = since.Float64
	var some bool
	err = k.file.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM socket_open) OR EXISTS (SELECT 1 FROM socket WHERE last_sample >= ?1)
		OR EXISTS (SELECT 1 FROM close WHERE ts BETWEEN ?2 AND ?3) OR EXISTS (SELECT 1 FROM close_count WHERE ts BETWEEN ?2 AND ?3)`, p.first, p.since, p.until+1).Scan(&some)
	if err != nil {
		return nil, err
	}
	p.empty = !whole || !some
	p.goesOn = since.Valid && l.of(since.Float64) == p.hour
	if p.begin = p.first - 1; !since.Valid || before.Int64 != run || !follows {
		p.begin, p.found = p.first, true
	}
	return p, nil
}

// socketsAt are the sockets that a sample saw.
func socketsAt(m int64) string {
	return fmt.Sprintf(`(SELECT id & 4294967295 AS socket, tuple, bytes_sent, bytes_received FROM socket_span
		WHERE id BETWEEN %[1]d << 32 AND ((%[1]d + %[2]d) << 32) - 1 AND (id >> 32) - length <= %[1]d
		UNION ALL SELECT subject, tuple, bytes_sent, bytes_received FROM socket_open WHERE from_sample <= %[1]d)`, m, Sockets.K)
}

// talk is the condition that a row of socket, as s, may talk to a peer or wait for one.
const talk = "s.local_port IS NOT NULL AND s.proto IN ('tcp', 'udp')"

// neverOpened is whether a row of close is of a TCP connection that never came about: nothing was ever acknowledged.
const neverOpened = "proto = 'tcp' AND incomplete IS NULL AND rtt_us IS NULL AND bytes_sent IS 0 AND bytes_received IS 0"

// stages are the steps of the piece.
func (p *peerPiece) stages() []stage {
	once := func(statements ...string) stage {
		done := false
		return func(ctx context.Context) (bool, error) {
			if done {
				return false, nil
			}
			done = true
			return true, p.run(ctx, statements...)
		}
	}
	if p.empty {
		return []stage{func(ctx context.Context) (bool, error) {
			if p.retention.peers.upto == p.last {
				return false, nil
			}
			err := p.run(ctx, fmt.Sprintf("UPDATE peer_upto SET sample = %d", p.last))
			p.retention.peers.upto = p.last
			return true, err
		}}
	}
	columns := strings.Join(rollupNamed("peers").stored(), ", ")
	stages := []stage{once(
		dropPeers(),
		// known: 0 it was opened in the piece, 1 it was there before, 2 it was there when the recorder looked first
		"CREATE TEMP TABLE peer_seen (socket INTEGER PRIMARY KEY, known INTEGER, there INTEGER, "+
			"was_sent INTEGER, was_received INTEGER, was_tuple INTEGER, sent INTEGER, received INTEGER, tuple INTEGER, last INTEGER)",
		"CREATE TEMP TABLE peer_listen (netns INTEGER, proto TEXT, local_port INTEGER, PRIMARY KEY (netns, proto, local_port))",
		"CREATE TEMP TABLE peer_closed (socket INTEGER PRIMARY KEY, ts REAL, process INTEGER, failed INTEGER, bytes_sent INTEGER, bytes_received INTEGER, retransmits INTEGER)",
		// Where it is not recorded, it is taken to be what Linux begins with.
		`CREATE TEMP TABLE peer_range AS SELECT s.netns, CAST(t.value AS INTEGER) AS low, CAST(substr(t.value, instr(t.value, ' ')) AS INTEGER) AS high
			FROM setting s JOIN setting_tuple t ON t.id = coalesce((SELECT tuple FROM setting_open WHERE subject = s.id), (SELECT tuple FROM setting_span WHERE id = s.last_sample << 32 | s.id))
			WHERE s.name = 'net.ipv4.ip_local_port_range' ORDER BY s.id DESC`,
		// NULL is '' and 0 in what tells them apart, so that equal ones are found.
		"CREATE TEMP TABLE peer_step ("+apart+", user, "+columns+")",
		"CREATE TEMP TABLE peer_sum ("+apart+", user, "+columns+", PRIMARY KEY ("+apart+")) WITHOUT ROWID",
		"CREATE TEMP TABLE peer_addr (remote_addr PRIMARY KEY) WITHOUT ROWID",
	)}
	stages = append(stages,
		once(fmt.Sprintf(`INSERT INTO temp.peer_seen SELECT p.socket, iif(%t AND s.first_sample >= %d, 2, 1), 0, p.bytes_sent, p.bytes_received, p.tuple, p.bytes_sent, p.bytes_received, p.tuple, NULL
				FROM %s p CROSS JOIN socket s ON s.id = p.socket WHERE %s`, p.found, p.first, socketsAt(p.begin), talk)),
		once(fmt.Sprintf(`INSERT INTO temp.peer_seen (socket, known, there, sent, received, tuple) SELECT p.socket, iif(s.first_sample >= %d, 0, 1), 1, p.bytes_sent, p.bytes_received, p.tuple
				FROM %s p CROSS JOIN socket s ON s.id = p.socket WHERE %s
				ON CONFLICT DO UPDATE SET there = 1, sent = excluded.sent, received = excluded.received, tuple = excluded.tuple`, p.first, socketsAt(p.last), talk)))
	stages = append(stages, p.between(), p.newcomers())
	stages = append(stages,
		p.logged("close", peerSums("count(*)", "CAST(total("+neverOpened+") AS INTEGER)", "total(incomplete) = count(*)", "min(ts - coalesce(lived_ms, 0) / 1000.0)", Closes.whole(), "socket IS NULL")),
		p.logged("close_count", peerSums("sum(count)", "coalesce(sum(failed), 0)", "total(unknown) = sum(count)", "min(first)", "close_count", "1")))
	return append(stages, p.sockets(), p.write())
}

// apart is what rows of peer_sum are told apart by.
const apart = "netns, process, proto, family, remote_addr, port, direction"

// add adds rows of peer_step to the sums.
func (p *peerPiece) add(ctx context.Context, rows string, args ...any) error {
	if err := p.run(ctx, "DELETE FROM temp.peer_step"); err != nil {
		return err
	}
	if _, err := p.retention.file.conn.ExecContext(ctx, "INSERT INTO temp.peer_step "+rows, args...); err != nil {
		return fmt.Errorf("%w in %s", err, rows)
	}
	crowd := func(n int) string {
		return fmt.Sprintf("(SELECT count(*) FROM temp.peer_addr) > %d AND remote_addr NOT IN (SELECT remote_addr FROM temp.peer_addr)", n)
	}
	return p.run(ctx,
		// Where there are far too many, new ones are not looked at one by one.
		"UPDATE temp.peer_step AS q SET remote_addr = netsql_network(remote_addr) WHERE "+crowd(peersCrowd)+" AND NOT EXISTS (SELECT 1 FROM peer_group g WHERE g.remote_addr = q.remote_addr)",
		"UPDATE temp.peer_step SET remote_addr = '' WHERE "+crowd(2*peersCrowd),
		"INSERT OR IGNORE INTO temp.peer_addr SELECT remote_addr FROM temp.peer_step",
		`INSERT INTO temp.peer_sum SELECT * FROM temp.peer_step WHERE 1 ON CONFLICT DO UPDATE SET user = coalesce(user, excluded.user),
			carried = carried + excluded.carried, found = found + excluded.found, opened = opened + excluded.opened, failed = failed + excluded.failed,
			bytes_sent = coalesce(bytes_sent + excluded.bytes_sent, bytes_sent, excluded.bytes_sent), bytes_received = coalesce(bytes_received + excluded.bytes_received, bytes_received, excluded.bytes_received),
			retransmits = coalesce(retransmits + excluded.retransmits, retransmits, excluded.retransmits), first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)`)
}

// brought is the condition that a row of a log is of the samples ?3 to ?4, and of a step, which goes from ts ?1 to before ?2.
const brought = "ts >= ?1 AND ts < ?2 AND sample BETWEEN ?3 AND ?4"

// closedOfSockets keeps what the kernel told of the end of sockets that a sample saw.
var closedOfSockets = "INSERT OR REPLACE INTO temp.peer_closed SELECT socket, ts, process, " + neverOpened + ", iif(sample > ?5, bytes_sent, NULL), iif(sample > ?5, bytes_received, NULL), iif(sample > ?5, retransmits, NULL) FROM (" +
	"SELECT c.sample, c.socket, c.ts, c.process, s.proto, incomplete, rtt_us, bytes_sent, bytes_received, retransmits FROM " + Closes.whole() + " c CROSS JOIN socket s ON s.id = c.socket WHERE " + brought + ")"

// peerDirection and peerService are those of a row with both ends.
const (
	peerDirection = "CASE WHEN EXISTS (SELECT 1 FROM temp.peer_listen l WHERE l.netns IS q.netns AND l.proto = q.proto AND l.local_port = q.local_port) OR owner_how = 'listener' THEN 'in' " +
		"WHEN remote_port < local_port OR local_port IS NULL AND remote_port IS NOT NULL OR local_port BETWEEN " +
		"coalesce((SELECT low FROM temp.peer_range g WHERE g.netns IS q.netns), 32768) AND coalesce((SELECT high FROM temp.peer_range g WHERE g.netns IS q.netns), 60999) THEN 'out' END"
	peerService = "CASE direction WHEN 'in' THEN local_port WHEN 'out' THEN remote_port ELSE coalesce(min(local_port, remote_port), local_port, remote_port) END"
)

// peerSums is the statement that sums up rows of a log that no sample saw. What the first sample of a run heard of may have
// moved its bytes before anybody looked.
func peerSums(count, failed, unknown, first, table, condition string) string {
	moved := func(c string) string { return fmt.Sprintf("iif(sample > ?5 AND NOT (%s), sum(%s), NULL)", unknown, c) }
	return fmt.Sprintf(`SELECT coalesce(netns, 0), coalesce(process, 0), coalesce(proto, ''), coalesce(family, 0), coalesce(remote_addr, ''), coalesce(port, 0), coalesce(direction, ''), NULL, 0, iif(sample > ?5, 0, %[1]s), iif(sample > ?5, %[1]s, 0), %[2]s, %[3]s, %[4]s, %[5]s, %[6]s, max(ts)
		  FROM (SELECT *, %[7]s AS port FROM (SELECT *, %[8]s AS direction FROM %[9]s q WHERE %[10]s AND %[11]s AND remote_port IS NOT 0))
		 GROUP BY netns, process, proto, family, remote_addr, port, direction, sample > ?5`,
		count, failed, moved("bytes_sent"), moved("bytes_received"), moved("retransmits"), first, peerService, peerDirection, table, brought, condition)
}

func (p *peerPiece) run(ctx context.Context, statements ...string) error {
	for _, text := range statements {
		if _, err := p.retention.file.conn.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%w in %s", err, text)
		}
	}
	return nil
}

// between enters the sockets that neither the first nor the last sample saw because a source failed then, though those
// between did.
func (p *peerPiece) between() stage {
	next := int64(0)
	return func(ctx context.Context) (bool, error) {
		if next == 0 {
			next = p.first
			var failed bool
			err := p.retention.file.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM gap WHERE source IS NOT NULL AND since <= ? AND coalesce(until, 1e12) >= ?)", p.until, p.since).Scan(&failed)
			if !failed {
				next = p.last + 1
			}
			return true, err
		}
		if next > p.last {
			return false, nil
		}
		const samples = 20
		upto := min(next+samples, p.last+1)
		err := p.run(ctx, fmt.Sprintf(`INSERT OR IGNORE INTO temp.peer_seen (socket, known, there) SELECT s.id, 1, 0
			FROM (SELECT DISTINCT id & 4294967295 AS socket FROM socket_span WHERE id BETWEEN %d << 32 AND (%d << 32) - 1) y CROSS JOIN socket s ON s.id = y.socket
			WHERE s.first_sample < %d AND %s`, next, upto, p.first, talk))
		next = upto
		return true, err
	}
}

// newcomers enters the sockets that were first seen in the piece, some of which have gone, and what listened.
func (p *peerPiece) newcomers() stage {
	next, end := int64(-1), int64(0)
	return func(ctx context.Context) (did bool, err error) {
		if next < 0 {
			if next, err = p.retention.firstBorn(ctx, Sockets.Table, 0, p.first); err == nil {
				end, err = p.retention.firstBorn(ctx, Sockets.Table, next, p.last+1)
			}
			return true, err
		}
		if next < end {
			upto := min(next+peersAtOnce, end)
			err := p.run(ctx, fmt.Sprintf("INSERT OR IGNORE INTO temp.peer_seen (socket, known, there) SELECT s.id, 0, 0 FROM socket s WHERE s.id >= %d AND s.id < %d AND %s", next, upto, talk))
			next = upto
			return true, err
		}
		if end == 0 {
			return false, nil
		}
		end = 0
		return true, p.run(ctx,
			// Nobody looked before into a namespace that is new.
			fmt.Sprintf(`UPDATE temp.peer_seen SET known = 2 WHERE known = 0 AND EXISTS (SELECT 1 FROM namespace WHERE first_sample BETWEEN %d AND %d)
				AND EXISTS (SELECT 1 FROM socket s JOIN namespace n ON n.netns IS s.netns AND n.first_sample = s.first_sample WHERE s.id = peer_seen.socket)`, p.first, p.last),
			`INSERT OR IGNORE INTO temp.peer_listen SELECT s.netns, s.proto, s.local_port FROM temp.peer_seen n CROSS JOIN socket s ON s.id = n.socket AND s.remote_port = 0 AND s.local_port > 0
				WHERE s.proto = 'udp' OR EXISTS (SELECT 1 FROM socket_tuple t WHERE t.id IN (n.tuple, n.was_tuple) AND t.state = 'LISTEN') OR n.tuple IS NULL AND `+
				fmt.Sprintf("(SELECT state FROM socket_tuple WHERE id = (%s)) = 'LISTEN'", p.nearest("tuple", "n.socket", "s.first_sample", p.last, "DESC")))
	}
}

// nearest is what the first or the last span of a socket says, of those that ended with a sample from that one to this.
func (p *peerPiece) nearest(columns, socket, from string, to int64, order string) string {
	return fmt.Sprintf(`SELECT %s FROM socket z CROSS JOIN sample e ON e.id BETWEEN %s AND min(coalesce(z.last_sample, %[4]d), %[4]d) CROSS JOIN socket_span y ON y.id = e.id << 32 | z.id
		WHERE z.id = %[3]s ORDER BY e.id %[5]s LIMIT 1`, columns, strings.Replace(from, "s.", "z.", 1), socket, to, order)
}

// logged sums up the rows of a log.
func (p *peerPiece) logged(table, sums string) stage {
	from := p.since
	// A row may stand some microseconds after its sample; see logWriter.
	end := p.until + 1
	return func(ctx context.Context) (bool, error) {
		if from >= end {
			return false, nil
		}
		var until float64
		err := p.retention.file.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT coalesce((SELECT ts FROM %s WHERE ts > ?1 AND ts < ?2 ORDER BY ts LIMIT 1 OFFSET ?3), ?2)", table), from, end, peersAtOnce).Scan(&until)
		if err != nil {
			return false, err
		}
		beforeAnybody := int64(0)
		if p.found {
			beforeAnybody = p.first
		}
		if table == "close" {
			if _, err := p.retention.file.conn.ExecContext(ctx, closedOfSockets, from, until, p.first, p.last, beforeAnybody); err != nil {
				return false, err
			}
		}
		if err := p.add(ctx, sums, from, until, p.first, p.last, beforeAnybody); err != nil {
			return false, err
		}
		from = until
		return true, nil
	}
}

// sockets sums up the sockets that samples saw.
func (p *peerPiece) sockets() stage {
	next, begun := int64(0), false
	return func(ctx context.Context) (bool, error) {
		if !begun {
			begun = true
			// What was told of only after the last sample that saw it.
			return true, p.run(ctx, "INSERT OR IGNORE INTO temp.peer_seen (socket, known, there) SELECT socket, 1, 0 FROM temp.peer_closed")
		}
		var upto sql.NullInt64
		err := p.retention.file.conn.QueryRowContext(ctx, "SELECT max(socket) FROM (SELECT socket FROM temp.peer_seen WHERE socket > ? ORDER BY socket LIMIT ?)", next, peersAtOnce).Scan(&upto)
		if err != nil || !upto.Valid {
			return false, err
		}
		these := fmt.Sprintf("socket > %d AND socket <= %d", next, upto.Int64)
		next = upto.Int64
		was := func(order string, known int, from string, to int64) string {
			return fmt.Sprintf("UPDATE temp.peer_seen SET (was_sent, was_received, was_tuple) = (%s) WHERE %s AND known = %d AND was_tuple IS NULL",
				p.nearest("y.bytes_sent, y.bytes_received, y.tuple", "socket", from, to, order), these, known)
		}
		carried := "n.known = 1"
		if p.goesOn {
			carried = "0" // the piece before has them
		}
		grown := func(end, closed, begin string) string {
			return fmt.Sprintf("max(0, max(coalesce(c.%[2]s, %[1]s), coalesce(%[1]s, c.%[2]s)) - iif(n.known = 0, 0, %[3]s))", end, closed, begin)
		}
		err = p.run(ctx,
			was("DESC", 1, "s.first_sample", p.first-1), was("ASC", 2, "s.first_sample", p.last),
			fmt.Sprintf(`UPDATE temp.peer_seen SET (sent, received, tuple, last) = (SELECT coalesce(a, sent), coalesce(b, received), coalesce(c, tuple), d
				FROM (SELECT 1) LEFT JOIN (%s)) WHERE %s AND there = 0`,
				p.nearest("y.bytes_sent AS a, y.bytes_received AS b, y.tuple AS c, e.id AS d", "socket", fmt.Sprint(max(p.begin, 1)), p.last, "DESC"), these),
		)
		if err != nil {
			return false, err
		}
		return true, p.add(ctx, fmt.Sprintf(`SELECT coalesce(netns, 0), coalesce(process, 0), coalesce(proto, ''), coalesce(family, 0), coalesce(remote_addr, ''), coalesce(%[1]s, 0), coalesce(direction, ''), user, carried, found, opened, failed, sent, received, again, first, last
				  FROM (SELECT *, %[2]s AS direction FROM (
				    SELECT s.netns, s.proto, s.family, s.local_port, s.remote_addr, s.remote_port, coalesce(t.owner_how, u.owner_how) AS owner_how, coalesce(c.process, t.process, u.process) AS process, coalesce(t.user, u.user) AS user,
				           %[3]s AS carried, n.known = 2 AS found, n.known = 0 AS opened, coalesce(c.failed, 0) AS failed, %[4]s AS sent, %[5]s AS received, %[6]s AS again,
				           coalesce(iif(n.known = 1, NULL, (SELECT ts FROM sample WHERE id = s.first_sample)), %[7]f) AS first,
				           coalesce(c.ts, (SELECT ts FROM sample WHERE id = n.last), %[8]f) AS last
				      FROM temp.peer_seen n CROSS JOIN socket s ON s.id = n.socket LEFT JOIN temp.peer_closed c ON c.socket = n.socket
				      LEFT JOIN socket_tuple t ON t.id = n.tuple LEFT JOIN socket_tuple u ON u.id = n.was_tuple
				     WHERE n.%[9]s AND s.remote_port > 0 AND (n.known <> 1 OR (n.there OR c.socket IS NOT NULL OR n.last >= %[10]d) AND (c.socket IS NOT NULL OR u.state IS NOT 'TIME_WAIT'))) q)`,
			peerService, peerDirection, carried, grown("n.sent", "bytes_sent", "n.was_sent"), grown("n.received", "bytes_received", "n.was_received"),
			grown("t.retransmits", "retransmits", "u.retransmits"), p.since, p.until, strings.Replace(these, "AND ", "AND n.", 1), p.first))
	}
}

// write enters the piece.
func (p *peerPiece) write() stage {
	steps := []func(context.Context) error{
		func(ctx context.Context) error {
			return p.run(ctx,
				`CREATE TEMP TABLE peer_process AS SELECT r.id, r.comm, r.exe, coalesce(
					(SELECT t.user FROM process_open o JOIN process_tuple t ON t.id = o.tuple WHERE o.subject = r.id),
					(SELECT t.user FROM process_span y JOIN process_tuple t ON t.id = y.tuple WHERE y.id = r.last_sample << 32 | r.id)) AS user
					FROM process r WHERE r.id IN (SELECT process FROM temp.peer_sum)`,
				"CREATE UNIQUE INDEX temp.peer_process_id ON peer_process (id)")
		},
		func(ctx context.Context) error {
			r, l := rollupNamed("peers"), Levels()[1]
			return p.run(ctx, peerRows(), fmt.Sprintf(`INSERT INTO temp.peer_row (%[1]s, %[6]s)
				SELECT nullif(q.remote_addr, ''), nullif(q.port, 0), nullif(q.direction, ''), nullif(q.proto, ''), nullif(q.family, 0), r.comm, r.exe, coalesce(r.user, q.user), nullif(q.netns, 0),
				       carried, found, opened, failed, bytes_sent, bytes_received, retransmits,
				       CAST(1000 * (max(first_ms, %[2]f) - %[2]f) AS INTEGER), CAST(1000 * (max(last_ms, %[2]f) - %[2]f) AS INTEGER)
				  FROM temp.peer_sum q LEFT JOIN temp.peer_process r ON r.id = q.process
				UNION ALL SELECT %[1]s, %[6]s FROM %[3]s y CROSS JOIN %[4]s g ON g.id = y.id & 4294967295 WHERE y.id BETWEEN %[5]d << 32 AND (%[5]d << 32) + 4294967295`,
				columnNames(r.by), l.begin(p.hour), r.rows(l), r.group(), p.hour, strings.Join(r.stored(), ", ")))
		},
		p.retention.limitPeers,
		func(ctx context.Context) error {
			return p.retention.enterPeers(ctx, Levels()[1], p.hour, "sample", p.last)
		},
	}
	return func(ctx context.Context) (bool, error) {
		if len(steps) == 0 {
			return false, nil
		}
		step := steps[0]
		steps = steps[1:]
		return true, step(ctx)
	}
}
