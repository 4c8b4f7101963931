package query

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"netsql/store"
)

// A Diagnosis is what findings says of a window, what it is worth, and what was not looked at. Its JSON is the reference of its fields.
type Diagnosis struct {
	Path       string    `json:"path"`
	Since      Moment    `json:"since"` // of the window
	Until      Moment    `json:"until"`
	Faults     int       `json:"faults"`
	Warnings   int       `json:"warnings"`
	Infos      int       `json:"infos"`
	Known      int       `json:"known"`       // findings left out, because an earlier run said them
	Samples    int64     `json:"samples"`     // that were looked at
	Expected   int64     `json:"expected"`    // that there should be
	UnwatchedS float64   `json:"unwatched_s"` // how long of the window nobody looked
	Findings   []Finding `json:"findings"`    // the worst first
	NotLooked  []string  `json:"not_looked_at"`

	Against *Comparison `json:"against,omitempty"` // see Compare

	named bool    // the window was asked for by name, and not the last hour
	first float64 // the first sample of the recording
	blind bool    // symptoms were not looked for
}

// A Finding is a row of findings.
type Finding struct {
	Fault      string  `json:"fault"`
	Severity   string  `json:"severity"` // fault, warning, info
	Sure       string  `json:"sure"`     // certain, likely, hint
	Since      Moment  `json:"since"`
	Until      Moment  `json:"until"` // null where it may go on
	What       string  `json:"what"`
	Who        *string `json:"who"`
	PID        *int64  `json:"pid"`
	Comm       *string `json:"comm"`
	LocalPort  *int64  `json:"local_port"`
	RemoteAddr *string `json:"remote_addr"`
	RemotePort *int64  `json:"remote_port"`
	Dev        *string `json:"dev"`
	NetNS      *int64  `json:"netns"`
	Evidence   string  `json:"evidence"`
	Next       string  `json:"next"`
	Symptom    string  `json:"symptom"`
	Spark      string  `json:"spark"` // of its symptom over the window

	most float64 // of the spark
}

// Key is the same for one finding in one run of doctor and in the next.
func (f Finding) Key() string {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	number := func(n *int64) int64 {
		if n == nil {
			return 0
		}
		return *n
	}
	return fmt.Sprintf("%s|%d|%s|%d|%s|%d|%s", f.Fault, number(f.NetNS), text(f.Comm), number(f.LocalPort), text(f.RemoteAddr), number(f.RemotePort), text(f.Dev))
}

// Diagnose reads the findings of the window that is set.
func Diagnose(ctx context.Context, r *Recording) (*Diagnosis, error) {
	d := &Diagnosis{Path: r.Path, Findings: []Finding{}, NotLooked: []string{}, named: !r.since.IsZero() || !r.until.IsZero()}
	for _, read := range []func(context.Context, *Recording) error{d.readWindow, d.readFindings, d.readUnlooked} {
		if err := read(ctx, r); err != nil {
			return nil, fmt.Errorf("diagnose: %w", r.explain(err))
		}
	}
	return d, nil
}

// CannotTell reports whether nobody looked in the window: at all, or for what a fault would show.
func (d *Diagnosis) CannotTell() bool {
	return d.Samples < 2 || d.blind && d.Faults+d.Warnings == 0
}

func (d *Diagnosis) readWindow(ctx context.Context, r *Recording) error {
	since, until, samples, err := r.Window(ctx)
	if err != nil {
		return err
	}
	d.Since, d.Until, d.Samples = Moment{since}, Moment{until}, int64(samples)
	if err := r.ask(ctx, "SELECT coalesce(min(ts), 0) FROM sample", &d.first); err != nil {
		return err
	}
	return r.ask(ctx, `SELECT NOT EXISTS (SELECT 1 FROM source o, "window" w WHERE o.source = 'symptoms'
		   AND o.first_sample <= (SELECT id FROM sample WHERE ts <= w.until ORDER BY ts DESC LIMIT 1) AND (o.last_sample IS NULL OR o.last_sample >= (SELECT id FROM sample WHERE ts >= w.since ORDER BY ts LIMIT 1)))
		OR EXISTS (SELECT 1 FROM gaps g, "window" w WHERE g.source = 'symptoms' AND g.kind IN ('off', 'failed') AND g.since <= max(w.since, (SELECT min(ts) FROM sample)) AND coalesce(g.until, 1e15) >= w.until)`, &d.blind)
}

