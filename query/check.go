package query

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"netsql/store"
)

// CheckOptions and RecoverOptions are those of package store.
type (
	CheckOptions   = store.CheckOptions
	RecoverOptions = store.RecoverOptions
)

// CheckReport is what Check found.
type CheckReport struct{ store.CheckReport }

// Check verifies a recording without changing it; see store.Check for what it holds, and what it cannot find.
func Check(ctx context.Context, path string, o CheckOptions) (CheckReport, error) {
	r, err := store.Check(ctx, path, o)
	return CheckReport{r}, err
}

// Write writes a line for each finding, or one that says that there is none.
func (r CheckReport) Write(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s\n", f.Kind, escapeControls(f.Text))
	}
	for _, kind := range r.Kinds {
		if more := r.Counts[kind] - countKind(r.Findings, kind); more > 0 {
			fmt.Fprintf(&b, "%s: and %d more\n", kind, more)
		}
	}
	if r.Sound() {
		looked := plural(r.Spans, "span")
		if r.Quick {
			looked = "as far as was looked: spans, logs and sums were not"
		}
		fmt.Fprintf(&b, "sound: %s, %s", r.extent(), looked)
		if r.Recovered {
			b.WriteString("; it was saved from a damaged one: SELECT * FROM gaps WHERE kind = 'damaged' says what is missing")
		}
		b.WriteString("\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func countKind(findings []store.Finding, kind string) (n int64) {
	for _, f := range findings {
		if f.Kind == kind {
			n++
		}
	}
	return n
}

// Total is how many findings there are, with those that are not told.
func (r CheckReport) Total() (n int64) {
	for _, count := range r.Counts {
		n += count
	}
	return n
}

func (r CheckReport) extent() string { return extentText(r.Samples, r.First, r.Last) }

func extentText(samples int64, first, last float64) string {
	if samples == 0 {
		return "no sample yet"
	}
	return fmt.Sprintf("%s from %s to %s", plural(samples, "sample"), localTime(unixTime(first)), localTime(unixTime(last)))
}

// Recovered is what could be saved of a damaged recording.
type Recovered struct{ store.Recovered }

// Recover writes a new recording with all that can be read of a damaged one, which it does not touch; see store.Recover.
func Recover(ctx context.Context, damaged, path string, o RecoverOptions) (Recovered, error) {
	r, err := store.Recover(ctx, damaged, path, o)
	return Recovered{r}, err
}

// Write writes what was saved and lost, as a table.
func (r Recovered) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", extentText(r.Samples, r.First, r.Last))
	if r.LostSamples > 0 {
		fmt.Fprintf(&b, "; %d in between or after them are lost", r.LostSamples)
	}
	b.WriteString("\n\n")
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "rows saved\trows lost\tpages lost\t  table")
	for _, t := range r.Tables {
		fmt.Fprintf(table, "%d\t%d\t%d\t  %s\n", t.Saved, t.Lost, t.Pages, t.Name)
	}
	table.Flush()
	if len(r.Notes) > 0 {
		b.WriteString("\n")
	}
	for _, note := range r.Notes {
		b.WriteString(note + "\n")
	}
	_, err := io.WriteString(w, Safe(b.String()))
	return err
}
