// Package bench measures what a recording takes and how fast it answers. It writes a workload of sockets with package
// store, and the same as a row of text for each socket and sample, and asks both the same questions.
package bench

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"netsql/store"
)

// Options say what Run writes and asks.
type Options struct {
	Dir      string        // for its files; they may be large
	Sockets  int           // of the workload
	Samples  int           // how many are written
	Interval time.Duration // between them, in the time of the recording
	Moments  int           // how many moments each question is asked about

	// Progress, if set, is told how many samples are written.
	Progress func(written int)
}

// A Result is what a recording of the workload takes, beside a row of text for each socket and sample.
type Result struct {
	Sockets     int           `json:"sockets"`
	Samples     int           `json:"samples"`
	Bytes       int64         `json:"bytes"`        // of the recording
	SocketBytes int64         `json:"socket_bytes"` // of those in the tables of sockets
	Tables      []TableBytes  `json:"tables"`
	Write       time.Duration `json:"write_ns"` // a sample, mean

	NaiveSamples int           `json:"naive_samples"` // as the naive recording has: it would be too large with all
	NaiveBytes   int64         `json:"naive_bytes"`
	NaiveWrite   time.Duration `json:"naive_write_ns"`

	Asked []Asked `json:"asked"`
}

// TableBytes is what a table or an index takes of the file.
type TableBytes struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Asked is how long the answers to one question took: of each moment the best of three rounds, so that what else the
// machine does is left out; then the median and the worst of the moments.
type Asked struct {
	Question    string        `json:"question"`
	Median      time.Duration `json:"median_ns"`
	Worst       time.Duration `json:"worst_ns"`
	Rows        int           `json:"rows"`                  // of the last answer
	NaiveMedian time.Duration `json:"naive_median_ns"`       // 0: it was not asked
	NaiveRows   int           `json:"naive_rows,omitempty"`  // rows that the naive recording holds
	NaivePart   float64       `json:"naive_part,omitempty"`  // part of the samples that it has, where not all
	Recorded    time.Duration `json:"recorded_ns,omitempty"` // time that the answer looks at; 0: a moment
}

// Run writes the workload of the design, with several hundred groups of sockets that are counted and a run of the recorder
// for every seventh of the time, and asks about random moments of it.
func Run(ctx context.Context, o Options) (*Result, error) {
	const groups = 300
	path := filepath.Join(o.Dir, "workload.db")
	l, err := NewWorkload(ctx, path, o.Sockets, groups, o.Interval)
	if err != nil {
		return nil, err
	}
	plain, err := newNaive(ctx, filepath.Join(o.Dir, "naive.db"))
	if err != nil {
		l.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	defer plain.close()
	r := &Result{Sockets: o.Sockets, Samples: o.Samples}
	moments, err := r.write(ctx, o, l, plain)
	if cerr := l.Close(context.WithoutCancel(ctx)); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	if _, err := plain.db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return nil, err
	}
	if r.Bytes, err = fileSize(path); err != nil {
		return nil, err
	}
	if r.NaiveBytes, err = fileSize(plain.path); err != nil {
		return nil, err
	}
	if err := r.weigh(ctx, path); err != nil {
		return nil, err
	}
	return r, r.ask(ctx, o, l, path, plain, moments)
}

func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// write writes the samples, some of them into the naive recording as well: about a thousand, and all of the last hour. It
// returns the times of those.
func (r *Result) write(ctx context.Context, o Options, l *Workload, plain *naive) ([]float64, error) {
	every := max(1, o.Samples/1000)
	hour := int(time.Hour / o.Interval)
	var moments []float64
	for i := range o.Samples {
		if i > 0 && i%max(1, (o.Samples+6)/7) == 0 { // the recorder is started again
			if err := l.Close(ctx); err != nil {
				return nil, err
			}
			if err := l.Open(ctx); err != nil {
				return nil, err
			}
		}
		took, err := l.Sample(ctx)
		if err != nil {
			return nil, err
		}
		r.Write += took
		if took, err = l.SumUp(ctx); err != nil {
			return nil, err
		}
		r.Write += took
		if i%every == 0 || i >= o.Samples-hour-1 {
			ts := l.TS(i)
			took, err := plain.sample(ctx, l, ts)
			if err != nil {
				return nil, err
			}
			r.NaiveWrite += took
			r.NaiveSamples++
			if i%every == 0 {
				moments = append(moments, ts)
			}
		}
		if o.Progress != nil && i%500 == 0 {
			o.Progress(i)
		}
	}
	r.Write /= time.Duration(o.Samples)
	r.NaiveWrite /= time.Duration(r.NaiveSamples)
	return moments, nil
}

// weigh finds out what each table takes.
func (r *Result) weigh(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", store.DSN(path))
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE ORDER BY pgsize DESC")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var t TableBytes
		if err := rows.Scan(&t.Name, &t.Bytes); err != nil {
			return err
		}
		switch t.Name {
		case "socket", "socket_span", "socket_open", "socket_tuple", "socket_last":
			r.SocketBytes += t.Bytes
		}
		r.Tables = append(r.Tables, t)
	}
	return rows.Err()
}

