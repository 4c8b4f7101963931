package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"time"
)

// Options say what to record into, and who records.
type Options struct {
	Path     string        // the recording; made, with its folder, when it is not there
	Boot     Boot          // the running system
	Interval time.Duration // between samples; a pause longer than one and a half is a gap
	Version  string        // of the program
	UID      int           // user that records
	Limits   Limits        // how much is kept; they are held by Tidy

	// Hold is how many bytes of samples are kept in memory while the file cannot be written; 0: DefaultHold. When they
	// are more, all of them are dropped: then there is a gap.
	Hold int
	// Notice, if set, is told that a recording of an older format is brought up to date, when the file cannot be written any more, and when it
	// can be again.
	Notice func(Notice)

	// Capabilities are what this kernel and these privileges allow, as probed.
	Capabilities []Capability
}

// A Capability is something that may be seen, or not, with this kernel and these privileges.
type Capability struct {
	Name      string
	Available bool
	Detail    string // what it gives; when it is missing, what is lost and what to do
}

// Boot describes one run of the kernel.
type Boot struct {
	ID        string    // /proc/sys/kernel/random/boot_id
	Host      string    // host name
	MachineID string    // /etc/machine-id
	Kernel    string    // uname -r
	Started   time.Time // btime of /proc/stat
}

// Clock is the time of a sample, as three clocks see it.
type Clock struct {
	Wall   time.Time
	Uptime time.Duration // since boot, CLOCK_BOOTTIME: goes on while the machine is suspended
	Awake  time.Duration // since boot, CLOCK_MONOTONIC: does not
}

// Cost is what the recorder itself has used.
type Cost struct {
	CPU time.Duration // user and system time of the process so far
	RSS int64         // resident memory, in bytes
}

// A Writer appends samples to a recording. It is used by one goroutine; the file may be
// read by others meanwhile.
type Writer struct {
	options Options
	file    *openFile
	uuid    string // of the recording
	boot    int64
	run     int64
	started float64 // of the boot, as the recording has it
	// bootSample is the first sample that can be of this boot: what was seen before it is gone.
	bootSample int64
	// someUnread says that a source was not read in the last sample that the recording has.
	someUnread bool

	tables    map[*Table]tableWriter
	logs      map[*LogTable]tableWriter
	order     []tableWriter
	tupleAge  int64 // in samples; see tupleSamples
	sources   []*Source
	outcome   *Source
	results   *Set[SourceID, SourceOutcome]
	addSample *batch
	batches   []*batch
	args      []driver.NamedValue // of the batch that runs

	now     sampleTime // the sample under way
	last    sampleTime // the last one committed
	lastRun bool       // last was written by this run
	attempt uint32     // grows with each Begin, committed or not
	lost    error      // why the samples since last could not be written

	// How the memory and the file stand to each other; see writerState.
	state      writerState
	trouble    error // why the file cannot be written; nil: it can
	filed      filed // the last sample in the file
	pending    pending
	late       int  // samples written out of memory since the trouble began
	dropped    drop // why samples were dropped since then
	generation uint32

	gaps      gapLog
	clock     trustedClock
	retention *retention
}

type sampleTime struct {
	id          int64
	ts          float64
	clock       Clock
	begun       time.Time
	steppedBack bool // the wall clock is behind ts
	why         Why
}

// Create opens the recording for writing, makes it when there is none, migrates an older
// one, and ends what the last run left open. ErrBusy means that another recorder has it.
//
// What is wrong with the file at the start is an error: a disk that is full, a file system that is read-only. What goes
// wrong later is not: see the package comment.
func Create(ctx context.Context, o Options) (*Writer, error) {
	w := &Writer{options: o, tables: map[*Table]tableWriter{}, logs: map[*LogTable]tableWriter{}, tupleAge: tupleSamples}
	if w.options.Hold == 0 {
		w.options.Hold = DefaultHold
	}
	w.file = newOpenFile(o.Path, &w.options.Limits, w.closeStatements)
	w.addSample = w.insert("INSERT INTO sample (id, ts, run, uptime_s, wall, duration_ms, cpu_s, rss_bytes, why)", 9)
	w.gaps.prepare(w)
	for _, t := range Tables() {
		tw := t.newWriter(w)
		w.tables[t], w.order = tw, append(w.order, tw)
	}
	for _, t := range LogTables() {
		tw := t.newWriter(w)
		w.logs[t], w.order = tw, append(w.order, tw)
	}
	w.retention = newRetention(w)
	w.outcome = &Source{writer: w, name: "recorder"}
	w.results = NewSet(w.outcome, Sources)
	err := w.file.connect(ctx, w.upgrading)
	if err == nil {
		err = w.begin(ctx)
	}
	if err == nil {
		err = w.file.identify(ctx)
	}
	if err != nil {
		w.file.close()
		return nil, Explain(o.Path, cause(o.Path, err))
	}
	w.filed = filed{w.last.id, w.last.ts}
	return w, nil
}

