package query

import (
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"

	"netsql/store"
)

// ExportOptions say what is exported, and as what.
type ExportOptions struct {
	Format string   // "csv" or "jsonl"; "" is csv
	Tables []string // names of tables and views; none: ExportTables
	Gzip   bool     // compress the files, to a sixth or less
	// SpreadsheetSafe is that of FormatOptions.
	SpreadsheetSafe bool
	// Progress, if set, is told how many rows of a table are written, every now and then and
	// when it is done.
	Progress func(table string, rows int64)
}

// ExportResult says what was exported.
type ExportResult struct {
	Dir          string
	Since, Until time.Time
	Samples      int
	Files        []ExportFile // in the order of the reference, without the README.md
}

// ExportFile is one table in the export.
type ExportFile struct {
	Name  string // of the file, in the folder
	Table string
	Rows  int64
	Bytes int64
}

// ExportTables are those that a post-mortem wants: all but what the others already say (the newest
// sample, the rates, which are deltas by time, the spans, the faults one by one, and the counts that only leaks needs).
func ExportTables() []string {
	var names []string
	for _, v := range store.Views() {
		switch {
		case strings.HasSuffix(v.Name, nowSuffix), strings.HasSuffix(v.Name, ratesSuffix), strings.HasSuffix(v.Name, spansSuffix),
			strings.HasPrefix(v.Name, faultPrefix), v.Name == "window", v.Name == "window_before", v.Name == store.SocketTrends.Name:
		default:
			names = append(names, v.Name)
		}
	}
	return names
}

// exporter writes one export.
type exporter struct {
	r            *Recording
	dir          string
	format       string
	gzip, safe   bool
	progress     func(string, int64)
	since, until float64
	made         []string // files to take back if it fails
	result       ExportResult
}

// Export writes the window of the recording into a folder that is empty or not there yet: a file for
// each table, and a README.md that explains them. It holds little in memory and never keeps a recorder
// from tidying up. If it fails or is cancelled, what it wrote is removed; while it is written, a file has .partial
// behind its name, and README.md comes last.
func Export(ctx context.Context, r *Recording, dir string, o ExportOptions) (ExportResult, error) {
	e := &exporter{r: r, dir: dir, format: o.Format, gzip: o.Gzip, safe: o.SpreadsheetSafe, progress: o.Progress}
	views, err := e.prepare(ctx, o)
	if err != nil {
		return ExportResult{}, err
	}
	madeDir, err := makeEmpty(dir)
	if err != nil {
		return ExportResult{}, err
	}
	if err := e.write(ctx, views); err != nil {
		for _, name := range e.made {
			os.Remove(name)
		}
		if madeDir {
			os.Remove(dir)
		}
		var se *sqlite.Error // all others are about the files of the export, and name them
		if errors.As(err, &se) {
			err = r.explain(err)
		}
		return ExportResult{}, fmt.Errorf("export to %s: %w (nothing of it was kept)", dir, err)
	}
	return e.result, nil
}

// prepare finds out all that can be wrong before anything is written.
func (e *exporter) prepare(ctx context.Context, o ExportOptions) ([]store.View, error) {
	if e.format == "" {
		e.format = "csv"
	}
	if e.format != "csv" && e.format != "jsonl" {
		return nil, fmt.Errorf("no export format %s: csv or jsonl", quoteWords(e.format))
	}
	if e.progress == nil {
		e.progress = func(string, int64) {}
	}
	names := ExportTables()
	if len(o.Tables) > 0 {
		names = nil
		for _, name := range o.Tables {
			v, err := viewNamed(store.Views(), name)
			if err != nil {
				return nil, err
			}
			names = append(names, v.Name)
		}
	}
	var views []store.View
	for _, v := range store.Views() {
		if slices.Contains(names, v.Name) {
			views = append(views, v)
		}
	}
	return views, e.findWindow(ctx)
}

