package query

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"netsql/store"
)

// Status says how a recording fares: whether it goes on, what is kept, what is missing, and
// what it costs. Its JSON is the reference of its fields: units stand in their names, and what
// is unknown is null.
type Status struct {
	Path      string  `json:"path"`
	UUID      string  `json:"uuid"`
	Host      string  `json:"host"`
	Kernel    string  `json:"kernel"`
	Version   string  `json:"version"`    // of the netsql that recorded last
	UID       *int64  `json:"uid"`        // it ran as
	Recording bool    `json:"recording"`  // a recorder writes to the file now, on this machine
	PID       *int    `json:"pid"`        // of that recorder, or of the last one; null where it is not known
	OtherName bool    `json:"other_name"` // that recorder has the file under another name, and what it has not written back is not seen here
	Unclosed  bool    `json:"unclosed"`   // nobody records, and the last run was not ended as it should
	RunSince  Moment  `json:"run_since"`  // begin of the run, or of the last one
	RunUntil  Moment  `json:"run_until"`  // its end, when it was stopped
	Now       Moment  `json:"now"`        // when this was read
	IntervalS float64 `json:"interval_s"`

	Samples   int64    `json:"samples"`
	First     Moment   `json:"first_sample"`
	Last      Moment   `json:"last_sample"`
	LastAgeS  *float64 `json:"last_sample_age_s"`
	RecordedS float64  `json:"recorded_s"` // from first to last, without the times when nobody looked

	SizeBytes   int64    `json:"size_bytes"`
	WALBytes    int64    `json:"wal_bytes"`
	HeldBy      []string `json:"held_by"`       // processes that keep the -wal file from being cut back, by a statement left open
	BytesPerDay *float64 `json:"bytes_per_day"` // of all that is kept; null in the first minutes

	DiskFree *float64 `json:"disk_free_bytes"`
	Left     Left     `json:"days_left"`

	KeepS    *float64 `json:"keep_s"`         // samples are kept so long; null: for ever
	MaxBytes *int64   `json:"max_size_bytes"` // the recording may grow to; null: without limit
	RoomS    *float64 `json:"room_s"`         // max_size_bytes are enough for every sample of so long; null where that is not known, and where some are thinned
	Thinned  []Gap    `json:"thinned"`        // of these times not every sample is kept
	Rollups  Moment   `json:"first_rollup"`   // roll-ups of minutes, hours or days go back to

	Gaps       int     `json:"gaps"`
	UnwatchedS float64 `json:"unwatched_s"` // how long nobody looked at all
	LatestGaps []Gap   `json:"latest_gaps"`

	Sources  int            `json:"sources"` // that were to be read in the last sample
	Troubled []SourceStatus `json:"troubled_sources"`
	Off      []string       `json:"switched_off"` // sources that were not to be read

	Privileges []Privilege `json:"privileges"` // that a recorder uses

	CPUPercent *float64 `json:"cpu_percent"` // of one core, over CPUOverS
	CPUOverS   float64  `json:"cpu_over_s"`
	RSSBytes   *int64   `json:"rss_bytes"`
}

// SourceStatus is a source that gave nothing, or not all, in the last sample.
type SourceStatus struct {
	Source  string `json:"source"`
	Outcome string `json:"outcome"`
	Error   string `json:"error"`
}

// A Privilege is one that a recorder uses, as the table capabilities has it of the last run.
type Privilege struct {
	Name      string `json:"name"`
	Available bool   `json:"available"`
	Detail    string `json:"detail"` // what it gives; where it is missing, what is lost without it
}

// A Moment is a time in JSON as RFC 3339, null when it is zero.
type Moment struct{ time.Time }

// MarshalJSON writes it.
func (m Moment) MarshalJSON() ([]byte, error) {
	if m.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(m.Format(exactTime))
}

func momentOf(seconds sql.NullFloat64) Moment {
	if !seconds.Valid {
		return Moment{}
	}
	return Moment{unixTime(seconds.Float64)}
}

