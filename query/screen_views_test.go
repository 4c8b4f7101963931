package query

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// screened runs statements in a shell of a terminal of that size, and gives what it shows.
func screened(t *testing.T, r *Recording, width, height int, text string) (out, notes string) {
	t.Helper()
	var o, e bytes.Buffer
	s, err := NewShell(r, ShellConfig{Out: &o, Err: &e, Terminal: true, Width: func() int { return width }, Height: func() int { return height }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Script(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o.String(), e.String()
}

// What a newcomer types fits a screen: every view, some rows of it and all of it.
func TestEveryViewFitsTheScreen(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	for _, width := range []int{80, 200} {
		boxes := 0
		for _, v := range store.Views() {
			for _, limit := range []string{" LIMIT 5", ""} {
				if limit == "" && width > 80 {
					continue
				}
				statement := fmt.Sprintf("SELECT * FROM %q%s", v.Name, limit)
				got, notes := screened(t, r, width, 24, statement)
				if lines := strings.Count(got, "\n"); lines > 22 || lines == 0 {
					t.Errorf("%s at %d columns: %d lines\n%s", statement, width, lines, got)
				}
				for line := range strings.Lines(got) {
					if w := textWidth(strings.TrimSuffix(line, "\n")); w > width {
						t.Errorf("%s at %d columns: a line of %d\n%s", statement, width, w, got)
					}
				}
				switch {
				case strings.HasPrefix(got, "┌"):
					boxes++
				case strings.HasPrefix(got, "0 rows") && notes == "" && !strings.HasSuffix(v.Name, changesSuffix) && v.From != nil:
					t.Errorf("%s: nobody says why it is empty", statement)
				case !strings.HasPrefix(got, "0 rows") && !strings.Contains(got, " = "):
					t.Errorf("%s at %d columns: neither a table nor a row\n%s", statement, width, got)
				}
			}
		}
		if boxes < 20 {
			t.Errorf("only %d tables at %d columns", boxes, width)
		}
	}
}

// The whole result can be seen again, when the screen showed a part.
func TestLastShowsTheWholeResult(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	got, _ := screened(t, r, 60, 24, "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i, 'a long text that is cut ' || i AS cmdline, NULL AS x FROM n;\n.last")
	screen, all, ok := strings.Cut(got, "\n┌")
	if !ok || !strings.Contains(screen, "… 4,984 rows more …") || strings.Contains(screen, " 2000 ") {
		t.Errorf("the screen shows\n%s", screen)
	}
	if n := strings.Count(all, "a long text that is cut "); n != 5000 || !strings.Contains(all, "│ 2000 │ a long text that is cut 2000 │ NULL │") {
		t.Errorf("%d of 5000 rows, whole", n)
	}
}

// What happened and what differs are lists that a person reads: no line is wider than the screen, and each thing, what it was and what it is are whole
// as far as a few lines hold them.
func TestListingsFitTheScreen(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	from, to := began.Add(5*time.Second).Format(localSeconds), began.Add(50*time.Second).Format(localSeconds)
	for _, width := range []int{50, 80, 200} {
		for _, command := range []string{fmt.Sprintf(".around '%s' 60s", from), fmt.Sprintf(".diff '%s' '%s'", from, to)} {
			got, _ := screened(t, r, width, 24, command)
			if !strings.Contains(got, "rows of 20") && !strings.Contains(got, " row") {
				t.Errorf("%s does not say how many:\n%s", command, got)
			}
			for line := range strings.Lines(got) {
				if w := textWidth(strings.TrimSuffix(line, "\n")); w > width {
					t.Errorf("%s at %d columns: a line of %d\n%s", command, width, w, got)
				}
			}
		}
	}
	many := []happening{{ts: 1795400045, object: "process", event: "seen", what: strings.Repeat("word ", 100) + strings.Repeat("x", 100), pid: int64(7), comm: "\x1b[2J"},
		{ts: 1795400046.5, object: "interface", event: "changed", what: "eth0", was: "mtu=1500 qdisc=noop", now: "mtu=1400 qdisc=fq"},
		{ts: 1795400047, object: "setting", event: "changed", what: "net.core.somaxconn", was: "128", now: "4096"}}
	var b bytes.Buffer
	writeListing(&b, FormatOptions{Location: berlin, Width: 60}, many)
	want := `03:14:05  process seen       \x1b[2J (7): word word word
                             word word word word word word
                             word word word word word word…
03:14:06  interface changed  eth0
                               mtu=1500 → 1400, qdisc=noop →
                               fq
03:14:07  setting changed    net.core.somaxconn: 128 → 4096
3 rows of 2026-11-23, long texts cut (all: .mode line)
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Whatever a text holds, its lines are no wider than they may be, and nothing is lost.
func FuzzFoldedText(f *testing.F) {
	f.Add("a few words and averyveryverylongone", uint8(10))
	f.Add("世界世界世界 世界", uint8(3))
	f.Fuzz(func(t *testing.T, text string, width uint8) {
		room := max(int(width), 2)
		text = escapeControls(text)
		lines := foldedText(text, room)
		for _, line := range lines {
			if w := textWidth(strings.TrimRight(line, " ")); w > room {
				t.Fatalf("%q is %d wide, not %d", line, w, room)
			}
		}
		bare := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if bare(strings.Join(lines, "")) != bare(text) {
			t.Fatalf("%q became %q", text, lines)
		}
	})
}
