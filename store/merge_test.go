package store

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// twoHosts are recordings of two hosts, made at random, of which the first goes on while it is copied: its recorder is still open.
func twoHosts(t *testing.T, seed uint64) (paths []string) {
	for i := range uint64(2) {
		h := newHistory(t, 5100+2*seed+i)
		h.limits.MaxSize = 1 << 30
		h.start()
		for range 60 {
			h.step()
			if h.rand.IntN(25) == 0 {
				if err := h.w.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				h.restart()
			}
		}
		if i == 1 {
			if err := h.w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		paths = append(paths, h.path)
	}
	return paths
}

// Each view of a merged file says of a host what the view of its recording says, with the names of SQLite only.
func TestMergedFileSaysWhatItsRecordingsSay(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(1, 2) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			hosts, paths := []string{"web-1", "it's 2"}, twoHosts(t, seed)
			path := filepath.Join(t.TempDir(), "both.db")
			if _, err := Merge(t.Context(), path, []Part{{hosts[0], paths[0]}, {hosts[1], paths[1]}}); err != nil {
				t.Fatal(err)
			}
			merged := opened(t, path)
			if got := texts(t, merged, "PRAGMA integrity_check"); !slices.Equal(got, []string{"ok"}) {
				t.Fatal(got)
			}
			if got := texts(t, merged, "SELECT host FROM hosts ORDER BY host DESC"); !slices.Equal(got, hosts) {
				t.Errorf("hosts: %q", got)
			}
			rows, empty, deep := 0, 0, 0
			for i, host := range hosts {
				// A backup is the recording as if the recorder had been stopped: so it is in the merged file.
				alone := filepath.Join(t.TempDir(), "alone.db")
				copied, err := Backup(t.Context(), paths[i], alone)
				if err != nil {
					t.Fatal(err)
				}
				one := opened(t, alone)
				if got, want := texts(t, merged, "SELECT samples, first, last, recording FROM hosts WHERE host = ?", host),
					texts(t, one, "SELECT count(*), min(ts), max(ts), (SELECT uuid FROM recording) FROM sample WHERE back IS NOT 0"); !slices.Equal(got, want) {
					t.Errorf("hosts says of %s %q, it has %q", host, got, want)
				}
				if want := texts(t, one, "SELECT count(*), min(ts), max(ts) FROM sample WHERE back IS NOT 0"); want[0] != strings.Join(texts(t, merged, "SELECT ?, ?, ?", copied.Samples, copied.First, copied.Last), "") {
					t.Errorf("the backup has %q, its result says %+v", want, copied)
				}
				runs := texts(t, opened(t, paths[i]), "SELECT id, coalesce(stopped, max(started, (SELECT max(ts) FROM sample))) FROM run")
				if diff := cmp.Diff(runs, texts(t, one, "SELECT id, stopped FROM run")); diff != "" {
					t.Errorf("runs (- recording, + backup):\n%s", diff)
				}
				for _, v := range Views() {
					if v.OfNoHost() {
						continue
					}
					of, is := "", ""
					for _, c := range v.Columns {
						is += ", " + identifier(c.Name)
						if c.Name == "host" {
							c.Name = "host_name"
						}
						of += ", " + identifier(c.Name)
					}
					want := texts(t, one, fmt.Sprintf("SELECT %s FROM %s", is[2:], identifier(v.Name)))
					query, args := fmt.Sprintf("SELECT %s FROM %s WHERE host = ?", of[2:], identifier(v.Name)), []any{host}
					if _, err := merged.Exec(query, host); err != nil && strings.Contains(err.Error(), "nested too deep") {
						// More than this SQLite takes in one statement: the shell asks each host by itself.
						query, args = fmt.Sprintf("SELECT %s FROM %s", is[2:], identifier(host+"/"+v.Name)), nil
						deep++
					}
					got := texts(t, merged, query, args...)
					slices.Sort(want)
					slices.Sort(got)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Fatalf("%s of %s (- recording, + merged):\n%.2000s", v.Name, host, diff)
					}
					rows += len(got)
					if len(got) == 0 {
						empty++
					}
				}
				// And back.
				back := filepath.Join(t.TempDir(), "back.db")
				if _, err := TakeOut(t.Context(), path, host, back); err != nil {
					t.Fatal(err)
				}
				if r, err := Check(t.Context(), back, CheckOptions{}); err != nil || !r.Sound() {
					t.Fatal(err, r.Findings)
				}
				again := opened(t, back)
				for _, table := range texts(t, one, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'") {
					if diff := cmp.Diff(texts(t, one, "SELECT * FROM "+identifier(table)), texts(t, again, "SELECT * FROM "+identifier(table))); diff != "" && table != "recording" {
						t.Fatalf("%s of %s (- recording, + taken out):\n%.2000s", table, host, diff)
					}
				}
				// The recorder goes on with it.
				w, err := Create(t.Context(), Options{Path: back})
				if err != nil {
					t.Fatal(err)
				}
				if err := w.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d rows; %d of %d views have none, %d are too many at once", rows, empty, 2*len(Views()), deep)
			if rows < 10_000 || 2*len(Views())-empty < 60 || deep > 20 {
				t.Errorf("that shows too little")
			}
		})
	}
}

