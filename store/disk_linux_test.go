package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A testDisk is a file system that fails when it is told to, and that can lose power: it knows which writes were brought
// onto the disk by fsync. It is served by a process of its own, for a thread of this one that waits for a page of the -shm file
// could be the one that must deliver it.
type testDisk struct {
	t      *testing.T
	folder string // where it is mounted
	mu     sync.Mutex
	to     io.WriteCloser
	from   *bufio.Scanner
}

func newTestDisk(t *testing.T) *testDisk {
	t.Helper()
	d := &testDisk{t: t, folder: t.TempDir()}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServeDisk$")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_DISK="+d.folder)
	cmd.Stderr = os.Stderr
	var err error
	if d.to, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.from = bufio.NewScanner(out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.to.Close() // unmounts it
		cmd.Wait()
	})
	if answer := d.answer(); answer != "ready" {
		if os.Getenv("NETSQL_REQUIRE_KERNEL") != "" && os.Getuid() == 0 {
			t.Fatal(answer)
		}
		t.Skip(answer)
	}
	return d
}

// tell gives the disk an order.
func (d *testDisk) tell(words ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintln(d.to, words...)
	if answer := d.answer(); answer != "done" {
		d.t.Errorf("disk, %v: %s", words, answer)
	}
}

func (d *testDisk) answer() string {
	for d.from.Scan() {
		if text, ok := strings.CutPrefix(d.from.Text(), "disk: "); ok {
			return text
		}
	}
	return "it has ended"
}

// TestServeDisk is the process that serves a testDisk. It takes orders from its standard input.
func TestServeDisk(t *testing.T) {
	folder := os.Getenv("NETSQL_TEST_DISK")
	if folder == "" {
		t.SkipNow()
	}
	d := &diskRoot{files: map[string]*diskFile{}}
	server, err := fs.Mount(folder, d, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, Name: "testdisk", FsName: "testdisk"}})
	if err != nil {
		fmt.Printf("disk: no file system of the test's own here (/dev/fuse): %v\n", err)
		return
	}
	fmt.Println("disk: ready")
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		if err := d.obey(strings.Fields(orders.Text())); err != nil {
			fmt.Println("disk:", err)
		} else {
			fmt.Println("disk: done")
		}
	}
	if err := server.Unmount(); err != nil {
		syscall.Unmount(folder, syscall.MNT_DETACH)
	}
}

// diskRoot is the one folder of the disk.
type diskRoot struct {
	fs.Inode
	mu    sync.Mutex
	files map[string]*diskFile
	fails map[string]syscall.Errno // by operation: write, fsync, read
}

var diskErrors = map[string]syscall.Errno{"EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC, "EROFS": syscall.EROFS, "EDQUOT": syscall.EDQUOT}

func (d *diskRoot) obey(words []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch words[0] {
	case "fail": // fail EIO write fsync
		d.fails = map[string]syscall.Errno{}
		for _, op := range words[2:] {
			d.fails[op] = diskErrors[words[1]]
		}
	case "heal":
		d.fails = nil
	case "cut": // cut FOLDER MODE SEED: what a power failure would leave, at this moment
		var seed uint64
		fmt.Sscan(words[3], &seed)
		r := rand.New(rand.NewPCG(seed, 1))
		for name, f := range d.files {
			if strings.HasSuffix(name, "-shm") {
				continue
			}
			if err := os.WriteFile(filepath.Join(words[1], name), f.left(words[2], r), 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *diskRoot) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if errno := d.fails["write"]; errno != 0 {
		return nil, nil, 0, errno
	}
	f := &diskFile{disk: d}
	d.files[name] = f
	inode := d.NewPersistentInode(ctx, f, fs.StableAttr{Mode: fuse.S_IFREG})
	d.AddChild(name, inode, true)
	out.Mode = fuse.S_IFREG | 0o600
	return inode, nil, 0, 0
}

func (d *diskRoot) Unlink(_ context.Context, name string) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, name)
	return 0
}

// diskFile is a file, as programs see it and as it stands on the disk for certain.
type diskFile struct {
	fs.Inode
	disk    *diskRoot
	content []byte
	synced  []byte
	since   []diskWrite // what was written after that
}

// A diskWrite is a write, or a change of the length.
type diskWrite struct {
	at   int
	data []byte // nil: the file is cut, or extended, to at
}

func (w diskWrite) to(content []byte) []byte {
	end := w.at + len(w.data)
	if len(content) < end {
		content = append(content, make([]byte, end-len(content))...)
	}
	copy(content[w.at:], w.data)
	if w.data == nil {
		content = content[:w.at]
	}
	return content
}

// sector is what a disk writes whole.
const sector = 512

// left is what a power failure leaves of the file: what was synced and, by mode, nothing since, what was written until some
// moment, or any of the sectors written.
func (f *diskFile) left(mode string, r *rand.Rand) []byte {
	var pieces []diskWrite
	for _, w := range f.since {
		if w.data == nil {
			pieces = append(pieces, w)
		}
		for from := 0; from < len(w.data); from += sector {
			pieces = append(pieces, diskWrite{w.at + from, w.data[from:min(from+sector, len(w.data))]})
		}
	}
	content := slices.Clone(f.synced)
	until := r.IntN(len(pieces) + 1)
	for i, p := range pieces {
		if mode == "prefix" && i < until || mode == "any" && r.IntN(2) == 0 {
			content = p.to(content)
		}
	}
	return content
}

func (f *diskFile) change(w diskWrite) {
	f.content = w.to(f.content)
	f.since = append(f.since, w)
}

func (f *diskFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, 0, 0
}

func (f *diskFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	out.Mode, out.Size = fuse.S_IFREG|0o600, uint64(len(f.content))
	return 0
}

func (f *diskFile) Setattr(ctx context.Context, h fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	f.disk.mu.Lock()
	if size, ok := in.GetSize(); ok {
		if errno := f.disk.fails["write"]; errno != 0 {
			f.disk.mu.Unlock()
			return errno
		}
		f.change(diskWrite{at: int(size)})
	}
	f.disk.mu.Unlock()
	return f.Getattr(ctx, h, out)
}

func (f *diskFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if errno := f.disk.fails["read"]; errno != 0 {
		return nil, errno
	}
	from := min(int(off), len(f.content))
	return fuse.ReadResultData(slices.Clone(f.content[from:min(from+len(dest), len(f.content))])), 0
}

func (f *diskFile) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if errno := f.disk.fails["write"]; errno != 0 {
		return 0, errno
	}
	f.change(diskWrite{int(off), slices.Clone(data)})
	return uint32(len(data)), 0
}

func (f *diskFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if errno := f.disk.fails["fsync"]; errno != 0 {
		return errno
	}
	f.synced, f.since = slices.Clone(f.content), nil
	return 0
}