// A question is asked of the recording and, where it makes sense, of the naive one.
type question struct {
	name       string
	sql, naive string
	args       func(ts float64) (args, naive []any)
	rows       int // as there must be at least
	looks      time.Duration
	part       float64
}

func (r *Result) ask(ctx context.Context, o Options, l *Workload, path string, plain *naive, moments []float64) error {
	db, err := openToAsk(ctx, path, "SELECT min(ts) AS since, max(ts) AS until FROM main.sample")
	if err != nil {
		return err
	}
	defer db.Close()
	random := rand.New(rand.NewPCG(3, 4))
	picked := make([]float64, o.Moments)
	for i := range picked {
		picked[i] = moments[random.IntN(len(moments))]
	}
	moment := func(ts float64) ([]any, []any) { return []any{ts + 1}, []any{ts} }
	port := func(ts float64) ([]any, []any) {
		port := workloadPort + random.IntN(min(workloadListeners, o.Sockets/2))
		return []any{ts + 1, port}, []any{ts, port}
	}
	first, last := l.TS(0), l.TS(o.Samples-1)
	window := func(since float64) func(float64) ([]any, []any) {
		return func(float64) ([]any, []any) { return nil, []any{since, last} }
	}
	whole := time.Duration(o.Samples-1) * o.Interval
	const naiveLeaks = `SELECT pid, state, min(n), max(n) FROM (SELECT pid, state, ts, count(*) AS n FROM sockets WHERE ts BETWEEN ? AND ? GROUP BY pid, state, ts) GROUP BY pid, state`
	const at = "ts = (SELECT max(ts) FROM samples WHERE ts <= ?)"
	questions := []question{
		{name: "all sockets at T", sql: "SELECT * FROM sockets WHERE " + at, naive: "SELECT * FROM sockets WHERE ts = ?", args: moment, rows: o.Sockets},
		{name: "who held a port at T", sql: "SELECT pid, comm FROM sockets WHERE " + at + " AND local_port = ?",
			naive: "SELECT pid, comm FROM sockets WHERE ts = ? AND local_port = ?", args: port, rows: 1},
		{name: "leaks, last hour", sql: "SELECT * FROM main.leaks", naive: naiveLeaks, args: window(last - 3600), looks: min(whole, time.Hour)},
		{name: "leaks, everything", sql: "SELECT * FROM temp.leaks", naive: naiveLeaks, args: window(first), looks: whole, part: float64(r.NaiveSamples) / float64(o.Samples)},
	}
	for _, q := range questions {
		when := picked
		if q.looks > 0 {
			when = picked[:min(3, len(picked))]
		}
		asked := Asked{Question: q.name, Recorded: q.looks, NaivePart: q.part}
		var got, naive [][]time.Duration
		for range 3 {
			var times, naiveTimes []time.Duration
			for _, ts := range when {
				args, naiveArgs := q.args(ts)
				took, rows, err := askAll(ctx, db, q.sql, args...)
				if err != nil {
					return err
				}
				if rows < q.rows {
					return fmt.Errorf("%s: %d rows, not %d", q.sql, rows, q.rows)
				}
				asked.Rows = rows
				times = append(times, took)
				took, asked.NaiveRows, err = askAll(ctx, plain.db, q.naive, naiveArgs...)
				if err != nil {
					return err
				}
				naiveTimes = append(naiveTimes, took)
			}
			got, naive = append(got, times), append(naive, naiveTimes)
		}
		asked.Median, asked.Worst = bestOf(got)
		asked.NaiveMedian, _ = bestOf(naive)
		r.Asked = append(r.Asked, asked)
	}
	return nil
}

// openToAsk opens the recording for one connection that has leaks of that window as a temporary view.
func openToAsk(ctx context.Context, path, window string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", store.DSN(path))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	for _, v := range store.Views() {
		body := v.Body
		switch v.Name {
		case "window":
			body = window
		case "leaks", "growth":
		default:
			continue
		}
		if _, err := db.ExecContext(ctx, `CREATE TEMP VIEW "`+v.Name+`" AS `+body); err != nil {
			db.Close()
			return nil, err
		}
	}
	return db, nil
}

// bestOf is the median and the worst of the moments, of each of which the best round counts.
func bestOf(rounds [][]time.Duration) (median, worst time.Duration) {
	best := slices.Clone(rounds[0])
	for _, round := range rounds[1:] {
		for i, took := range round {
			best[i] = min(best[i], took)
		}
	}
	slices.Sort(best)
	return best[len(best)/2], best[len(best)-1]
}

// askAll asks and reads every column of every row.
func askAll(ctx context.Context, db *sql.DB, query string, args ...any) (took time.Duration, n int, err error) {
	start := time.Now()
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", strings.TrimSpace(query), err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return 0, 0, err
	}
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return 0, 0, err
		}
		n++
	}
	return time.Since(start), n, rows.Err()
}

// PerObservation is how many bytes the sockets take, for each socket and sample.
func (r *Result) PerObservation() float64 {
	return float64(r.SocketBytes) / float64(r.Sockets) / float64(r.Samples)
}

// NaivePerObservation is the same of a row of text for each.
func (r *Result) NaivePerObservation() float64 {
	return float64(r.NaiveBytes) / float64(r.Sockets) / math.Max(1, float64(r.NaiveSamples))
}