func opened(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// What cannot be merged is refused in a sentence, and leaves nothing behind.
func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	paths := twoHosts(t, 90)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	both := in("both.db")
	if _, err := Merge(t.Context(), both, []Part{{"a", paths[0]}, {"b", paths[1]}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("other"), []byte("of somebody"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path  string
		parts []Part
		want  string
	}{
		{in("x.db"), []Part{{"a", paths[0]}, {"A", paths[1]}}, "are both of host A: give each a name of its own, as in A-old="},
		{in("x.db"), []Part{{"a/b", paths[0]}, {"c", paths[1]}}, "is no name for a host"},
		{in("x.db"), []Part{{"a\n", paths[0]}, {"c", paths[1]}}, "is no name for a host"},
		{in("x.db"), []Part{{"", paths[0]}, {"c", paths[1]}}, "is no name for a host"},
		{in("x.db"), []Part{{"a", both}, {"c", paths[1]}}, "holds the recordings of several hosts"},
		{in("x.db"), []Part{{"a", in("none")}, {"c", paths[1]}}, "no recording there"},
		{in("other"), []Part{{"a", paths[0]}, {"c", paths[1]}}, "is there already"},
		{paths[0], []Part{{"a", paths[0]}, {"c", paths[1]}}, "is there already"},
		{in("no/x.db"), []Part{{"a", paths[0]}, {"c", paths[1]}}, "no folder"},
	} {
		if _, err := Merge(t.Context(), c.path, c.parts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.parts, err, c.want)
		}
	}
	if _, err := TakeOut(t.Context(), both, "c", in("x.db")); err == nil || !strings.Contains(err.Error(), "has no host c: it has a, b") {
		t.Error(err)
	}
	if _, err := TakeOut(t.Context(), paths[0], "a", in("x.db")); err == nil || !strings.Contains(err.Error(), "does not hold") {
		t.Error(err)
	}
	if _, err := Backup(t.Context(), paths[0], in("other")); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Error(err)
	}
	for _, open := range []func() error{
		func() error { _, err := Readable(t.Context(), both); return err },
		func() error { _, err := Create(t.Context(), Options{Path: both}); return err },
		func() error { _, _, err := Upgrade(t.Context(), both, nil); return err },
		func() error { _, err := Slice(t.Context(), both, in("x.db"), 0, 1e12); return err },
	} {
		if err := open(); err == nil || !strings.Contains(err.Error(), "holds the recordings of several hosts: ask it in SQL") {
			t.Error(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	// The second is the lock of Create.
	if diff := cmp.Diff([]string{"both.db", "both.db-recorder", "other"}, names); diff != "" {
		t.Error(diff)
	}
}

// Who may not read each of the recordings may not read what they were merged into.
func TestMergedFileIsOpenToNobodyElse(t *testing.T) {
	t.Parallel()
	paths := twoHosts(t, 91)
	if err := os.Chmod(paths[0], 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(paths[1], 0o604); err != nil {
		t.Fatal(err)
	}
	both, copied := filepath.Join(t.TempDir(), "both.db"), filepath.Join(t.TempDir(), "copy.db")
	if _, err := Merge(t.Context(), both, []Part{{"a", paths[0]}, {"b", paths[1]}}); err != nil {
		t.Fatal(err)
	}
	if _, err := Backup(t.Context(), paths[0], copied); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{both: 0o600, copied: 0o640} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", path, info.Mode(), err, want)
		}
	}
}
