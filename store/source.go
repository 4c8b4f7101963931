package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// An Outcome says how a source fared in a sample.
type Outcome int

const (
	// Unread sources were not asked, or failed: what they knew ends.
	Unread Outcome = iota
	// Read sources gave all there is.
	Read
	// Incomplete sources gave what they may see, and said what is missing.
	Incomplete
	// Kept sources were not read: the kernel would have told of a change, or they are read only so often. Their subjects
	// stay as they were last read.
	Kept
	// Failed sources lose their rows of the sample.
	Failed
	// Off sources were not asked, because the user does not want them: what they would know is unknown.
	Off
)

func (o Outcome) String() string {
	return [...]string{"unread", "read", "incomplete", "kept", "failed", "off"}[o]
}

// ErrKept is returned by a reader that has nothing new to say: all its subjects stay as
// they are.
var ErrKept = errors.New("kept")

// A PartialError is returned by a reader that gave true rows, but not all. Its text goes
// into the recording's gaps: it should say what to grant, and not vary from sample to sample.
type PartialError struct{ Missing string }

func (e *PartialError) Error() string { return e.Missing }

// An OffError is returned by a reader that does not look because its source is switched off. Its text goes into the recording's
// gaps: it should say by what, and not vary from sample to sample.
type OffError struct{ By string }

func (e *OffError) Error() string { return "switched off by " + e.By }

// A Source is one thing that is read in every sample: the tcp sockets, the routes. It
// stands or falls as a whole, and its outcome is recorded.
type Source struct {
	writer   *Writer
	name     string
	netns    Int
	sets     []anySet
	outcome  Outcome
	err      string
	duration time.Duration
	gap      *openGap
	off      *OffError // what its reader gave last, when it is switched off
	retired  bool      // its namespace is gone
	lost     string    // what was missed since the last sample, for gaps
}

// Source adds a source to the recording: one that is of the whole machine. Its sets are made with NewSet.
func (w *Writer) Source(name string) *Source { return w.SourceIn(Int{}, name) }

// SourceIn adds a source that is read in a network namespace.
func (w *Writer) SourceIn(netns Int, name string) *Source {
	s := &Source{writer: w, name: name, netns: netns}
	w.sources = append(w.sources, s)
	return s
}

// Retire says that a network namespace is gone: with the sample under way, everything that its sources knew is.
func (w *Writer) Retire(netns Int) {
	for _, s := range w.sources {
		if s.netns == netns {
			s.retired, s.outcome = true, Read
		}
	}
}

// Unreachable says that the sources of a network namespace could not be read in this sample.
func (w *Writer) Unreachable(netns Int, err error) {
	for _, s := range w.sources {
		switch {
		case s.netns != netns:
		case s.off != nil: // nobody would have read it
			s.Read(func() error { return s.off })
		default:
			s.Read(func() error { return err })
		}
	}
}

// forgetRetired takes out the sources of namespaces that are gone, once that is written.
func (w *Writer) forgetRetired() {
	w.sources = slices.DeleteFunc(w.sources, func(s *Source) bool {
		if s.retired {
			for _, set := range s.sets {
				set.retire()
			}
		}
		return s.retired
	})
}

func (set *Set[ID, V]) retire() {
	set.table.sets = slices.DeleteFunc(set.table.sets, func(o *Set[ID, V]) bool { return o == set })
}

func (set *LogSet[V]) retire() {
	set.table.sets = slices.DeleteFunc(set.table.sets, func(o *LogSet[V]) bool { return o == set })
}

// Name returns the name the source is recorded under.
func (s *Source) Name() string { return s.name }

// Read calls read, which Puts the source's rows of the current sample, and takes note of
// how it went. A reader that returns an error or panics loses its rows; ErrKept and a
// PartialError are accepted. Read may be called more than once in a sample: times add up,
// and once failed or off it stays so. It reports whether the rows so far are accepted.
func (s *Source) Read(read func() error) bool {
	if !s.looked() {
		return false
	}
	start := time.Now()
	err := guarded(read)
	s.duration += time.Since(start)
	var partial *PartialError
	var off *OffError
	switch {
	case err == nil:
		if s.outcome == Unread {
			s.outcome = Read
		}
	case errors.Is(err, ErrKept):
		if s.outcome == Unread {
			s.outcome = Kept
		}
	case errors.As(err, &partial):
		s.outcome, s.err = Incomplete, partial.Missing
	case errors.As(err, &off):
		s.outcome, s.err, s.off = Off, off.By, off
	default:
		s.outcome, s.err = Failed, err.Error()
	}
	if s.looked() {
		return true
	}
	for _, set := range s.sets {
		set.drop()
	}
	return false
}

// looked reports whether nothing speaks against the rows of this sample so far.
func (s *Source) looked() bool { return s.outcome != Failed && s.outcome != Off }

// Lost says, in words, what the source knows to have missed since the last sample, such as events that the kernel
// dropped: a row of gaps, for this once.
func (s *Source) Lost(what string) { s.lost = what }

// Troubles says, in a sentence each, which sources failed or were incomplete in the last sample. Those that failed alike share one.
func (w *Writer) Troubles() []Notice {
	var said []Notice
	failed := map[string]int{} // by error
	for _, s := range w.sources {
		switch s.outcome {
		case Incomplete:
			said = append(said, Notice{Priority: PriorityNotice, Text: s.err, About: s.name})
		case Kept: // what the last reading lacks is still missing
			if s.gap != nil && s.gap.kind == gapIncomplete {
				said = append(said, Notice{Priority: PriorityNotice, Text: s.gap.detail, About: s.name})
			}
		case Failed:
			if i, ok := failed[s.err]; ok {
				if n := &said[i]; !slices.Contains(strings.Split(n.About, ", "), s.name) {
					n.About += ", " + s.name
				}
				continue
			}
			failed[s.err] = len(said)
			said = append(said, Notice{Priority: PriorityWarning, Text: s.err, About: s.name})
		}
	}
	for _, i := range failed {
		said[i].Text = said[i].About + " could not be read: " + said[i].Text
	}
	return said
}

// guarded turns a panic into an error: procfs, for one, panics on short lines.
func guarded(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v at %s", p, panicPlace(debug.Stack()))
		}
	}()
	return read()
}

func (s *Source) begin() {
	s.outcome, s.err, s.duration, s.lost = Unread, "", 0, ""
	if s.retired {
		s.outcome = Read // once more, because the last commit failed
	}
	for _, set := range s.sets {
		set.begin()
	}
}

func (s *Source) rows() int {
	n := 0
	for _, set := range s.sets {
		n += set.rows()
	}
	return n
}

// panicPlace is the first line of ours, or of a library, below the panic.
func panicPlace(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") && i+3 < len(lines) {
			place, _, _ := strings.Cut(strings.TrimSpace(lines[i+3]), " ")
			return filepath.Base(place)
		}
	}
	return "an unknown place"
}
