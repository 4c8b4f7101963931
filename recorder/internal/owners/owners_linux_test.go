package owners

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// Who holds a socket is found by its inode alone, without asking netlink: this process, then nobody.
func TestHolderIsFound(t *testing.T) {
	t.Parallel()
	w, err := store.Create(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "test.db"), Interval: time.Second, Boot: store.Boot{ID: "boot"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	var st unix.Stat_t
	if err := unix.Fstat(pair[0], &st); err != nil {
		t.Fatal(err)
	}
	o := New(w, NewUsers())
	e := &Held{Inode: uint32(st.Ino)}
	sample := uint32(0)
	look := func() {
		t.Helper()
		sample++
		now := time.Unix(1_700_000_000, 0).Add(time.Duration(sample) * time.Second)
		w.Begin(store.Clock{Wall: now, Uptime: time.Duration(sample) * time.Second, Awake: time.Duration(sample) * time.Second})
		o.Begin(sample, sample)
		e.Dump = sample
		if sample == 1 {
			o.Appeared(e)
		}
		if !o.Source.Read(func() error { return o.Look(t.Context()) }) {
			t.Fatal("the owners could not be read")
		}
		if err := w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if len(e.Holders) != 1 || e.Holders[0].Process.PID != int32(os.Getpid()) {
		t.Fatalf("the socket of this process is held by %+v", e.Holders)
	}
	if got := e.FD(0); got != uint32(pair[0]) {
		t.Errorf("it is descriptor %d, not %d", got, pair[0])
	}
	syscall.ForkLock.RLock() // a child that another test makes has it too, until it executes its program
	defer syscall.ForkLock.RUnlock()
	unix.Close(pair[0])
	look()
	if len(e.Holders) != 0 || e.Lost != sample {
		t.Errorf("a closed socket is held by %+v, and was lost in sample %d of %d", e.Holders, e.Lost, sample)
	}
}