func (d *Diagnosis) readFindings(ctx context.Context, r *Recording) error {
	if d.Samples < 2 {
		return nil
	}
	rows, err := r.conn.QueryContext(ctx, `SELECT fault, severity, sure, since, until, what, who, pid, comm, local_port, remote_addr, remote_port, dev, netns, evidence, next, symptom FROM findings`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var f Finding
		var since, until sql.NullFloat64
		var evidence, next sql.NullString
		if err := rows.Scan(&f.Fault, &f.Severity, &f.Sure, &since, &until, &f.What, &f.Who, &f.PID, &f.Comm, &f.LocalPort, &f.RemoteAddr, &f.RemotePort, &f.Dev, &f.NetNS, &evidence, &next, &f.Symptom); err != nil {
			return err
		}
		f.Since, f.Until, f.Evidence, f.Next = momentOf(since), momentOf(until), evidence.String, next.String
		d.Findings = append(d.Findings, f)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	d.Count()
	pieces, err := d.readPieces(ctx, r)
	if err != nil {
		return err
	}
	for i := range d.Findings {
		f := &d.Findings[i]
		d.draw(f, pieces[f.Symptom])
	}
	return nil
}

// Count counts the findings that there are.
func (d *Diagnosis) Count() {
	d.Faults, d.Warnings, d.Infos = 0, 0, 0
	for _, f := range d.Findings {
		switch f.Severity {
		case "fault":
			d.Faults++
		case "warning":
			d.Warnings++
		default:
			d.Infos++
		}
	}
}

// doctorCells is how long the sparks are.
const doctorCells = 40

// A piece is a stretch of samples in which a symptom had one amount.
type piece struct {
	netns, port *int64
	dev, addr   *string
	from, to    float64
	amount      float64
}

// readPieces reads those of the symptoms that are drawn.
func (d *Diagnosis) readPieces(ctx context.Context, r *Recording) (map[string][]piece, error) {
	drawn := map[string][]piece{}
	for _, f := range d.Findings {
		drawn[f.Symptom] = nil
	}
	rows, err := r.conn.QueryContext(ctx, fmt.Sprintf(`SELECT s.symptom, s.netns, s.local_port, s.dev, s.remote_addr, b.ts, e.ts, p.amount
		  FROM (SELECT p.id & 4294967295 AS subject, max((p.id >> 32) - p.length, a) AS f, min(p.id >> 32, z) AS t, amount
		          FROM (%[1]s) w CROSS JOIN symptom_span p ON p.id BETWEEN a << 32 AND ((z + %[2]d) << 32) - 1 AND (p.id >> 32) - p.length <= z
		        UNION ALL
		        SELECT p.subject, max(p.from_sample, a), z, amount FROM (%[1]s) w CROSS JOIN symptom_open p ON p.from_sample <= z) p
		 CROSS JOIN symptom s ON s.id = p.subject CROSS JOIN sample b ON b.id = p.f CROSS JOIN sample e ON e.id = p.t`,
		`SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM "window"`, store.Symptoms.K))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var symptom string
		var p piece
		if err := rows.Scan(&symptom, &p.netns, &p.port, &p.dev, &p.addr, &p.from, &p.to, &p.amount); err != nil {
			return nil, err
		}
		if list, is := drawn[symptom]; is {
			drawn[symptom] = append(list, p)
		}
	}
	return drawn, rows.Err()
}

// draw draws the symptom of a finding over the window.
func (d *Diagnosis) draw(f *Finding, pieces []piece) {
	begin := max(unixSeconds(d.Since.Time), d.first)
	width := (unixSeconds(d.Until.Time) - begin) / doctorCells
	if width <= 0 {
		return
	}
	cells := make([]float64, doctorCells)
	cell := func(ts float64) int { return int(min(max((ts-begin)/width, 0), doctorCells-1)) }
	for _, p := range pieces {
		if !same(p.netns, f.NetNS, false) || !same(p.dev, f.Dev, true) || !same(p.addr, f.RemoteAddr, true) || !same(p.port, f.LocalPort, true) {
			continue
		}
		for i := cell(p.from); i <= cell(p.to); i++ {
			cells[i] = max(cells[i], p.amount)
		}
	}
	for _, c := range cells {
		f.most = max(f.most, c)
	}
	f.Spark = sparkText(cells, doctorCells)
}

// same reports whether two values that may be NULL are the same; with open also where one of them is NULL.
func same[T comparable](a, b *T, open bool) bool {
	if a == nil || b == nil {
		return open || a == nil && b == nil
	}
	return *a == *b
}