// A Gap is a row of gaps: a time when nobody looked, or not at everything.
type Gap struct {
	Since  Moment `json:"since"`
	Until  Moment `json:"until"` // zero while it goes on
	Source string `json:"source,omitempty"`
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
}

// String is the gap in words, safe to print: errors of sources are in it.
func (g Gap) String() string {
	begin, end := g.Since.Truncate(time.Second), g.Until.Truncate(time.Second)
	var when string
	switch {
	case g.Until.IsZero():
		when = "since " + localTime(begin) + ", still so at the last sample"
	case begin.Format(time.DateOnly) == end.Format(time.DateOnly):
		when = localTime(begin) + " to " + end.Format(time.TimeOnly)
	default:
		when = localTime(begin) + " to " + localTime(end)
	}
	if !g.Until.IsZero() {
		when += " (" + spanText(g.Until.Sub(g.Since.Time).Seconds(), " ") + ")"
	}
	what := g.Detail
	if g.Source != "" {
		what = strings.TrimSuffix(g.Source+" "+g.Kind+": "+g.Detail, ": ")
	}
	return when + ": " + escapeControls(cmp.Or(what, g.Kind))
}

// ReadStatus reads it. It works while the recording is written and before the first sample.
func ReadStatus(ctx context.Context, r *Recording) (Status, error) {
	s := Status{Path: r.Path, Now: Moment{time.Now()}, LatestGaps: []Gap{}, Troubled: []SourceStatus{}, Off: []string{}, Privileges: []Privilege{}}
	if full, err := filepath.Abs(r.Path); err == nil {
		s.Path = full
	}
	// Each reads one side of it and is told what those before it found.
	for _, read := range []func(context.Context, *Recording) error{s.readRun, s.readSamples, s.readGaps, s.readSize, s.readSources, s.readPrivileges, s.readCost} {
		if err := read(ctx, r); err != nil {
			return Status{}, fmt.Errorf("read status: %w", r.explain(err))
		}
	}
	return s, nil
}

// ask reads one row. No row leaves what is asked for as it is.
func (r *Recording) ask(ctx context.Context, query string, into ...any) error {
	err := r.conn.QueryRowContext(ctx, query).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// Sampled reports whether a recorder writes to the file now, and has written a sample of its own.
func Sampled(ctx context.Context, path string) bool {
	for _, part := range []string{"-wal", "-shm"} { // root, who asks while the recorder opens its file, would make these in its place
		if info, err := os.Stat(path + part); err != nil || info.Size() == 0 {
			return false
		}
	}
	r, err := Open(ctx, path)
	if err != nil {
		return false
	}
	defer r.Close()
	var pid int
	var sampled bool
	err = r.ask(ctx, "SELECT pid, EXISTS (SELECT 1 FROM samples s WHERE s.run = u.run) FROM runs u ORDER BY run DESC LIMIT 1", &pid, &sampled)
	recorder, is := r.Recorder()
	return err == nil && is && recorder.PID == pid && sampled
}

func (s *Status) readRun(ctx context.Context, r *Recording) error {
	var host, kernel, version sql.NullString
	var started, stopped sql.NullFloat64
	var uid, maxBytes sql.NullInt64
	var keep sql.NullFloat64
	var pid sql.Null[int]
	if err := r.ask(ctx, "SELECT uuid FROM main.recording", &s.UUID); err != nil {
		return err
	}
	if err := r.ask(ctx, `SELECT b.host, b.kernel, u.version, u.uid, u.pid, u.started, u.stopped, u.interval_s, u.keep_s, u.max_bytes
		FROM runs u LEFT JOIN boots b ON b.boot = u.boot ORDER BY u.run DESC LIMIT 1`,
		&host, &kernel, &version, &uid, &pid, &started, &stopped, &s.IntervalS, &keep, &maxBytes); err != nil {
		return err
	}
	s.Host, s.Kernel, s.Version = host.String, kernel.String, version.String
	s.RunSince, s.RunUntil = momentOf(started), momentOf(stopped)
	if uid.Valid {
		s.UID = &uid.Int64
	}
	if keep.Valid {
		s.KeepS = &keep.Float64
	}
	if maxBytes.Valid {
		s.MaxBytes = &maxBytes.Int64
	}
	if pid.Valid {
		s.PID = &pid.V
	}
	if recorder, is := r.Recorder(); is {
		s.Recording, s.PID, s.RunUntil, s.OtherName = true, nil, Moment{}, recorder.OtherName
		if recorder.PID != 0 {
			s.PID = &recorder.PID
		}
	}
	s.Unclosed = !s.Recording && !s.RunSince.IsZero() && s.RunUntil.IsZero()
	return nil
}

func (s *Status) readSamples(ctx context.Context, r *Recording) error {
	var first, last, read sql.NullFloat64
	if err := r.ask(ctx, "SELECT count(*), min(ts) FROM samples", &s.Samples, &first); err != nil {
		return err
	}
	// ts runs ahead of a wall clock that was set back.
	if err := r.ask(ctx, "SELECT ts, coalesce(wall, ts) FROM samples ORDER BY ts DESC LIMIT 1", &last, &read); err != nil {
		return err
	}
	s.First, s.Last = momentOf(first), momentOf(last)
	var minute sql.NullFloat64
	for _, l := range store.Levels() {
		var ts sql.NullFloat64
		if err := r.ask(ctx, "SELECT min(ts) FROM main.period_"+l.Name, &ts); err != nil {
			return err
		}
		if ts.Valid && (!minute.Valid || ts.Float64 < minute.Float64) {
			minute = ts
		}
	}
	s.Rollups = momentOf(minute)
	if last.Valid {
		age := s.Now.Sub(unixTime(read.Float64)).Seconds()
		s.LastAgeS = &age
	}
	return nil
}

func (s *Status) readGaps(ctx context.Context, r *Recording) error {
	if err := r.ask(ctx, "SELECT count(*) FROM gaps WHERE kind NOT IN ('thinned', 'off')", &s.Gaps); err != nil {
		return err
	}
	// Gaps of no one source do not overlap, so their lengths add up.
	if err := r.ask(ctx, "SELECT coalesce(sum(until - since), 0) FROM gaps WHERE source IS NULL", &s.UnwatchedS); err != nil {
		return err
	}
	s.RecordedS = max(0, s.Last.Sub(s.First.Time).Seconds()-s.UnwatchedS)
	// Of those that go on every one counts, however old.
	var err error
	s.LatestGaps, err = r.gaps(ctx, "SELECT since, until, source, kind, detail FROM gaps WHERE kind NOT IN ('thinned', 'off') ORDER BY coalesce(until, 1e15) DESC, since DESC LIMIT 3")
	if err != nil {
		return err
	}
	s.Thinned, err = r.gaps(ctx, "SELECT since, until, source, kind, detail FROM gaps WHERE kind = 'thinned' ORDER BY since DESC")
	return err
}

// gaps reads rows of gaps.
func (r *Recording) gaps(ctx context.Context, query string, args ...any) ([]Gap, error) {
	rows, err := r.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	gaps := []Gap{}
	for rows.Next() {
		var since, until sql.NullFloat64
		var source, kind, detail sql.NullString
		if err := rows.Scan(&since, &until, &source, &kind, &detail); err != nil {
			return nil, err
		}
		gaps = append(gaps, Gap{momentOf(since), momentOf(until), source.String, kind.String, detail.String})
	}
	return gaps, rows.Err()
}

// leastRecorded is how long must have been recorded before growth per day is worth telling: what is
// written at first (every process, every setting) is written once.
const leastRecorded = 10 * time.Minute

func (s *Status) readSize(ctx context.Context, r *Recording) error {
	if info, err := os.Stat(r.Path); err == nil {
		s.SizeBytes = info.Size()
	}
	if info, err := os.Stat(r.Path + "-wal"); err == nil {
		s.WALBytes = info.Size()
	}
	limits := store.Limits{}
	if s.MaxBytes != nil {
		limits.MaxSize = *s.MaxBytes
	}
	s.HeldBy = []string{}
	before := store.HeldBy(r.Path, limits)
	if len(before) > 0 {
		time.Sleep(100 * time.Millisecond) // who answers a question is done
	}
	for _, reader := range store.HeldBy(r.Path, limits) {
		if slices.Contains(before, reader) && (s.PID == nil || reader.PID != *s.PID) && reader.PID != os.Getpid() {
			s.HeldBy = append(s.HeldBy, reader.String())
		}
	}
	if s.RecordedS < leastRecorded.Seconds() {
		return nil
	}
	// Each table and index has a page of its own before anything is recorded.
	var used, bytes float64
	if err := r.ask(ctx, `SELECT (page_count - freelist_count) * page_size, (page_count - freelist_count - (SELECT count(*) FROM main.sqlite_schema WHERE rootpage > 0)) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`, &used, &bytes); err != nil {
		return err
	}
	perDay := max(0, bytes) / s.RecordedS * 86400
	s.BytesPerDay = &perDay
	if s.Recording {
		s.DiskFree = diskFree(r.Path)
	}
	s.Left.LimitDays, s.Left.DiskDays = s.daysLeft(used, s.DiskFree)
	if s.MaxBytes != nil && perDay > 0 && len(s.Thinned) == 0 {
		room := float64(*s.MaxBytes) / perDay * 86400
		s.RoomS = &room
	}
	return nil
}

func (s *Status) readSources(ctx context.Context, r *Recording) error {
	rows, err := r.conn.QueryContext(ctx, "SELECT source, outcome, coalesce(error, '') FROM sources_now ORDER BY source")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var source SourceStatus
		if err := rows.Scan(&source.Source, &source.Outcome, &source.Error); err != nil {
			return err
		}
		if source.Outcome == store.Off.String() {
			if !slices.Contains(s.Off, source.Source) { // once for all network namespaces
				s.Off = append(s.Off, source.Source)
			}
			continue
		}
		s.Sources++
		if !slices.Contains([]string{store.Read.String(), store.Kept.String()}, source.Outcome) {
			s.Troubled = append(s.Troubled, source)
		}
	}
	return rows.Err()
}

func (s *Status) readPrivileges(ctx context.Context, r *Recording) error {
	return r.each(ctx, `SELECT name, available, detail FROM capabilities
		WHERE run = (SELECT max(run) FROM runs) AND name LIKE 'CAP\_%' ESCAPE '\' ORDER BY name`, nil, func(row []any) {
		s.Privileges = append(s.Privileges, Privilege{textOfLabel(row[0]), row[1] == int64(1), textOfLabel(row[2])})
	})
}

// readCost compares the newest sample with the first one of the same run in the hour before it.
func (s *Status) readCost(ctx context.Context, r *Recording) error {
	var cpu, over sql.NullFloat64
	var rss sql.NullInt64
	if err := r.ask(ctx, `SELECT z.cpu_s - a.cpu_s, z.uptime_s - a.uptime_s, z.rss_bytes
		FROM (SELECT * FROM samples ORDER BY ts DESC LIMIT 1) z
		JOIN samples a ON a.ts = (SELECT min(ts) FROM samples WHERE ts >= z.ts - 3600 AND run = z.run)`, &cpu, &over, &rss); err != nil {
		return err
	}
	if over.Float64 > 0 && cpu.Valid {
		percent := 100 * cpu.Float64 / over.Float64
		s.CPUPercent, s.CPUOverS = &percent, over.Float64
	}
	if rss.Int64 > 0 {
		s.RSSBytes = &rss.Int64
	}
	return nil
}

// behindAfter is how many intervals the newest sample may be old, and behindLeast how long at least, before the recorder is behind.
const (
	behindAfter = 3
	behindLeast = 15 * time.Second
)

// Trouble says in a sentence why the recording is not what a monitor expects: nobody records, or the newest sample is too old. "" where all is well.
func (s Status) Trouble() string {
	late := max(behindLeast.Seconds(), behindAfter*s.IntervalS)
	switch {
	case s.OtherName: // how fresh it is, is not seen under this name
		return ""
	case !s.Recording:
		return "nobody records: " + strings.TrimPrefix(s.stateText(), "not recording: ")
	case s.LastAgeS == nil && s.Now.Sub(s.RunSince.Time).Seconds() > late:
		return "the recorder has taken no sample yet"
	case s.LastAgeS != nil && *s.LastAgeS > late && s.Now.Sub(s.RunSince.Time).Seconds() > late:
		return fmt.Sprintf("the recorder is behind: its newest sample is %s old, and one is due every %s", spanText(*s.LastAgeS, " "), spanText(s.IntervalS, " "))
	}
	return ""
}

