package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const nobody = 65534

// onlyRoot skips what only root of the machine can try.
func onlyRoot(t *testing.T) {
	t.Helper()
	if !isRoot() {
		t.Skip("only root can give files to others")
	}
}

// A second recorder is refused whatever the name by which it comes to the file.
func TestSecondRecorderUnderAnotherName(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "d", "n.db")
	w, err := Create(t.Context(), Options{Path: path, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	link, hard, dir := filepath.Join(folder, "link.db"), filepath.Join(folder, "hard.db"), filepath.Join(folder, "dir")
	if err := errors.Join(os.Symlink(path, link), os.Link(path, hard), os.Symlink(filepath.Dir(path), dir)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want string
	}{
		{link, fmt.Sprintf("another recorder is writing to it, process %d", os.Getpid())},
		{filepath.Join(dir, "n.db"), fmt.Sprintf("another recorder is writing to it, process %d", os.Getpid())},
		{hard, "another recorder is writing to it under another name of the same file"},
	} {
		second, err := Create(t.Context(), Options{Path: c.path, Boot: Boot{ID: "b"}})
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.path, err, c.want)
		}
		if err == nil {
			second.Close(t.Context())
		}
		wantRecorder := Recorder{PID: os.Getpid()}
		if c.path == hard {
			wantRecorder = Recorder{OtherName: true}
		}
		if r, is := RecorderOf(c.path); !is || r != wantRecorder {
			t.Errorf("%s: recorded by %+v, %v, want %+v", c.path, r, is, wantRecorder)
		}
		for _, part := range []string{"-wal", "-shm"} {
			if _, err := os.Lstat(c.path + part); err == nil && c.path != filepath.Join(dir, "n.db") {
				t.Errorf("%s%s was made", c.path, part)
			}
		}
	}
	// SQLite looks at the file that a link names, and so do we.
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, of := range []string{path, hard} {
		if r, is := RecorderOf(of); is {
			t.Errorf("%s: recorded by %+v after the end", of, r)
		}
	}
	second, err := Create(t.Context(), Options{Path: link, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close(t.Context())
	if _, is := RecorderOf(path); !is {
		t.Error("nobody records into what the link names")
	}
}

// Nothing is written through links or into files that somebody else has put there, nor into a folder where somebody else can put them.
func TestPlantedFiles(t *testing.T) {
	t.Parallel()
	onlyRoot(t)
	for _, c := range []struct {
		name, want string
		plant      func(t *testing.T, folder, path, victim string) error
	}{
		{"a link for the recording to a file of root", "belongs to", func(t *testing.T, folder, path, victim string) error {
			return errors.Join(os.Symlink(victim, path), os.Chown(folder, nobody, nobody))
		}},
		{"a link for the lock", "n.db-recorder is a link", func(t *testing.T, folder, path, victim string) error { return os.Symlink(victim, path+"-recorder") }},
		{"a link for the lock to nothing", "n.db-recorder is a link", func(t *testing.T, folder, path, victim string) error {
			return os.Symlink(filepath.Join(folder, "new"), path+"-recorder")
		}},
		{"a link for the -wal file", "n.db-wal is a link", func(t *testing.T, folder, path, victim string) error { return os.Symlink(victim, path+"-wal") }},
		{"a link for the -shm file", "n.db-shm is a link", func(t *testing.T, folder, path, victim string) error { return os.Symlink(victim, path+"-shm") }},
		{"a link for the journal", "n.db-journal is a link", func(t *testing.T, folder, path, victim string) error { return os.Symlink(victim, path+"-journal") }},
		{"a folder for the -shm file", "n.db-shm is not a file", func(t *testing.T, folder, path, victim string) error { return os.Mkdir(path+"-shm", 0o755) }},
		{"a file of another user", "n.db belongs to", func(t *testing.T, folder, path, victim string) error {
			return errors.Join(touch(path), os.Chown(path, nobody, nobody))
		}},
		{"a -wal file of another user", "n.db-wal belongs to", func(t *testing.T, folder, path, victim string) error {
			return errors.Join(touch(path+"-wal"), os.Chown(path+"-wal", nobody, nobody))
		}},
		{"a file that everybody may write", "may be written by everybody", func(t *testing.T, folder, path, victim string) error {
			return errors.Join(touch(path), os.Chmod(path, 0o666))
		}},
		{"a folder of another user", "could put a link there", func(t *testing.T, folder, path, victim string) error { return os.Chown(folder, nobody, nobody) }},
		{"a folder that everybody may write", "others may write to", func(t *testing.T, folder, path, victim string) error { return os.Chmod(folder, 0o777|os.ModeSticky) }},
		{"a folder that a group may write", "others may write to", func(t *testing.T, folder, path, victim string) error {
			return errors.Join(os.Chown(folder, 0, nobody), os.Chmod(folder, 0o775))
		}},
		{"a folder in one of another user", "could put a link there", func(t *testing.T, folder, path, victim string) error {
			return os.Chown(filepath.Dir(folder), nobody, nobody)
		}},
		{"a folder in one that others may write, and change", "others may write to", func(t *testing.T, folder, path, victim string) error {
			return os.Chmod(filepath.Dir(folder), 0o777)
		}},
		{"a folder in one like /tmp", "", func(t *testing.T, folder, path, victim string) error {
			return os.Chmod(filepath.Dir(folder), 0o777|os.ModeSticky)
		}},
		{"a link of root to a file of root", "", func(t *testing.T, folder, path, victim string) error {
			return errors.Join(os.WriteFile(filepath.Join(folder, "there.db"), nil, 0o640), os.Symlink(filepath.Join(folder, "there.db"), path))
		}},
		{"a link of root into a folder of another user", "could put a link there", func(t *testing.T, folder, path, victim string) error {
			elsewhere := filepath.Join(filepath.Dir(folder), "elsewhere")
			return errors.Join(os.Mkdir(elsewhere, 0o755), os.WriteFile(filepath.Join(elsewhere, "there.db"), nil, 0o640),
				os.Chown(elsewhere, nobody, nobody), os.Symlink(filepath.Join(elsewhere, "there.db"), path))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "folder")
			path, victim := filepath.Join(folder, "n.db"), filepath.Join(t.TempDir(), "victim")
			const secret = "root:secret-line\n"
			if err := errors.Join(os.Mkdir(folder, 0o755), os.WriteFile(victim, []byte(secret), 0o600), c.plant(t, folder, path, victim)); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			w, err := Create(t.Context(), Options{Path: path, Boot: Boot{ID: "b"}})
			if err == nil {
				w.Close(t.Context())
			}
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrPermission) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want: %s", err, c.want)
			}
			if got := string(readFile(t, victim)); got != secret {
				t.Errorf("the file that the link names now has %q", got)
			}
			if after, err := os.ReadDir(folder); err != nil || len(after) != len(before) {
				t.Errorf("there are %d files where there were %d, %v", len(after), len(before), err)
			}
		})
	}
}

