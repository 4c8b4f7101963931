package query

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// aroundSpan is how far .around looks to both sides when it is not told.
	aroundSpan = time.Minute
	// aroundRows is what a person reads through; beyond it what is alike is summed up.
	aroundRows = 40
	// aroundMost is where the list ends all the same.
	aroundMost = 200
)

// A happening is a line of .around.
type happening struct {
	ts            float64
	object, event string
	what          string
	was, now      any
	pid, comm     any
	count         int64
	netns         any
}

// around is .around TIME [SPAN]: what happened about a moment, and which counters stood out then.
func (s *Shell) around(ctx context.Context, arg string) error {
	moment, span, err := aroundArgs(arg, time.Now())
	if err != nil {
		return err
	}
	r := s.recording
	since, until := moment.Add(-span), moment.Add(span)
	if err := s.checkWithin(ctx, since, until, moment); err != nil {
		return err
	}
	unpin, err := r.pinWindow(ctx, unixSeconds(since), unixSeconds(until))
	if err != nil {
		return err
	}
	defer unpin() // the window is the user's
	all, err := s.happenings(ctx)
	if err != nil {
		return s.recording.explain(err)
	}
	n := len(all)
	counters, notes, err := s.counterHappenings(ctx, unixSeconds(since), unixSeconds(until))
	if err != nil {
		return s.recording.explain(err)
	}
	summed, cut := false, false
	if n > aroundRows {
		all = sumUp(all)
		summed = len(all) < n
	}
	all = append(all, counters...)
	slices.SortStableFunc(all, func(a, b happening) int { return cmp.Compare(a.ts, b.ts) })
	if len(all) > aroundMost {
		all, cut = all[:aroundMost], true
	}
	if err := s.printHappenings(ctx, all); err != nil {
		return err
	}
	note := func(text string) { fmt.Fprintf(s.config.Err, "note: %s\n", text) }
	every := fmt.Sprintf("SELECT * FROM events; shows each, after .since %s and .until %s", localTime(since), localTime(until))
	switch {
	case cut:
		note(fmt.Sprintf("%s; these are the first %d lines: %s", plural(int64(n), "event"), aroundMost, every))
	case summed:
		note(fmt.Sprintf("%s, what is alike summed up: %s", plural(int64(n), "event"), every))
	case n == 0 && len(counters) == 0:
		note(fmt.Sprintf("nothing happened from %s to %s", localTime(since), localTime(until)))
	}
	for _, text := range notes {
		note(text)
	}
	return nil
}

// aroundArgs reads a time and the span behind it, which may be left out.
func aroundArgs(arg string, now time.Time) (moment time.Time, span time.Duration, err error) {
	if arg == "" {
		return moment, 0, errors.New("around which time? .around 03:14, say, or .around 03:14 5m")
	}
	words := quotedFields(arg)
	// The longest end that is a span; the rest must be a time by itself, so that "10m ago" stays one.
	for i := 1; i < len(words); i++ {
		span, err := ParseDuration(strings.Join(words[i:], " "))
		if err != nil || span <= 0 {
			continue
		}
		if moment, err := ParseTime(strings.Join(words[:i], " "), now); err == nil {
			return moment, span, nil
		}
	}
	moment, err = ParseTime(strings.Join(words, " "), now)
	return moment, aroundSpan, err
}

// quotedFields parts words at blanks, but not within quotes, which it drops.
func quotedFields(text string) []string {
	var words []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		if end := strings.IndexByte(text[1:], text[0]); end >= 0 && (text[0] == '\'' || text[0] == '"') {
			words, text = append(words, text[1:1+end]), text[end+2:]
			continue
		}
		word, rest, _ := strings.Cut(text, " ")
		words, text = append(words, word), rest
	}
	return words
}

// checkWithin says when there is nothing to ask between two times, and, as a note, when nobody looked at the moment.
func (s *Shell) checkWithin(ctx context.Context, since, until, moment time.Time) error {
	r := s.recording
	if time.Until(moment) > time.Second {
		return fmt.Errorf("%s is in the future: nothing is recorded there yet", localTime(moment))
	}
	first, last, samples, err := r.Extent(ctx)
	switch {
	case err != nil:
		return err
	case samples == 0:
		return errors.New("the recording has no sample yet: wait for the first")
	case until.Before(first) || since.After(last):
		return fmt.Errorf("nothing is known of %s to %s: the recording goes from %s to %s", localTime(since), localTime(until), localTime(first), localTime(last))
	case moment.Before(first):
		return nil
	}
	if err := r.refreshLimit(ctx); err != nil {
		return err
	}
	_, note, err := r.lastSample(ctx, r.conn.Conn, tablesOf{}, moment)
	if err == nil && note != "" {
		fmt.Fprintf(s.config.Err, "note: %s\n", note)
	}
	return err
}