// JSON is the status as one JSON object.
func (s Status) JSON() ([]byte, error) {
	s.Left = Left{finite(s.Left.LimitDays), finite(s.Left.DiskDays)}
	return json.MarshalIndent(s, "", "  ")
}

// Write prints the status for people, on 80 columns.
func (s Status) Write(w io.Writer) error {
	b := paragraphs{width: 80, indent: 12}
	b.item("recording", s.Path)
	b.item("", s.UUID)
	b.item("state", s.stateText())
	b.item("last sample", s.lastText())
	if s.Samples > 0 {
		b.item("kept", fmt.Sprintf("%s in %s, since %s", plural(s.Samples, "sample"),
			spanText(s.Last.Sub(s.First.Time).Seconds(), " "), localTime(s.First.Truncate(time.Second))))
		b.item("", s.limitsText())
	}
	b.item("size", s.sizeText())
	b.item("gaps", s.gapsText())
	for _, g := range s.LatestGaps {
		b.item("", g.String())
	}
	b.item("sources", s.sourcesText())
	for _, t := range s.Troubled {
		b.item("", strings.TrimSuffix(escapeControls(fmt.Sprintf("%s %s: %s", t.Source, t.Outcome, t.Error)), ": "))
	}
	if len(s.Off) > 0 {
		b.item("", "switched off: "+escapeControls(strings.Join(s.Off, ", ")))
	}
	if len(s.Privileges) > 0 {
		b.item("privileges", s.privilegesText())
	}
	for _, p := range s.Privileges {
		if !p.Available {
			b.item("", escapeControls("without "+p.Name+": "+p.Detail))
		}
	}
	b.item("recorder", s.costText())
	if s.Host != "" || s.Kernel != "" {
		b.item("host", strings.Trim(escapeControls(s.Host)+", kernel "+escapeControls(s.Kernel), ", "))
	}
	_, err := io.WriteString(w, Safe(b.String()))
	return err
}

func (s Status) stateText() string {
	run := ""
	if s.Version != "" {
		run = " by netsql " + escapeControls(s.Version)
	}
	switch {
	case s.OtherName: // of which run, nothing here says for certain
		return "recording under another name of the same file, by a process that is not known; what it has not written back into the file is not seen under this name"
	case s.Recording && s.PID == nil:
		return fmt.Sprintf("recording%s, by a process that is not known", run)
	case s.Recording:
		return fmt.Sprintf("recording%s, process %d, since %s (%s)", run, *s.PID, localTime(s.RunSince.Truncate(time.Second)),
			spanText(s.Now.Sub(s.RunSince.Time).Seconds(), " "))
	case s.RunSince.IsZero():
		return "not recording: start with netsql record"
	case s.Unclosed:
		return fmt.Sprintf("not recording: the last run%s ended without closing the recording", run)
	}
	return fmt.Sprintf("not recording: the last run%s was stopped at %s", run, localTime(s.RunUntil.Truncate(time.Second)))
}

func (s Status) lastText() string {
	interval := spanText(s.IntervalS, " ")
	switch {
	case s.Samples > 0:
		return fmt.Sprintf("%s (%s ago); one every %s", localTime(s.Last.Truncate(time.Second)), spanText(max(0, *s.LastAgeS), " "), interval)
	case s.Recording:
		return "none yet; one every " + interval
	}
	return "none: nothing was recorded"
}