// readUnlooked says what nobody looked at, or not at all of it.
func (d *Diagnosis) readUnlooked(ctx context.Context, r *Recording) error {
	since, until := unixSeconds(d.Since.Time), unixSeconds(d.Until.Time)
	var interval sql.NullFloat64
	if err := r.ask(ctx, "SELECT interval_s FROM runs ORDER BY run DESC LIMIT 1", &interval); err != nil {
		return err
	}
	if d.first == 0 {
		d.NotLooked = append(d.NotLooked, "nothing was recorded")
		return nil
	}
	if d.first > since+interval.Float64 {
		d.NotLooked = append(d.NotLooked, "before "+localTime(unixTime(d.first).Truncate(time.Second))+" nothing is recorded")
	}
	if d.blind && d.Samples > 1 {
		d.NotLooked = append(d.NotLooked, "symptoms were not looked for in this time, and only routes and links tell of faults: an older netsql recorded, or --without symptoms")
	}
	gaps, err := r.gaps(ctx, `SELECT since, until, source, kind, detail FROM gaps WHERE since < ? AND coalesce(until, 1e15) > ? AND kind <> 'thinned' ORDER BY source IS NOT NULL, since`, until, since)
	if err != nil {
		return err
	}
	said := map[string]int{}
	for _, g := range gaps {
		if g.Source == "" {
			to := until
			if !g.Until.IsZero() {
				to = min(until, unixSeconds(g.Until.Time))
			}
			d.UnwatchedS += to - max(since, unixSeconds(g.Since.Time))
		}
		what := g.Source + " " + g.Kind + " " + g.Detail
		if said[what]++; said[what] == 1 {
			d.NotLooked = append(d.NotLooked, g.String())
		}
	}
	for what, n := range said {
		if n > 1 {
			d.NotLooked = append(d.NotLooked, fmt.Sprintf("the last of these %s more: %s", plural(int64(n-1), "time"), escapeControls(strings.TrimSpace(what))))
		}
	}
	d.Expected = d.Samples
	if interval.Float64 > 0 {
		d.Expected += int64(math.Round(d.UnwatchedS / interval.Float64))
	}
	return r.each(ctx, `SELECT DISTINCT detail FROM capabilities WHERE available = 0 AND run = (SELECT max(run) FROM samples WHERE ts <= ?)`, []any{until}, func(row []any) {
		d.NotLooked = append(d.NotLooked, text(row[0]))
	})
}

// Verdict is the first line.
func (d *Diagnosis) Verdict() string {
	when := "from " + localTime(d.Since.Truncate(time.Second)) + " to " + localTime(d.Until.Truncate(time.Second))
	if !d.named {
		when = "in the hour before " + localTime(d.Until.Truncate(time.Second))
	}
	switch {
	case d.Samples < 2:
		return "cannot tell: nobody looked " + when
	case d.CannotTell():
		return "cannot tell: symptoms of faults were not recorded " + when
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{d.Faults, "fault"}, {d.Warnings, "warning"}, {d.Infos, "remark"}} {
		if p.n > 0 {
			parts = append(parts, plural(int64(p.n), p.what))
		}
	}
	found := "nothing found"
	if len(parts) > 0 {
		found = strings.Join(parts, ", ")
	}
	switch {
	case d.Known > 0 && len(parts) == 0:
		found = "nothing new since the last run, which said " + plural(int64(d.Known), "finding") + ", found again"
	case d.Known > 0:
		found += " more than the last run said"
	}
	return fmt.Sprintf("%s %s; looked at %s of %s", found, when, count(d.Samples), plural(d.Expected, "sample"))
}

// JSON is the diagnosis as one JSON object.
func (d *Diagnosis) JSON() ([]byte, error) { return json.MarshalIndent(d, "", "  ") }

// findingsMost is how many findings are printed for people.
const findingsMost = 20

// Write prints it for people.
func (d *Diagnosis) Write(w io.Writer, width int) error {
	if width == 0 {
		width = 80 // no terminal
	}
	b := paragraphs{width: max(40, min(width, 120)), indent: 10}
	b.WriteString(wrapped(d.Verdict(), "", b.width))
	for i, f := range d.Findings {
		b.WriteString("\n")
		if i == findingsMost {
			b.item("", fmt.Sprintf("and %s more: SELECT * FROM findings", plural(int64(len(d.Findings)-i), "finding")))
			break
		}
		b.WriteString(wrapped(escapeControls(f.What), padded(strings.ToUpper(f.Severity), b.indent), b.width))
		b.item("", f.Sure+", "+f.when(d))
		if f.most > 0 {
			b.item("", fmt.Sprintf("%s %s, most %s", f.Spark, f.Symptom, count(int64(f.most))))
		}
		b.item("evidence", escapeControls(f.Evidence))
		b.item("next", escapeControls(f.Next))
	}
	b.WriteString("\n")
	if d.Against != nil {
		d.Against.write(&b)
	}
	if len(d.NotLooked) == 0 {
		b.item("not seen", "nothing: all sources gave everything")
	}
	for i, n := range d.NotLooked {
		label := ""
		if i == 0 {
			label = "not seen"
		}
		b.item(label, escapeControls(n))
	}
	_, err := io.WriteString(w, Safe(b.String()))
	return err
}

// when says from when to when.
func (f Finding) when(d *Diagnosis) string {
	since := localTime(f.Since.Truncate(time.Second))
	if f.Until.IsZero() {
		return "since " + since + ", goes on"
	}
	until := localTime(f.Until.Truncate(time.Second))
	if f.Since.Format(time.DateOnly) == f.Until.Format(time.DateOnly) {
		until = f.Until.Format(time.TimeOnly)
	}
	return since + " to " + until
}