// happenings are the events of the window.
func (s *Shell) happenings(ctx context.Context) ([]happening, error) {
	rows, err := s.recording.Query(ctx, "SELECT ts, object, event, coalesce(what, ''), was, now, pid, comm, count, netns FROM events")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []happening
	for rows.Next() {
		var h happening
		if err := rows.Scan(&h.ts, &h.object, &h.event, &h.what, &h.was, &h.now, &h.pid, &h.comm, &h.count, &h.netns); err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, rows.Err()
}

// counterHappenings are the counters that stood out, each at the sample in which it grew most.
func (s *Shell) counterHappenings(ctx context.Context, since, until float64) (all []happening, notes []string, err error) {
	c, ok, err := s.recording.compare(ctx, since, until)
	if err != nil || !ok {
		return nil, nil, err
	}
	found, more, err := s.recording.outliers(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	for _, o := range found {
		h := happening{ts: o.ts, object: "counter", event: "grew", what: o.key.what, pid: o.pid, comm: o.comm, count: 1}
		h.was, h.now = o.texts(c.before, c.within)
		if o.key.netns >= 0 {
			h.netns = o.key.netns
		}
		all = append(all, h)
	}
	if more > 0 {
		notes = append(notes, fmt.Sprintf("%s more stood out less: protocol_deltas and interface_deltas have all", plural(int64(more), "counter")))
	}
	if c.first == c.begin {
		notes = append(notes, "no sample of the same boot lies before, so that counters have nothing to be compared with: only errors and drops are shown")
	}
	return all, notes, nil
}

// sumUp makes one line of what is alike, until a person can read it through: first what is of the same process and at the
// same port, then of the same program, of the same kind, and at last in all network namespaces. Notes and gaps are never summed up.
func sumUp(all []happening) []happening {
	var summed []happening
	for _, by := range []likeness{{pid: true, comm: true, port: true, netns: true, alone: 3}, {comm: true, port: true, netns: true, alone: 1}, {port: true, netns: true, alone: 1}, {alone: 1}} {
		if summed = by.sumUp(all); len(summed) <= aroundRows {
			break
		}
	}
	return summed
}

// A likeness says what must be the same for two lines to become one; so many stand alone all the same.
type likeness struct {
	pid, comm, port, netns bool
	alone                  int
}

func (by likeness) sumUp(all []happening) []happening {
	type group struct{ object, event, pid, comm, kind, netns string }
	groupOf := func(h happening) group {
		g := group{object: h.object, event: h.event, kind: kindOf(h)}
		if !by.port && h.object == "socket" {
			g.kind = protoOf(h.what) + " sockets"
		}
		if by.netns {
			g.netns = fmt.Sprint(h.netns)
		}
		if by.pid {
			g.pid = fmt.Sprint(h.pid)
		}
		if by.comm {
			g.comm = fmt.Sprint(h.comm)
		}
		return g
	}
	sizes := map[group]int{}
	for _, h := range all {
		sizes[groupOf(h)]++
	}
	var kept []happening
	place := map[group]int{} // in kept
	last := map[group]float64{}
	for _, h := range all {
		g := groupOf(h)
		if sizes[g] <= by.alone || h.object == "note" || h.object == "gap" {
			kept = append(kept, h)
			continue
		}
		last[g] = h.ts
		i, ok := place[g]
		if !ok {
			place[g] = len(kept)
			kept = append(kept, h)
			continue
		}
		k := &kept[i]
		k.count += h.count
		if k.pid != h.pid {
			k.pid = nil
		}
		if k.comm != h.comm {
			k.comm = nil
		}
		if k.netns != h.netns {
			k.netns = nil
		}
	}
	for g, i := range place {
		h := &kept[i]
		what := g.kind
		if what == "" {
			what = "such as " + h.what
		}
		h.what = fmt.Sprintf("%s × %s, until %s", count(h.count), what, unixTime(last[g]).Format("15:04:05"))
		h.was, h.now = nil, nil
	}
	return kept
}

// kindOf is what makes sockets alike: the protocol, and the port of the service at either end. Of other things it is nothing.
func kindOf(h happening) string {
	switch h.object {
	case "listener":
		proto, _, _ := strings.Cut(h.what, " ")
		return proto + " listeners"
	case "socket":
	default:
		return ""
	}
	kind := ""
	if h.event == "state" {
		kind = fmt.Sprintf("%v → %v, ", h.was, h.now)
	}
	proto := protoOf(h.what)
	_, ends, _ := strings.Cut(h.what, proto+" ")
	local, remote, connected := strings.Cut(ends, " ↔ ")
	if proto == "unix" || !connected {
		return kind + proto + " sockets"
	}
	return kind + proto + " " + serviceEnd(proto, portOf(local), portOf(remote))
}

// protoOf is the first word of a socket, behind its number if it is several.
func protoOf(what string) string {
	if _, one, many := strings.Cut(what, " × "); many {
		what = one
	}
	proto, _, _ := strings.Cut(what, " ")
	return proto
}

func portOf(end string) int {
	port, _ := strconv.Atoi(end[strings.LastIndexByte(end, ':')+1:])
	return port
}

// serviceEnd says which of two ports is that of a service: the lower, as a rule, for clients take high ones.
func serviceEnd(proto string, local, remote int) string {
	arrow, port := "to :", local
	if local == 0 || remote > 0 && remote < local {
		arrow, port = "from here to :", remote
	}
	if port == 0 {
		return "of many ports"
	}
	text := arrow + strconv.Itoa(port)
	if name := serviceName(float64(port), proto); name != "" {
		text += " (" + name + ")"
	}
	return text
}

// change is what it was before and what it is now, in one text. Of what came or went, all its values would be a line of
// their own: events has them.
func (h happening) change() string {
	switch {
	case h.object == "counter":
		return fmt.Sprintf("%v, %v", h.now, h.was)
	case h.was != nil && h.now != nil:
		return changeText(text(h.was), text(h.now))
	case h.ts > 0 && (h.event == "added" || h.event == "removed"):
		return ""
	case h.was != nil:
		return fmt.Sprintf("was %v", h.was)
	}
	return text(h.now)
}

// printHappenings shows what was worked out here: to people as a list, to programs as rows with the columns of events.
func (s *Shell) printHappenings(ctx context.Context, all []happening) error {
	timed := len(all) == 0 || all[0].ts > 0
	if s.mode == "box" && s.suffix == "" {
		return s.printListing(ctx, all)
	}
	names := []string{"object", "event", "what", "was", "now", "netns"}
	if timed {
		names = []string{"ts", "object", "event", "what", "was", "now", "pid", "comm", "count", "netns"}
	}
	var rows [][]any
	for _, h := range all {
		row := []any{h.object, h.event, h.what, h.was, h.now, h.netns}
		if timed {
			row = []any{h.ts, h.object, h.event, h.what, h.was, h.now, h.pid, h.comm, h.count, h.netns}
		}
		rows = append(rows, row)
	}
	return s.printRows(names, rows)
}

// printRows prints what was worked out here as the rows of a statement are printed.
func (s *Shell) printRows(names []string, rows [][]any) error {
	_, err := s.print(&madeRows{rows: rows}, names, "")
	if s.once != nil {
		err = errors.Join(err, s.once.Close())
		s.once, s.suffix = nil, ""
	}
	return err
}

// rowReader is what print needs of rows.
type rowReader interface {
	Next() bool
	Scan(into ...any) error
	Err() error
}

var _ rowReader = (*sql.Rows)(nil)

// madeRows are rows that no statement gave.
type madeRows struct {
	rows [][]any
	next int
}

func (r *madeRows) Next() bool { r.next++; return r.next <= len(r.rows) }
func (r *madeRows) Err() error { return nil }

func (r *madeRows) Scan(into ...any) error {
	row := r.rows[r.next-1]
	if len(row) != len(into) {
		return io.ErrUnexpectedEOF
	}
	for i, v := range row {
		*into[i].(*any) = v
	}
	return nil
}