func (e *exporter) findWindow(ctx context.Context) error {
	var since, until, first, last sql.NullFloat64
	if err := e.r.ask(ctx, `SELECT w.since, w.until, (SELECT min(ts) FROM samples), (SELECT max(ts) FROM samples) FROM "window" w`,
		&since, &until, &first, &last); err != nil {
		return e.r.explain(err)
	}
	if !first.Valid {
		return errors.New("the recording has no sample yet: wait for the first, then export")
	}
	e.since, e.until = since.Float64, until.Float64
	e.result = ExportResult{Dir: e.dir, Since: unixTime(e.since), Until: unixTime(e.until)}
	if err := e.r.conn.QueryRowContext(ctx, "SELECT count(*) FROM samples WHERE ts BETWEEN ? AND ?", e.since, e.until).
		Scan(&e.result.Samples); err != nil {
		return e.r.explain(err)
	}
	if e.result.Samples == 0 {
		return fmt.Errorf("no sample lies between %s and %s: the recording goes from %s to %s; name a window within it, with --since and --until",
			localTime(e.result.Since), localTime(e.result.Until), localTime(unixTime(first.Float64)), localTime(unixTime(last.Float64)))
	}
	return nil
}

// makeEmpty makes the folder; if it is there already it must be empty.
func makeEmpty(dir string) (made bool, err error) {
	switch entries, err := os.ReadDir(dir); {
	case errors.Is(err, os.ErrNotExist):
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return false, fmt.Errorf("make the folder of the export: %w", err)
		}
		return true, nil
	case err != nil:
		return false, fmt.Errorf("look into the folder of the export: %w", err)
	case len(entries) > 0:
		return false, fmt.Errorf("%s is not empty, and an export overwrites nothing: name a new folder, or empty this one", dir)
	}
	return false, nil
}

func (e *exporter) write(ctx context.Context, views []store.View) error {
	// The newest sample moves on while this runs; the views of the window must not.
	unpin, err := e.r.pinWindow(ctx, e.since, e.until)
	if err != nil {
		return err
	}
	defer unpin()
	for _, v := range views {
		if err := e.writeView(ctx, v); err != nil {
			return fmt.Errorf("%s: %w", v.Name, err)
		}
	}
	text, err := e.readme(ctx, views)
	if err != nil {
		return err
	}
	_, err = e.file("README.md", func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	return err
}

// pinWindow fixes the window to the last bit until unpin is called. SetWindow rounds to
// microseconds, and the last sample would fall out of it.
func (r *Recording) pinWindow(ctx context.Context, since, until float64) (unpin func(), err error) {
	_, err = r.conn.ExecContext(ctx, fmt.Sprintf(
		`DROP VIEW IF EXISTS temp."window"; CREATE TEMP VIEW "window" AS SELECT %s AS since, %s AS until`, bits(since), bits(until)))
	// What was set before was accepted then.
	return func() { _ = r.SetWindow(context.WithoutCancel(ctx), r.since, r.until) }, err
}

// bits is a number as SQL has it, to the last bit.
func bits(f float64) string { return strconv.FormatFloat(f, 'g', 17, 64) }

// file writes one file of the export under a name that says it is not complete, and then
// under its own.
func (e *exporter) file(name string, write func(io.Writer) error) (size int64, err error) {
	path := filepath.Join(e.dir, name)
	// Command lines and addresses of other users are in it, as in the recording.
	f, err := create(ThisProcess{}, path+".partial", e.r.mode())
	if err != nil {
		return 0, err
	}
	e.made = append(e.made, path+".partial")
	err = write(f)
	if err == nil {
		size, err = f.Seek(0, io.SeekCurrent)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+".partial", path)
	}
	if err == nil {
		e.made = append(e.made, path)
	}
	return size, err
}

// nameOf is the file of a table.
func (e *exporter) nameOf(table string) string {
	name := table + "." + e.format
	if e.gzip {
		name += ".gz"
	}
	return name
}