func (s Status) sizeText() string {
	text := bytesText(float64(s.SizeBytes))
	if s.WALBytes > 0 {
		text += " and " + bytesText(float64(s.WALBytes)) + " in its -wal"
	}
	if len(s.HeldBy) > 0 {
		text += fmt.Sprintf(", which is not cut back while %s reads", escapeControls(strings.Join(s.HeldBy, " and ")))
	}
	if s.BytesPerDay == nil {
		return fmt.Sprintf("%s; growth is told after %s of recording", text, spanText(leastRecorded.Seconds(), " "))
	}
	text = fmt.Sprintf("%s; grows by about %s a day (what is kept, divided by the %s recorded)", text,
		bytesText(*s.BytesPerDay), spanText(s.RecordedS, " "))
	if days := finite(s.Left.DiskDays); days != nil && s.DiskFree != nil {
		text += fmt.Sprintf("; the disk has %s free, and is full in %s", bytesText(*s.DiskFree), spanText(*days*86400, " "))
	}
	return text
}

// roomText is what there is room for; "" where that is not known.
func (s Status) roomText() string {
	switch {
	case s.RoomS == nil:
		return ""
	case s.KeepS != nil && *s.RoomS >= *s.KeepS:
		return "all of it"
	}
	return fmt.Sprintf("every sample of %s, of what is older one in each minute stays, then one in each hour", spanText(*s.RoomS, " "))
}

// Forecast says how far back the recording will reach, and at which detail, if it grows on as it does; "" where that is not known yet.
func (s Status) Forecast() string {
	room := s.roomText()
	switch {
	case room == "" || s.BytesPerDay == nil || s.MaxBytes == nil:
		return ""
	case s.KeepS != nil && *s.RoomS >= *s.KeepS:
		room = "every sample of the " + spanText(*s.KeepS, " ") + " that are kept"
	}
	return fmt.Sprintf("%s a day are recorded: %s have room for %s", bytesText(*s.BytesPerDay), bytesText(float64(*s.MaxBytes)), room)
}

func (s Status) limitsText() string {
	keep, size := "for ever", "without a limit of size"
	if s.KeepS != nil {
		keep = "for " + spanText(*s.KeepS, " ")
	}
	if s.MaxBytes != nil {
		size = "up to " + bytesText(float64(*s.MaxBytes))
	}
	text := fmt.Sprintf("samples are kept %s, %s", keep, size)
	if room := s.roomText(); room != "" {
		text += "; at this rate there is room for " + room
	}
	for _, g := range s.Thinned {
		text += fmt.Sprintf("; before %s %s", localTime(g.Until.Truncate(time.Second)), g.Detail)
	}
	if !s.Rollups.IsZero() && s.Rollups.Before(s.First.Time) {
		text += "; roll-ups go back to " + localTime(s.Rollups.Time)
	}
	return text
}

func (s Status) gapsText() string {
	switch {
	case s.Gaps == 0:
		return "none"
	case s.Gaps > len(s.LatestGaps):
		return fmt.Sprintf("%s; nobody looked for %s in all; the latest of them:", count(int64(s.Gaps)), spanText(s.UnwatchedS, " "))
	}
	return fmt.Sprintf("%d; nobody looked for %s in all", s.Gaps, spanText(s.UnwatchedS, " "))
}

func (s Status) sourcesText() string {
	if s.Sources == 0 {
		return "none was read yet"
	}
	if len(s.Troubled) == 0 {
		return fmt.Sprintf("all %d give everything", s.Sources)
	}
	return fmt.Sprintf("%d of %d do not give everything:", len(s.Troubled), s.Sources)
}

func (s Status) privilegesText() string {
	lacking := 0
	for _, p := range s.Privileges {
		if !p.Available {
			lacking++
		}
	}
	if lacking == 0 {
		return fmt.Sprintf("all %d that a recorder uses", len(s.Privileges))
	}
	return fmt.Sprintf("%d of %d are missing:", lacking, len(s.Privileges))
}

func (s Status) costText() string {
	text := "CPU time is told after two samples"
	if s.CPUPercent != nil {
		text = fmt.Sprintf("%.1f %% of one core over the last %s", *s.CPUPercent, spanText(s.CPUOverS, " "))
	}
	if s.RSSBytes != nil {
		text += ", " + bytesText(float64(*s.RSSBytes)) + " of memory"
	}
	return text
}
