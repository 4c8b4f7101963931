package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What another program does to the content of a recording that is being written is noticed before the next sample. Not a byte more
// is written into what is left of it, which is there under another name; recording goes on in a new file under the old one, and that is said once.
func TestBrokenUnderTheRecorder(t *testing.T) {
	t.Parallel()
	other := recordLittle(t, 77, 40).path
	truncate := func(part string, share int64) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			size, err := sizeOf(path + part)
			if err != nil || size == 0 {
				t.Fatalf("%d bytes, %v", size, err)
			}
			if err := os.Truncate(path+part, size*share/8); err != nil {
				t.Fatal(err)
			}
		}
	}
	overwrite := func(part string, with func(t *testing.T, old []byte) []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			writeFile(t, path+part, with(t, readFile(t, path+part))) // the same inode
		}
	}
	zeros := func(_ *testing.T, old []byte) []byte { return make([]byte, len(old)) }
	for _, c := range []struct {
		name, said string
		spoil      func(t *testing.T, path string)
	}{
		{"the -wal file is emptied", "-wal was emptied", truncate("-wal", 0)},
		{"the -wal file is cut short", "-wal was cut short", truncate("-wal", 7)},
		{"zeros in the -wal file", "-wal was overwritten", overwrite("-wal", zeros)},
		{"the last frame of the -wal file is another", "-wal was overwritten", overwrite("-wal", func(_ *testing.T, old []byte) []byte {
			const frame = frameHeaderSize + newPageSize
			at := len(old) - frame
			return append(old[:at:at], make([]byte, frame)...)
		})},
		{"the -wal file of another recording", "-wal was overwritten", overwrite("-wal", func(t *testing.T, old []byte) []byte {
			h := newHistory(t, 78)
			h.start()
			for range 60 {
				h.step()
			}
			wal := readFile(t, h.path+"-wal")
			return append(wal, make([]byte, max(0, len(old)-len(wal)))...)
		})},
		{"the database is emptied", ".db was emptied", truncate("", 0)},
		{"the database is cut short", ".db was cut short", truncate("", 7)},
		{"zeros in the database", ".db was overwritten", overwrite("", zeros)},
		{"another recording is copied over it", ".db was overwritten", overwrite("", func(t *testing.T, old []byte) []byte {
			copied := readFile(t, other)
			return append(copied, make([]byte, max(0, len(old)-len(copied)))...)
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 79)
			h.path = filepath.Join(t.TempDir(), "n.db")
			var said []string
			h.start()
			h.w.options.Notice = func(n Notice) { said = append(said, n.Text) }
			for range 30 {
				h.step()
			}
			h.exec("PRAGMA wal_checkpoint(TRUNCATE)")
			h.step()
			if len(h.shots) < 20 || len(said) > 0 {
				t.Fatalf("%d samples, said %q", len(h.shots), said)
			}

			c.spoil(t, h.path)
			left := map[string][]byte{"": readFile(t, h.path), "-wal": readFile(t, h.path+"-wal")}
			h.shots = nil
			for range 10 {
				h.step()
			}
			broken, err := filepath.Glob(filepath.Join(filepath.Dir(h.path), "n-broken-*.db"))
			if err != nil || len(broken) != 1 {
				t.Fatalf("set aside: %q, %v", broken, err)
			}
			for part, want := range left {
				if !bytes.Equal(want, readFile(t, broken[0]+part)) {
					t.Errorf("n.db%s was written to after it was broken", part)
				}
			}
			if len(said) != 1 || !strings.Contains(said[0], c.said+" by another program") || !strings.Contains(said[0], broken[0]) || !strings.Contains(said[0], "recording goes on in "+h.path) {
				t.Errorf("said %q", said)
			}
			if n := len(h.shots); n < 9 {
				t.Errorf("%d of 10 samples are in the new file", n)
			}
			h.check()
			if err := h.w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if r, err := Check(t.Context(), h.path, CheckOptions{}); err != nil || !r.Sound() {
				t.Errorf("the new file: %v, %v", r, err)
			}
		})
	}
}

// What was in the database at the last checkpoint is sound when the -wal file is emptied after it.
func TestEmptiedWALLosesWhatStoodInIt(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 80)
	h.path = filepath.Join(t.TempDir(), "n.db")
	h.start()
	for range 20 {
		h.step()
	}
	h.exec("PRAGMA wal_checkpoint(TRUNCATE)")
	kept := h.w.filed.id
	for range 5 {
		h.step()
	}
	if err := os.Truncate(h.path+"-wal", 0); err != nil {
		t.Fatal(err)
	}
	h.step()
	broken, _ := filepath.Glob(filepath.Join(filepath.Dir(h.path), "n-broken-*.db"))
	if len(broken) != 1 {
		t.Fatalf("set aside: %q", broken)
	}
	r, err := Check(t.Context(), broken[0], CheckOptions{})
	if err != nil || !r.Sound() || int64(r.Samples) != kept {
		t.Errorf("what is left: %d samples, want %d; %v, %v", r.Samples, kept, r.Findings, err)
	}
}

