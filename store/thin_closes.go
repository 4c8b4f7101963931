package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
)

// Closes of sockets that no sample saw are thinned as samples are: those of one minute that had in common what is left of
// them (the process, the service and both addresses) become one row of close_count. A close of a socket that a sample saw
// stays: it is the end of a row that is there anyhow.

// thinnedCloses is what gaps says of a time in which they are not kept one by one.
const thinnedCloses = "closes of one process, service and peer are one row for each minute in closed_counts, for want of room (--max-size)"

// closesAtOnce is how many one step reads.
const closesAtOnce = 2000

// thinCloses sums up the oldest closes, of a minute at most, if they are older than that time.
func (k *retention) thinCloses(ctx context.Context, old float64) (bool, error) {
	thinned := &k.thinning
	if !thinned.closesRead {
		err := k.file.conn.QueryRowContext(ctx, "SELECT coalesce(max(until), 0) FROM gap WHERE kind = ? AND detail = ?", gapThinned, thinnedCloses).Scan(&thinned.closes)
		if err != nil {
			return false, err
		}
		thinned.closesRead = true
	}
	old = math.Floor(old/60) * 60
	var from float64
	err := k.file.conn.QueryRowContext(ctx, "SELECT ts FROM close WHERE ts >= ? AND ts < ? AND socket IS NULL ORDER BY ts LIMIT 1", thinned.closes, old).Scan(&from)
	if errors.Is(err, sql.ErrNoRows) {
		thinned.closes = max(thinned.closes, old)
		return false, nil
	} else if err != nil {
		return false, err
	}
	until := math.Floor(from/60)*60 + 60
	err = k.file.conn.QueryRowContext(ctx, "SELECT coalesce((SELECT ts FROM close WHERE ts > ?1 AND ts < ?2 AND socket IS NULL ORDER BY ts LIMIT 1 OFFSET ?3), ?2)", from, until, closesAtOnce).Scan(&until)
	if err != nil {
		return false, err
	}
	err = k.file.transaction(ctx, func() error { return k.sumUpCloses(ctx, from, until) })
	if err != nil {
		return false, fmt.Errorf("sum up closes: %w", err)
	}
	thinned.closes = until
	return true, nil
}

// sumUpCloses puts rows of close_count in the place of the closes from one time until another.
func (k *retention) sumUpCloses(ctx context.Context, from, until float64) error {
	for _, s := range []struct {
		text string
		args []any
	}{
		{"CREATE TEMP TABLE IF NOT EXISTS thin_close AS SELECT * FROM close_count LIMIT 0", nil},
		{"DELETE FROM thin_close", nil},
		// The service is the end that more of them have; where none has it twice, both ports stay.
		{`INSERT INTO temp.thin_close (ts, sample, netns, proto, family, local_addr, local_port, remote_addr, remote_port, process, owner_how, owner_candidates,
		       first, count, unknown, bytes_sent, bytes_received, segs_out, segs_in, retransmits, rtt_us, least_rtt_us, median_rtt_us, max_rtt_us, failed)
		SELECT max(ts), max(sample), netns, proto, family, local_addr, port, remote_addr, service, process, owner_how, owner_candidates,
		       min(ts), count(*), CASE proto WHEN 'tcp' THEN CAST(total(incomplete) AS INTEGER) END, sum(bytes_sent), sum(bytes_received), sum(segs_out), sum(segs_in),
		       sum(retransmits), CAST(avg(rtt_us) AS INTEGER), min(rtt_us), max(iif(nth = rtts / 2 + 1, rtt_us, NULL)), max(rtt_us), CAST(total(` + neverOpened + `) AS INTEGER)
		  FROM (SELECT *, row_number() OVER (g ORDER BY rtt_us DESC) AS nth, count(rtt_us) OVER g AS rtts
		          FROM (SELECT *, iif(there > here, NULL, local_port) AS port, iif(here > 1 AND here >= there, NULL, remote_port) AS service
		                  FROM (SELECT *, count(*) OVER (PARTITION BY netns, proto, family, local_addr, local_port) AS here,
		                               count(*) OVER (PARTITION BY netns, proto, family, remote_addr, remote_port) AS there
		                          FROM ` + Closes.whole() + ` WHERE ts >= ? AND ts < ? AND socket IS NULL))
		        WINDOW g AS (PARTITION BY netns, proto, family, local_addr, port, remote_addr, service, process, owner_how, owner_candidates))
		 GROUP BY netns, proto, family, local_addr, port, remote_addr, service, process, owner_how, owner_candidates ORDER BY 1`, []any{from, until}},
		{"DELETE FROM close WHERE ts >= ? AND ts < ? AND socket IS NULL", []any{from, until}},
	} {
		if _, err := k.file.conn.ExecContext(ctx, s.text, s.args...); err != nil {
			return fmt.Errorf("%w in %s", err, s.text)
		}
	}
	// Two of the same microsecond become neighbours.
	for {
		r, err := k.file.conn.ExecContext(ctx, `UPDATE temp.thin_close AS t SET ts = ts + 1e-6
			WHERE EXISTS (SELECT 1 FROM close_count c WHERE c.ts = t.ts AND c.sample = t.sample)
			   OR EXISTS (SELECT 1 FROM temp.thin_close c WHERE c.ts = t.ts AND c.sample = t.sample AND c.rowid < t.rowid)`)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			break
		}
	}
	if _, err := k.file.conn.ExecContext(ctx, "INSERT INTO close_count SELECT * FROM temp.thin_close"); err != nil {
		return err
	}
	return k.noteThinned(ctx, "closed_sockets", thinnedCloses, from, until)
}

// forgetThinned says no more of times that are forgotten that they were thinned.
func (k *retention) forgetThinned(ctx context.Context, oldest float64) error {
	if _, err := k.file.conn.ExecContext(ctx, "DELETE FROM gap WHERE kind = ? AND until <= ?", gapThinned, oldest); err != nil {
		return err
	}
	_, err := k.file.conn.ExecContext(ctx, "UPDATE gap SET since = ? WHERE kind = ? AND since < ?", oldest, gapThinned, oldest)
	return err
}

// noteThinned makes the gap of that detail last until then; it begins there if there is none yet.
func (k *retention) noteThinned(ctx context.Context, source, detail string, since, until float64) error {
	r, err := k.file.conn.ExecContext(ctx, "UPDATE gap SET until = ? WHERE kind = ? AND detail = ?", until, gapThinned, detail)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n > 0 {
		return err
	}
	id := k.gaps.newest + 1
	_, err = k.file.conn.ExecContext(ctx, "INSERT INTO gap (id, since, until, source, kind, detail) VALUES (?, ?, ?, ?, ?, ?)", id, since, until, source, gapThinned, detail)
	k.gaps.newest = id
	return err
}
