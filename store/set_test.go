package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// BenchmarkMemoryPerSocket tells what the recording keeps in memory of each of 20,000
// sockets that a process holds: the socket, its owner, and how they are found.
func BenchmarkMemoryPerSocket(b *testing.B) {
	const n = 20_000
	for b.Loop() {
		w, err := Create(b.Context(), Options{Path: filepath.Join(b.TempDir(), "memory.db"), Interval: time.Second, Boot: Boot{ID: "b"}})
		if err != nil {
			b.Fatal(err)
		}
		source := w.Source("tcp4")
		sockets, owners := NewSet(source, Sockets), NewSet(source, SocketOwners)
		before := liveHeap()
		// In the second sample one in a hundred moves bytes.
		for sample := range 2 {
			up := time.Duration(sample) * time.Second
			w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
			source.Read(func() error {
				for i := range n {
					moved := Of(0)
					if i%100 == 0 {
						moved = Of(sample)
					}
					s := sockets.Put(SocketID{
						NetNS: Of(1), Proto: "tcp", Family: Of(4), Type: "stream", LocalAddr: "10.1.2.3", LocalPort: Of(443),
						RemoteAddr: fmt.Sprintf("10.0.%d.%d", i>>8, i&255), RemotePort: Of(50_000), Inode: Of(i), Cookie: Of(i),
					}, Socket{State: "ESTABLISHED", User: "www-data", OwnerHow: "fd", BytesSent: moved})
					owners.Put(SocketOwnerID{Socket: s.Ref(), Process: 1}, SocketOwner{FD: Of(i)})
				}
				return nil
			})
			if err := w.Commit(b.Context(), Cost{}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(liveHeap()-before)/n, "bytes/socket")
		if err := w.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		runtime.KeepAlive(w)
	}
	b.ReportMetric(0, "ns/op")
}

// liveHeap is how many bytes of the heap are in use.
func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A subject that did not come into the file is not known afterwards, whatever kept it out, and is
// recorded in full when it is Put again.
func TestSubjectNotWritten(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		fail func(w *Writer, source *Source, put func() error)
	}{
		{"failed commit", func(w *Writer, source *Source, put func() error) {
			source.Read(put)
			if w.Commit(canceled, Cost{}) == nil {
				t.Error("a canceled commit succeeded")
			}
		}},
		{"failed source", func(w *Writer, source *Source, put func() error) {
			source.Read(func() error { put(); return errors.New("on purpose") })
			w.Commit(t.Context(), Cost{})
		}},
		{"kept after all", func(w *Writer, source *Source, put func() error) {
			source.Read(func() error { put(); return ErrKept })
			w.Commit(t.Context(), Cost{})
		}},
		{"no commit", func(w *Writer, source *Source, put func() error) { source.Read(put) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "set.db")
			w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
			if err != nil {
				t.Fatal(err)
			}
			source := w.Source("links")
			set := NewSet(source, Interfaces)
			var s *Subject[InterfaceID, Interface]
			id, v := InterfaceID{NetNS: Of(1), IfIndex: Of(2), Name: "eth0"}, Interface{MTU: Of(1500)}
			put := func() error { s = set.Put(id, v); return nil }
			begin := func(second int64) {
				up := time.Duration(second) * time.Second
				w.Begin(Clock{Wall: time.Unix(1_700_000_000+second, 0), Uptime: up, Awake: up})
			}
			begin(1)
			tt.fail(w, source, put)
			begin(2)
			source.Read(func() error {
				if set.Keep(s) || set.Change(s, v) {
					t.Error("it is said to be known")
				}
				return put()
			})
			if err := w.Commit(t.Context(), Cost{}); err != nil {
				t.Fatal(err)
			}
			begin(3)
			source.Read(func() error {
				v.MTU = Of(9000)
				if !set.Change(s, v) {
					t.Error("it is said to be unknown")
				}
				return nil
			})
			if err := w.Commit(t.Context(), Cost{}); err != nil {
				t.Fatal(err)
			}
			begin(4)
			source.Read(func() error { return nil })
			if err := w.Commit(t.Context(), Cost{}); err != nil {
				t.Fatal(err)
			}
			if set.Keep(s) || set.Change(s, v) {
				t.Error("it is gone, and said to be known")
			}
			if err := w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", DSN(path))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			got := texts(t, db, "SELECT ts - 1700000000, ifindex, mtu FROM interfaces")
			if diff := cmp.Diff([]string{"2 2 1500", "3 2 9000"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