func (e *exporter) writeView(ctx context.Context, v store.View) error {
	file := ExportFile{Name: e.nameOf(v.Name), Table: v.Name}
	size, err := e.file(file.Name, func(w io.Writer) (err error) {
		if e.gzip {
			// At its fastest: that is nearly as small, and takes less than the rest.
			z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
			defer func() { err = errors.Join(err, z.Close()) }()
			w = z
		}
		out, err := NewResultWriter(e.format, w, FormatOptions{Header: true, CRLF: true, SpreadsheetSafe: e.safe})
		if err != nil {
			return err
		}
		var columns []Column
		for _, c := range v.Columns {
			columns = append(columns, Column{Name: c.Name, Time: c.Time()})
		}
		if err := out.Begin(columns); err != nil {
			return err
		}
		if err := e.copyRows(ctx, v, out, &file.Rows); err != nil {
			return err
		}
		return out.End()
	})
	file.Bytes = size
	e.result.Files = append(e.result.Files, file)
	e.progress(v.Name, file.Rows)
	return err
}

// copyRows asks for the rows of the window. What has ts lies in it by ts, what has since and until
// overlaps it, all else (boots, runs, and what looks at the window by itself) is whole.
//
// Histories can have any number of rows, and an open cursor keeps the recorder from checkpointing its -wal:
// they are read a few samples at a time.
func (e *exporter) copyRows(ctx context.Context, v store.View, out ResultWriter, rows *int64) error {
	has := func(name string) bool {
		return slices.ContainsFunc(v.Columns, func(c store.Column) bool { return c.Name == name && c.Time() })
	}
	from := `SELECT * FROM "` + v.Name + `"`
	switch {
	case has("ts") && v.From != nil && !strings.HasSuffix(v.Name, changesSuffix) && !strings.HasSuffix(v.Name, nowSuffix),
		v.Name == "closed_sockets", v.Name == "closed_counts":
		return e.copyPages(ctx, v, from, out, rows)
	case has("ts"):
		return e.copyAll(ctx, from+" WHERE ts BETWEEN ? AND ? ORDER BY ts", out, rows, e.since, e.until)
	case has("since") && has("until"):
		return e.copyAll(ctx, from+" WHERE since <= ? AND (until IS NULL OR until >= ?)", out, rows, e.until, e.since)
	}
	return e.copyAll(ctx, from, out, rows)
}

// pageTime is how long reading a page should take: long against the start of a statement,
// short against the time between checkpoints.
const pageTime = 300 * time.Millisecond

func (e *exporter) copyPages(ctx context.Context, v store.View, from string, out ResultWriter, rows *int64) error {
	last, size := e.since, int64(8)
	within := ">=" // the first sample of the window, then those after the last one read
	for {
		var until sql.NullFloat64
		if err := e.r.conn.QueryRowContext(ctx, "SELECT max(ts) FROM (SELECT ts FROM samples WHERE ts "+within+" ? AND ts <= ? ORDER BY ts LIMIT ?)",
			last, e.until, size).Scan(&until); err != nil {
			return err
		}
		more := until.Valid
		if !more {
			until.Float64 = e.until // what was closed after the last sample
		}
		start := time.Now()
		if err := e.copyAll(ctx, from+" WHERE ts "+within+" ? AND ts <= ? ORDER BY ts", out, rows, last, until.Float64); err != nil || !more {
			return err
		}
		switch took := time.Since(start); {
		case took < pageTime/2:
			size = min(size*2, 1<<16)
		case took > pageTime*2:
			size = max(size/2, 1)
		}
		last, within = until.Float64, ">"
		e.progress(v.Name, *rows)
	}
}

func (e *exporter) copyAll(ctx context.Context, query string, out ResultWriter, n *int64, args ...any) error {
	rows, err := e.r.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := out.Row(values); err != nil {
			return err
		}
		*n++
	}
	return rows.Err()
}
