package store

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
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
	const page = 4096
	zero := func(data []byte, n int) []byte { clear(data[(n-1)*page : n*page]); return data }
	root := func(name string) int {
		var n int
		fmt.Sscan(ask(t, h.path, "SELECT rootpage FROM sqlite_schema WHERE name = '"+name+"'")[0], &n)
		return n
	}
	for _, c := range []struct {
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