// begin enters this boot and this run, and takes over what the last run left. It may be this very run: see startOver.
func (w *Writer) begin(ctx context.Context) error {
	b := w.options.Boot
	w.retention.closeStatements()
	w.retention = newRetention(w)
	return w.file.transaction(ctx, func() error {
		w.last = sampleTime{}
		if err := w.file.conn.QueryRowContext(ctx, "SELECT id, ts FROM sample ORDER BY id DESC LIMIT 1").
			Scan(&w.last.id, &w.last.ts); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err := w.clock.begin(ctx, w.file.conn, b.ID); err != nil {
			return err
		}
		var lastRun, lastBoot sql.NullInt64
		var stopped sql.NullFloat64
		err := w.file.conn.QueryRowContext(ctx, "SELECT id, boot, stopped FROM run ORDER BY id DESC LIMIT 1").Scan(&lastRun, &lastBoot, &stopped)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var uuid string
		if err := w.file.conn.QueryRowContext(ctx, "SELECT uuid FROM recording").Scan(&uuid); err != nil {
			return err
		}
		ours := uuid == w.uuid && lastRun.Int64 == w.run
		w.uuid = uuid
		if _, err := w.file.conn.ExecContext(ctx, `INSERT INTO boot (boot_id, host, machine_id, kernel, started) VALUES (?,?,?,?,?)
			ON CONFLICT (boot_id) DO UPDATE SET host = excluded.host`,
			b.ID, nullable(b.Host), nullable(b.MachineID), nullable(b.Kernel), unixSeconds(b.Started)); err != nil {
			return err
		}
		var started float64
		if err := w.file.conn.QueryRowContext(ctx, "SELECT id, started FROM boot WHERE boot_id = ?", b.ID).
			Scan(&w.boot, &started); err != nil {
			return err
		}
		if w.started == 0 {
			w.started = started
		}
		if err := w.gaps.begin(ctx, w.file.conn, w.last, lastBoot, w.boot, stopped.Valid, w.file.lock.ended); err != nil {
			return err
		}
		w.file.lock.ended = "" // of the run before this one
		if w.state == stateLost {
			w.gaps.resume(w, ours)
		}
		if !ours {
			if err := w.enterRun(ctx); err != nil {
				return err
			}
		}
		if err := w.file.conn.QueryRowContext(ctx, "SELECT coalesce(min(first_sample), 0) FROM run WHERE id > coalesce((SELECT max(id) FROM run WHERE boot <> ?), 0)", w.boot).
			Scan(&w.bootSample); err != nil {
			return err
		}
		if err := w.file.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM source_open o CROSS JOIN source_tuple t ON t.id = o.tuple
			WHERE t.outcome NOT IN ('read', 'incomplete', 'kept'))`).Scan(&w.someUnread); err != nil {
			return err
		}
		for _, t := range w.order {
			if err := t.load(ctx, w.file.conn, w.last.id, lastBoot.Int64 == w.boot); err != nil {
				return err
			}
		}
		w.retention.begin(w.last, w.run, w.bootSample)
		return nil
	})
}

func (w *Writer) enterRun(ctx context.Context) error {
	limits := w.options.Limits
	r, err := w.file.conn.ExecContext(ctx, "INSERT INTO run (boot, started, pid, version, interval_s, uid, keep_s, max_bytes, first_sample) VALUES (?,?,?,?,?,?,?,?,?)",
		w.boot, unixSeconds(time.Now()), os.Getpid(), w.options.Version, w.options.Interval.Seconds(), w.options.UID,
		nonZero(limits.Keep.Seconds()), nonZero(limits.MaxSize), w.last.id+1)
	if err != nil {
		return err
	}
	if w.run, err = r.LastInsertId(); err != nil {
		return err
	}
	for _, c := range w.options.Capabilities {
		if _, err := w.file.conn.ExecContext(ctx, "INSERT INTO capability (run, name, available, detail) VALUES (?,?,?,?)",
			w.run, c.Name, c.Available, nullable(c.Detail)); err != nil {
			return err
		}
	}
	return nil
}

// BootTime is when the running system was started, as the recording first heard it. The
// kernel computes it again from a moving clock; start times of processes must not move.
func (w *Writer) BootTime() float64 { return w.started }

// Now is the ts of the sample under way, in unix seconds.
func (w *Writer) Now() float64 { return w.now.ts }

// Uptime is when the sample under way began, since boot.
func (w *Writer) Uptime() time.Duration { return w.now.clock.Uptime }

// Interval is the time between samples.
func (w *Writer) Interval() time.Duration { return w.options.Interval }

// Begin starts a sample: everything Put until Commit has its time. What was kept in memory is written first, if that can
// be done by now; look at Generation after it.
func (w *Writer) Begin(c Clock) {
	w.resync(context.Background(), replayAtMost)
	w.attempt++
	ts := unixSeconds(c.Wall)
	w.now = sampleTime{id: w.last.id + 1, ts: ts, clock: c, begun: time.Now()}
	// A wall clock that was set back is behind the last sample until it catches up. ts must
	// grow all the same, but slowly, so that it is caught up with soon. If it stood still, all samples until then would be of one
	// minute, and a clock may have been wrong by a year.
	if w.now.ts <= w.last.ts {
		w.now.ts, w.now.steppedBack = w.last.ts+max(0.001, w.sinceLast()/slowness), true
	}
	w.clock.see(unixSeconds(c.Wall), seconds(c.Uptime))
	w.outcome.begin()
	for _, s := range w.sources {
		s.begin()
	}
}

// A Why says what made the recorder take a sample.
type Why string

const (
	WhyInterval Why = "interval" // the interval was over
	WhyChange   Why = "change"   // the kernel told of a change that is worth a look
	WhySymptom  Why = "symptom"  // a symptom of a fault was seen shortly before
	WhyLast     Why = "last"     // the recorder was about to stop
)

// Because says what made the recorder take the sample under way. It is asked after Begin.
func (w *Writer) Because(why Why) { w.now.why = why }

// slowness is by how much ts is slower than time while the wall clock is behind it.
const slowness = 10

// sinceLast is how many seconds before this sample the last one of this run was.
func (w *Writer) sinceLast() float64 {
	if !w.lastRun {
		return 0
	}
	return seconds(w.now.clock.Uptime - w.last.clock.Uptime)
}

// Close notes that the run ended as it should and closes the file. What was kept in memory is written, or lost: then it is
// an error.
func (w *Writer) Close(ctx context.Context) error {
	w.resync(ctx, forever)
	var err error
	if n := len(w.pending.samples); n > 0 {
		err = fmt.Errorf("the last %d samples are lost: %w", n, w.trouble)
	} else if w.state == stateLost {
		err = w.trouble
	}
	if w.file.conn != nil {
		_, rerr := w.file.conn.ExecContext(ctx, "UPDATE run SET stopped = ? WHERE id = ?", unixSeconds(time.Now()), w.run)
		_, cerr := w.file.checkpoint(ctx)
		err = cmp.Or(err, rerr, cerr)
	}
	w.file.close()
	return Explain(w.options.Path, err)
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}

// seconds keeps microseconds: a float64 of nanoseconds would print a tail of noise.
func seconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e6 }

// nonZero is v, or NULL where 0 means that there is none.
func nonZero[N int64 | float64](v N) any {
	if v == 0 {
		return nil
	}
	return v
}

func nullable(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }
