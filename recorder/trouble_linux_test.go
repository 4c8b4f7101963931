package recorder

import (
	"context"
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// A running is a recorder at work, and what it says.
type running struct {
	t       *testing.T
	path    string
	stop    context.CancelFunc
	done    chan error
	sampled chan struct{}

	mu      sync.Mutex
	notices []string
	heard   chan struct{} // one was said
}

func runRecorder(t *testing.T, path string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{t: t, path: path, stop: stop, done: make(chan error, 1), sampled: make(chan struct{}, 10_000), heard: make(chan struct{}, 10_000)}
	go func() {
		r.done <- Run(ctx, Config{
			Path: path, Interval: MinInterval,
			Sampled: func() { r.sampled <- struct{}{} },
			Notice: func(n Notice) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.notices = append(r.notices, n.Text)
				r.heard <- struct{}{}
			},
		})
	}()
	r.wait("a sample", r.sampled)
	return r
}

func (r *running) wait(what string, c <-chan struct{}) {
	r.t.Helper()
	select {
	case <-c:
	case err := <-r.done:
		r.t.Fatalf("waiting for %s, the recorder ended: %v", what, err)
	case <-time.After(30 * time.Second):
		r.t.Fatalf("waited in vain for %s; said: %q", what, r.notices)
	}
}

// samples waits for so many that are written from now on.
func (r *running) samples(n int) {
	r.t.Helper()
	for len(r.sampled) > 0 {
		<-r.sampled
	}
	for range n {
		r.wait("a sample", r.sampled)
	}
}

// said is how many sentences contain the words.
func (r *running) said(words string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, s := range r.notices {
		if strings.Contains(s, words) {
			n++
		}
	}
	return n
}

// hear waits until the words have been said so often, for as long as the recorder goes on with its samples, but not for
// more than 1,000 of them: how long a sample takes is the machine's affair.
func (r *running) hear(words string, times int) {
	r.t.Helper()
	for samples := 0; r.said(words) < times; {
		select {
		case <-r.heard:
		case <-r.sampled:
			if samples++; samples > 1000 {
				r.t.Fatalf("%d samples went by, and %q was not said; said: %q", samples, words, r.notices)
			}
		case err := <-r.done:
			r.t.Fatalf("waiting for the words %q, the recorder ended: %v", words, err)
		case <-time.After(30 * time.Second):
			r.t.Fatalf("waited in vain for the words %q; said: %q", words, r.notices)
		}
	}
}

// end stops the recorder and opens what it has recorded.
func (r *running) end() *sql.DB {
	r.t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Fatal(err)
	}
	db, err := sql.Open("sqlite", store.DSN(r.path))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { db.Close() })
	if got := r.ask(db, "SELECT integrity_check FROM pragma_integrity_check"); got != "ok" {
		r.t.Errorf("integrity check: %s", got)
	}
	return db
}

func (r *running) ask(db *sql.DB, query string) (answer string) {
	r.t.Helper()
	if err := db.QueryRow(query).Scan(&answer); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// A full disk costs nothing, as long as memory lasts: the recorder says so once and goes on; when there is room
// again, what it has kept is written. The next time it says so again.
func TestFullDisk(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		kerneltest.NeedKernel(t, "no tmpfs in a user namespace here: "+err.Error())
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	filler := filepath.Join(dir, "filler")
	r := runRecorder(t, filepath.Join(dir, "full.db"))
	for round := 1; round <= 2; round++ {
		fill(t, filler)
		r.hear("no space", round)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		r.hear("that were kept in memory are written", round)
		r.samples(2)
	}
	db := r.end()
	if n := r.said("no space"); n != 2 {
		t.Errorf("the disk was full twice, and it was said %d times: %q", n, r.notices)
	}
	if got := r.ask(db, "SELECT coalesce(group_concat(kind || ': ' || detail), 'none') FROM gaps WHERE source IS NULL AND kind <> 'late'"); got != "none" {
		t.Errorf("there are gaps: %s", got)
	}
}

// fill writes until nothing more goes in.
func fill(t *testing.T, path string) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for {
			if n, err := f.Write(make([]byte, size)); err != nil || n < size {
				break
			}
		}
	}
}

// A recording that is deleted with its folder, or moved away, is followed by another, in which everything is again: also
// who holds a socket that was there all the time.
func TestDeletedRecording(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	kerneltest.Command(t, "ip", "link", "set", "lo", "up")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	folder := filepath.Join(t.TempDir(), "folder")
	r := runRecorder(t, filepath.Join(folder, "deleted.db"))
	r.samples(3)
	for _, do := range []func() error{
		func() error { return os.RemoveAll(folder) },
		func() error { return os.Rename(folder, folder+".old") },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		before := r.said("was deleted: recording goes on")
		r.hear("was deleted: recording goes on", before+1)
		r.samples(2)
	}
	db := r.end()
	var owned, samples int
	if err := db.QueryRow("SELECT (SELECT count(*) FROM samples), count(*) FROM sockets WHERE local_port = ? AND state = 'LISTEN' AND pid = ? AND owner_how = 'fd'",
		port, os.Getpid()).Scan(&samples, &owned); err != nil || owned != samples || samples < 2 {
		t.Errorf("the listener is owned in %d of %d samples, %v", owned, samples, err)
	}
	if got := r.ask(db, "SELECT coalesce(group_concat(kind || ': ' || detail), 'none') FROM gaps WHERE source IS NULL AND kind <> 'late'"); !strings.HasPrefix(got, "unwritten: what was recorded until then is not in this file") {
		t.Errorf("gaps: %s", got)
	}
	for _, n := range []string{"routes", "interfaces", "settings", "protocol_counters", "addresses"} {
		if got := r.ask(db, "SELECT count(DISTINCT ts) = (SELECT count(*) FROM samples) FROM "+n); got != "1" {
			t.Errorf("%s are not in every sample", n)
		}
	}
}

// What cannot be made or written at the start is an error that names the next step.
func TestTroubleAtTheStart(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	dir := t.TempDir()
	for _, c := range []struct {
		name, options string
		flags         uintptr
		want          string
	}{
		{"full", "size=64k", 0, "no space left"},
		{"read-only", "size=1m", syscall.MS_RDONLY, "the file system is read-only"},
	} {
		at := filepath.Join(dir, c.name)
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("tmpfs", at, "tmpfs", c.flags, c.options); err != nil {
			kerneltest.NeedKernel(t, "no tmpfs in a user namespace here: "+err.Error())
		}
		t.Cleanup(func() { syscall.Unmount(at, syscall.MNT_DETACH) })
		for _, path := range []string{filepath.Join(at, "x.db"), filepath.Join(at, "folder", "x.db")} {
			if err := Run(t.Context(), Config{Path: path, Interval: MinInterval, Once: true}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}
