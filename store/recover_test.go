package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recordLittle records a random history, and returns it, closed.
func recordLittle(t testing.TB, seed uint64, samples int) *history {
	h := newHistory(t, seed)
	h.start()
	for range samples {
		h.step()
	}
	if err := h.w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// A sound recording is called sound, and what is recovered of it is all of it.
func TestRecoverSound(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 3)
	h.run(300)
	requireSound(t, h.path)
	saved := filepath.Join(t.TempDir(), "saved.db")
	result, err := Recover(t.Context(), h.path, saved, RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !result.KeptUUID || result.LostSamples != 0 || len(result.Notes) > 0 {
		t.Errorf("%+v", result)
	}
	for _, table := range result.Tables {
		if table.Lost+table.Pages+table.Rebuilt > 0 {
			t.Errorf("%+v", table)
		}
	}
	requireSound(t, saved)
	h.path = saved
	h.check()
	// Row by row it is the same.
	for _, name := range []string{"recording", "boot", "run", "sample", "gap", "process", "socket", "socket_tuple", "socket_span", "socket_open", "source_span"} {
		question := "SELECT * FROM " + name
		if name == "recording" {
			question = "SELECT uuid, created FROM recording"
		}
		if diff := cmp.Diff(ask(t, h.path, question), ask(t, saved, question)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func ask(t testing.TB, path, question string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return texts(t, db, question)
}

func requireSound(t testing.TB, path string) {
	t.Helper()
	if r, err := Check(t.Context(), path, CheckOptions{}); err != nil || !r.Sound() {
		t.Fatalf("check: %v, %v", r.Findings, err)
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// goesOn holds that a recorder can record into the file, in the boot that it knows and in another.
func goesOn(t testing.TB, path, boot string) {
	t.Helper()
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: boot}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("source0")
	set := NewSet(src, Sockets)
	for i := range 3 {
		w.Begin(Clock{Wall: time.Unix(1_800_000_000+int64(i), 0), Uptime: 1e6*time.Second + time.Duration(i)*time.Second})
		src.Read(func() error {
			set.Put(SocketID{Proto: "tcp", LocalPort: Of(80), Cookie: Of(77)}, Socket{State: "LISTEN", RecvQ: Of(i)})
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Whatever part of a recording is damaged, the rest is saved.
func TestRecoverDamaged(t *testing.T) {
	t.Parallel()
	h := recordLittle(t, 5, 300)
	good := readFile(t, h.path)
	const page = newPageSize
	zero := func(data []byte, n int) []byte { clear(data[(n-1)*page : n*page]); return data }
	root := func(name string) int {
		var n int
		fmt.Sscan(ask(t, h.path, "SELECT rootpage FROM sqlite_schema WHERE name = '"+name+"'")[0], &n)
		return n
	}
	for i, c := range []struct {
		name   string
		damage func([]byte) []byte
		whole  bool // all samples and all answers are saved
	}{
		{"head", func(d []byte) []byte { clear(d[:100]); return d }, true},
		{"first page", func(d []byte) []byte { return zero(d, 1) }, true},
		{"first two pages", func(d []byte) []byte { return zero(zero(d, 1), 2) }, true},
		{"schema", func(d []byte) []byte { copy(d[108:], "\xff\xff\xff\xff\xff\xff\xff\xff"); return d }, true},
		{"what pages are", func(d []byte) []byte { return zero(d, 2) }, true},
		{"way to the spans of sockets", func(d []byte) []byte { return zero(d, root("socket_span")) }, true},
		{"way to the sockets", func(d []byte) []byte { return zero(d, root("socket")) }, true},
		{"index of sockets", func(d []byte) []byte { return zero(d, root("socket_last")) }, true},
		{"open spans of sockets", func(d []byte) []byte { return zero(d, root("socket_open")) }, false},
		{"last third", func(d []byte) []byte { return d[:len(d)*2/3/page*page+100] }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if i%3 != 0 {
				onlyLong(t)
			}
			t.Parallel()
			damaged, saved := filepath.Join(t.TempDir(), "damaged.db"), filepath.Join(t.TempDir(), "saved.db")
			data := c.damage(append([]byte(nil), good...))
			writeFile(t, damaged, data)
			if r, err := Check(t.Context(), damaged, CheckOptions{}); err == nil && r.Sound() {
				t.Error("the damaged recording is called sound")
			}
			result, err := Recover(t.Context(), damaged, saved, RecoverOptions{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", result)
			if diff := cmp.Diff(data, readFile(t, damaged)); diff != "" {
				t.Error("the damaged recording was changed")
			}
			requireSound(t, saved)
			if c.whole {
				h := *h
				h.t, h.path = t, saved
				h.check()
			}
			goesOn(t, saved, "boot-0")
			requireSound(t, saved)
		})
	}
}

// What stands in the -wal file only is saved as well; when that is damaged or missing, what the file has, and a row of gaps
// says so.
func TestRecoverWAL(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 9)
	h.start()
	for range 40 { // not so many that the -wal file is begun again
		h.step()
	}
	defer h.w.Close(context.Background())
	main, wal := readFile(t, h.path), readFile(t, h.path+"-wal")
	if len(wal) < 50*newPageSize {
		t.Fatalf("the -wal file has %d bytes", len(wal))
	}
	const frame = frameHeaderSize + newPageSize
	for _, c := range []struct {
		name  string
		wal   []byte
		whole bool
		note  string
	}{
		{"sound", wal, true, ""},
		{"cut off in the middle of a page", wal[:len(wal)-2000], false, ""},
		{"a byte in the middle", func() []byte { w := slices.Clone(wal); w[len(w)/2] ^= 1; return w }(), false, "its -wal file is damaged"},
		{"a byte in the last page", func() []byte { w := slices.Clone(wal); w[len(w)-1] ^= 1; return w }(), false, "its -wal file is damaged"},
		{"a hole", func() []byte { w := slices.Clone(wal); clear(w[len(w)/3 : len(w)/2]); return w }(), false, "its -wal file is damaged"},
		{"zeros for its end", func() []byte { w := slices.Clone(wal); clear(w[len(w)/2:]); return w }(), false, "its -wal file is damaged"},
		{"its head", func() []byte { w := slices.Clone(wal); clear(w[:32]); return w }(), false, "its -wal file is damaged"},
		// Of this round, as a recorder leaves it that is killed in a transaction, of which the next one has written over the begin.
		{"what was never committed behind its end", func() []byte {
			left := slices.Clone(wal[32 : 32+frame])
			clear(left[4:8]) // not the mark of a commit
			return slices.Concat(wal, left, left)
		}(), true, ""},
		{"an earlier round behind its end", func() []byte {
			left := slices.Clone(wal[len(wal)-frame:])
			left[8]++
			return slices.Concat(wal, left, left)
		}(), true, ""},
		{"missing", nil, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			damaged, saved := filepath.Join(t.TempDir(), "damaged.db"), filepath.Join(t.TempDir(), "saved.db")
			writeFile(t, damaged, main)
			if c.wal != nil {
				writeFile(t, damaged+"-wal", c.wal)
			}
			looked := filepath.Join(t.TempDir(), "looked.db")
			for _, part := range []string{"", "-wal"} {
				if _, err := os.Stat(damaged + part); err == nil {
					writeFile(t, looked+part, readFile(t, damaged+part))
				}
			}
			r, err := Check(t.Context(), looked, CheckOptions{Quick: true})
			if told := r.Counts["wal"] > 0; err != nil || told != (c.note != "") {
				t.Errorf("check tells of the -wal file: %v, want %v; %v, %v", told, c.note != "", r.Findings, err)
			}
			result, err := Recover(t.Context(), damaged, saved, RecoverOptions{})
			if errors.Is(err, ErrNothingSaved) && !c.whole {
				return // all samples stood there
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.note != "" && !strings.Contains(strings.Join(result.Notes, "\n"), c.note) {
				t.Errorf("notes %q, want %q", result.Notes, c.note)
			}
			requireSound(t, saved)
			if c.whole {
				h := *h
				h.t, h.path = t, saved
				h.check()
			}
			if c.wal != nil && !slices.Equal(c.wal, readFile(t, damaged+"-wal")) {
				t.Error("the damaged -wal file was changed")
			}
		})
	}
}

// A damaged recording of any earlier format is saved, in the newest.
func TestRecoverEveryFormat(t *testing.T) {
	t.Parallel()
	for format := len(allSteps(t)); format > 0; format -= little(4, 2) {
		for _, head := range []bool{true, false} {
			t.Run(fmt.Sprintf("format %d, head %t", format, head), func(t *testing.T) {
				t.Parallel()
				damaged, saved := filepath.Join(t.TempDir(), "damaged.db"), filepath.Join(t.TempDir(), "saved.db")
				db := makeFormat(t, damaged, format)
				questions := fillFormat(t, db)
				before := map[string][]string{}
				for table, q := range questions {
					before[table] = texts(t, db, q)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				if !head { // and the schema with it
					data := readFile(t, damaged)
					clear(data[:4096])
					writeFile(t, damaged, data)
				}
				result, err := Recover(t.Context(), damaged, saved, RecoverOptions{})
				if err != nil {
					t.Fatal(err)
				}
				// Without its schema a file is not told from one of a later format that has the same tables, with more columns.
				_, roots, err := schemaOf(t.Context(), format, 4096)
				if err != nil {
					t.Fatal(err)
				}
				_, taken, err := schemaOf(t.Context(), result.Format, 4096)
				if err != nil {
					t.Fatal(err)
				}
				if head && result.Format != format || result.Format < format || !maps.Equal(roots, taken) {
					t.Errorf("it was taken for format %d", result.Format)
				}
				requireSound(t, saved)
				for table, q := range questions {
					if diff := cmp.Diff(before[table], ask(t, saved, tableNamed(table).asked(q))); diff != "" {
						t.Errorf("%s (-before +after):\n%s", table, diff)
					}
				}
			})
		}
	}
}

// A recording can be checked while it is written, and both end when they are told to. Nothing is left of a recovery that
// did not end.
func TestCheckWhileRecorded(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 21)
	h.start()
	for range 60 {
		h.step()
		if len(h.shots)%5 == 0 {
			requireSound(t, h.path)
		}
	}
	saved := filepath.Join(t.TempDir(), "saved.db")
	if runtime.GOOS == "linux" {
		if _, err := Recover(t.Context(), h.path, saved, RecoverOptions{}); !errors.Is(err, ErrBusy) {
			t.Errorf("recover of a recording that is written: %v", err)
		}
	}
	if err := h.w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, until := range []string{"pages", "sample", "socket_span"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Check(ctx, h.path, CheckOptions{Progress: func(what string, _ int64) {
			if what == until {
				cancel()
			}
		}})
		if cancel(); until == "pages" && !errors.Is(err, context.Canceled) {
			t.Errorf("check, canceled at %s: %v", until, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Recover(ctx, h.path, saved, RecoverOptions{Progress: func(string, int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("recover, canceled: %v", err)
	}
	entries, err := os.ReadDir(filepath.Dir(saved))
	if err != nil || len(entries) > 0 {
		t.Errorf("a recovery that did not end has left %v, %v", entries, err)
	}
}

// withoutSpans is SQL that takes the spans out of all tables.
func withoutSpans() string {
	var script strings.Builder
	for _, t := range Tables() {
		fmt.Fprintf(&script, "DELETE FROM %[1]s_span; DELETE FROM %[1]s_open;", t.Subject)
	}
	return script.String()
}

// Each law is broken once, in a recording that SQLite takes for sound; check says which, and recover mends it.
func TestCheckLaws(t *testing.T) {
	t.Parallel()
	h := recordLittle(t, 13, 150)
	good := readFile(t, h.path)
	for _, c := range []struct{ name, spoil, want string }{
		{"a span without a subject", "DELETE FROM socket WHERE id = (SELECT id & 4294967295 FROM socket_span ORDER BY id LIMIT 1)", faultSubject},
		{"a span without a tuple", "DELETE FROM socket_tuple WHERE id = (SELECT tuple FROM socket_span LIMIT 1)", faultTuple},
		{"a long span", "UPDATE socket_span SET length = 50 WHERE id = (SELECT max(id) FROM socket_span)", faultLength},
		{"a span of the future", "UPDATE socket_span SET id = id + (1000 << 32) WHERE id = (SELECT max(id) FROM socket_span)", faultNewer},
		{"a span from before", "UPDATE socket_span SET length = 40 WHERE id = (SELECT p.id FROM socket_span p JOIN socket s ON s.id = p.id & 4294967295 WHERE (p.id >> 32) - 40 < s.first_sample AND p.id >> 32 > 45 LIMIT 1)", faultBefore},
		{"spans that overlap", "UPDATE socket_span SET length = length + 1 WHERE id = (SELECT p.id FROM socket_span p JOIN socket_span q ON q.id = ((p.id >> 32) - p.length - 1) << 32 | (p.id & 4294967295) LIMIT 1)", faultOverlap},
		{"a span after the last", "UPDATE socket SET last_sample = last_sample - 1 WHERE id = (SELECT id FROM socket WHERE last_sample > first_sample LIMIT 1)", faultEnded},
		{"an open span of what is gone", "UPDATE socket SET last_sample = 140 WHERE id = (SELECT subject FROM socket_open WHERE from_sample < 140 LIMIT 1)", faultEnded},
		{"an open span that is missing", "DELETE FROM socket_open WHERE subject = (SELECT min(subject) FROM socket_open)", "has neither an open span nor a last sample"},
		{"a last span that is missing", "DELETE FROM socket_span WHERE id = (SELECT last_sample << 32 | id FROM socket WHERE last_sample NOT NULL LIMIT 1)", "has no span that ends with its last sample"},
		{"gone before it was seen", "UPDATE socket SET gone_sample = last_sample WHERE id = (SELECT id FROM socket WHERE gone_sample NOT NULL LIMIT 1)", "was gone before"},
		{"first seen out of order", "UPDATE socket SET first_sample = 1 WHERE id = (SELECT id FROM socket WHERE first_sample > 60 LIMIT 1)", "was first seen before one with a lower number"},
		{"a process that never was", "UPDATE socket_tuple SET process = 4711 WHERE id = 1", "which never was"},
		{"a sample out of time", "UPDATE sample SET ts = ts + 5000 WHERE id = 70", "is not after the one before it"},
		{"a sample that is missing", `DELETE FROM sample WHERE id = (SELECT min(m.id) FROM sample m JOIN sample a ON a.id = m.id - 1 JOIN sample z ON z.id = m.id + 1
			WHERE m.id >= 70 AND NOT EXISTS (SELECT 1 FROM gap WHERE source IS NULL AND since <= a.ts AND until >= z.ts))`, "no gap says why"},
		{"a sample of no run", "UPDATE sample SET run = 99 WHERE id = 70", "which is not there"},
		{"a run of no boot", "DELETE FROM boot", "which is not there"},
		{"a gap that ends early", "UPDATE gap SET until = since - 1 WHERE id = (SELECT min(id) FROM gap)", "ends before it begins"},
		{"a close of the future", "INSERT INTO close (ts, sample) VALUES (1, 100000)", "is of another time than that sample"},
		{"a close without its tuple", "DELETE FROM close_tuple WHERE id = (SELECT tuple FROM close LIMIT 1)", "which is not there"},
		{"an index that is missing", "DROP INDEX socket_last", "the index socket_last is missing"},
		{"a table of another shape", "ALTER TABLE socket_span ADD COLUMN x TEXT", "the table socket_span is not what format"},
		{"no spans at all", withoutSpans(), "there is none in any table"},
		{"no samples at all", "DELETE FROM sample", "nothing was recorded yet, or all of it is lost"},
		{"a view of another text", "DROP VIEW leaks; CREATE VIEW leaks AS SELECT 1", "the view leaks"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path, saved := filepath.Join(t.TempDir(), "spoilt.db"), filepath.Join(t.TempDir(), "saved.db")
			writeFile(t, path, good)
			db, err := sql.Open("sqlite", dsn(path, "rw", "journal_mode=delete"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(c.spoil); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if slices.Equal(good, readFile(t, path)) {
				t.Fatal("nothing was spoilt")
			}
			r, err := Check(t.Context(), path, CheckOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return strings.Contains(f.Text, c.want) }) {
				t.Errorf("findings %v, want %q", r.Findings, c.want)
			}
			// A quick look finds the same of what it looks at, and nothing else.
			var looked []Finding
			for _, f := range r.Findings {
				if f.Kind == "schema" || f.Kind == "sample" || f.Kind == "run" || f.Kind == "gap" {
					looked = append(looked, f)
				}
			}
			quick, err := Check(t.Context(), path, CheckOptions{Quick: true})
			if err != nil || !quick.Quick || quick.Spans != 0 || !slices.Equal(looked, quick.Findings) {
				t.Errorf("a quick look finds %v in %d spans, %v, want %v", quick.Findings, quick.Spans, err, looked)
			}
			switch _, err := Recover(t.Context(), path, saved, RecoverOptions{}); {
			case errors.Is(err, ErrNothingSaved) && r.Samples == 0:
				return
			case err != nil:
				t.Fatal(err)
			}
			if r, err := Check(t.Context(), saved, CheckOptions{}); err != nil || !r.Sound() {
				t.Errorf("saved: %v, %v", r.Findings, err)
			}
			goesOn(t, saved, "boot-0")
		})
	}
	// What is allowed: the oldest samples are forgotten, and processes that others refer to.
	path := filepath.Join(t.TempDir(), "forgotten.db")
	writeFile(t, path, good)
	db, err := sql.Open("sqlite", dsn(path, "rw", "journal_mode=delete"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range []string{
		"DELETE FROM sample WHERE id < 40", "DELETE FROM socket_span WHERE id < 40 << 32", "DELETE FROM process_span", "DELETE FROM process_open", "DELETE FROM process WHERE id = 1",
		"UPDATE process SET last_sample = 39", "INSERT INTO close (ts, sample, process, socket) SELECT ts - 0.0001, id, 1, 1 FROM sample",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	requireSound(t, path)
}