// A -wal file that is broken in the middle of a transaction is noticed before that is committed.
func TestBrokenWithinATransaction(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 81)
	h.start()
	for range 20 {
		h.step()
	}
	err := h.w.file.transaction(t.Context(), func() error {
		h.exec("INSERT INTO note (ts, text, written) VALUES (1, 'a', 1)")
		return os.Truncate(h.path+"-wal", 40)
	})
	var broken *brokenError
	if !errors.As(err, &broken) || !broken.data {
		t.Errorf("the transaction: %v", err)
	}
	if size, err := sizeOf(h.path + "-wal"); err != nil || size != 40 {
		t.Errorf("the -wal file has %d bytes after that, %v", size, err)
	}
	if _, err := h.w.file.checkpoint(t.Context()); !errors.As(err, &broken) {
		t.Errorf("a checkpoint: %v", err)
	}
}

// spoiler is a table that does something when a sample is written: between the begin of the transaction and its COMMIT.
type spoiler struct {
	tableWriter
	do func()
}

func (s *spoiler) write(ctx context.Context, m int64) error {
	s.do()
	return s.tableWriter.write(ctx, m)
}

// A recording that breaks after Begin is found broken by the commit, before it writes anything or before its COMMIT. That, too, is said once.
func TestBrokenBeforeCommit(t *testing.T) {
	t.Parallel()
	for name, whenWriting := range map[string]bool{"before the transaction": false, "before COMMIT": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 84)
			h.path = filepath.Join(t.TempDir(), "n.db")
			h.start()
			var said []string
			h.w.options.Notice = func(n Notice) { said = append(said, n.Text) }
			for range 20 {
				h.step()
			}
			spoiled := false
			spoil := func() {
				if spoiled {
					return
				}
				spoiled = true
				if err := os.Truncate(h.path+"-wal", 40); err != nil {
					t.Error(err)
				}
			}
			if whenWriting {
				last := len(h.w.order) - 1
				h.w.order[last] = &spoiler{h.w.order[last], spoil}
			} else {
				h.begun = spoil
			}
			for !spoiled { // a commit may be canceled
				h.step()
			}
			if len(said) > 0 {
				t.Errorf("said before anything was done about it: %q", said)
			}
			if !h.w.Behind() {
				t.Error("the commit did not notice")
			}
			for range 10 {
				h.step()
			}
			if len(said) != 1 || !strings.Contains(said[0], "-wal was cut short by another program") || !strings.Contains(said[0], "recording goes on in "+h.path) {
				t.Errorf("said %q", said)
			}
			if err := h.w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			requireSound(t, h.path)
		})
	}
}

// Nothing is lost with the -shm file alone: it is made again.
func TestIndexCutShort(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 82)
	h.start()
	for range 20 {
		h.step()
	}
	generation := h.w.generation
	if err := os.Truncate(h.path+"-shm", 0); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		h.step()
	}
	if h.w.generation != generation || h.w.Behind() {
		t.Errorf("it started over: generation %d, want %d; trouble %v", h.w.generation, generation, h.w.trouble)
	}
	h.check()
}

// Nor does it matter when it is cut short while a sample is written, when SQLite looks at it next: the sample waits in memory.
func TestIndexCutShortWithinASample(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 85)
	h.start()
	for range 20 {
		h.step()
	}
	generation := h.w.generation
	last, spoiled := len(h.w.order)-1, false
	h.w.order[last] = &spoiler{h.w.order[last], func() {
		if spoiled {
			return
		}
		spoiled = true
		if err := os.Truncate(h.path+"-shm", 0); err != nil {
			t.Error(err)
		}
	}}
	var said []string
	h.w.options.Notice = func(n Notice) { said = append(said, n.Text) }
	for range 10 {
		h.step()
	}
	if !spoiled || h.w.generation != generation || h.w.Behind() {
		t.Errorf("it started over: generation %d, want %d; trouble %v", h.w.generation, generation, h.w.trouble)
	}
	if len(said) != 2 || !strings.Contains(said[0], "-shm was cut short by another program (samples are kept in memory meanwhile") || !strings.Contains(said[1], "are written") {
		t.Errorf("said %q", said)
	}
	h.check()
}

// What others may do to a recording is nothing to be afraid of: they read it, write the -wal file back into it, add a note.
func TestNotBrokenByOthers(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 83)
	h.start()
	h.w.options.Notice = func(n Notice) { t.Errorf("said %q", n.Text) }
	generation := h.w.generation
	for n := range 20 {
		h.step()
		pragma := []string{"wal_checkpoint(PASSIVE)", "wal_checkpoint(TRUNCATE)", "wal_checkpoint(RESTART)", "incremental_vacuum(5)"}[n%4]
		if out, err := exec.Command("sqlite3", "-batch", h.path, "PRAGMA "+pragma).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := AddNote(context.Background(), h.path, h.wall, fmt.Sprint("note ", n), ""); err != nil {
			t.Fatal(err)
		}
		h.tidy(1)
	}
	if h.w.generation != generation {
		t.Error("it started over")
	}
	h.check()
}