// A note is not written through a link either.
func TestNoteIntoAPlantedFile(t *testing.T) {
	t.Parallel()
	onlyRoot(t)
	path := filepath.Join(t.TempDir(), "n.db")
	w, err := Create(t.Context(), Options{Path: path, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Dir(path), nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := AddNote(t.Context(), path, time.Now(), "a", ""); !errors.Is(err, ErrPermission) {
		t.Errorf("in a folder of another user: %v", err)
	}
	if _, _, err := Upgrade(t.Context(), path, nil); !errors.Is(err, ErrPermission) {
		t.Errorf("upgrade in a folder of another user: %v", err)
	}
}

// What the file system has against writing is found out without writing over what is there.
func TestProbeWritesOverNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "n.db")
	victim := filepath.Join(t.TempDir(), "victim")
	writeFile(t, victim, []byte("secret"))
	if err := os.Symlink(victim, path+"-probe"); err != nil {
		t.Fatal(err)
	}
	if err := probe(path); err != nil {
		t.Fatal(err)
	}
	if got := string(readFile(t, victim)); got != "secret" {
		t.Errorf("the file that the link names now has %q", got)
	}
	if left, err := filepath.Glob(path + "-probe-*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// What is made of a recording has its mode, and while it is being made only its owner may read it.
func TestWhatIsMadeOfARecordingHasItsMode(t *testing.T) {
	t.Parallel()
	path := recordLittle(t, 77, 20).path
	for mode, want := range map[os.FileMode]os.FileMode{0o600: 0o600, 0o640: 0o640, 0o644: 0o644, 0o400: 0o600, 0o664: 0o664, 0o755: 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		saved, slice := filepath.Join(dir, "saved.db"), filepath.Join(dir, "slice.db")
		modeOf := func(path string) os.FileMode {
			info, err := os.Stat(path)
			if err != nil {
				t.Error(err)
				return 0
			}
			return info.Mode()
		}
		seen := 0
		if _, err := Recover(t.Context(), path, saved, RecoverOptions{Progress: func(string, int64) {
			if seen++; modeOf(saved+"-unfinished") != 0o600 {
				t.Errorf("a recording of mode %o: while it is recovered, the new file has the mode %o", mode, modeOf(saved+"-unfinished"))
			}
		}}); err != nil || seen == 0 {
			t.Fatalf("%v, told %d times of the progress", err, seen)
		}
		if _, err := Slice(t.Context(), path, slice, 0, 1e10); err != nil {
			t.Fatal(err)
		}
		for _, made := range []string{saved, slice} {
			if got := modeOf(made); got != want {
				t.Errorf("a recording of mode %o: %s has the mode %o, want %o", mode, filepath.Base(made), got, want)
			}
		}
	}
}
