package confine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"netsql/query"
)

// A Helper is the process that does for a restricted one what its user asks for. It is a query.System.
type Helper struct {
	conn *net.UnixConn
	cmd  *exec.Cmd   // nil: another program of this process has started it
	used atomic.Bool // it was asked for something
}

// A Task is what else a helper does: it gives words for words. end is called when the one that asked does not need it any more, or is gone.
type Task func(ctx context.Context, words []string) (answer []string, end func(), err error)

// A request is one message. What it is answered on is its first descriptor, a connection of its own; the others are what it is about.
type request struct {
	Do    string
	Name  string
	Flags int
	Mode  fs.FileMode
	Words []string
}

type reply struct {
	Error string        // "": it worked
	Errno syscall.Errno // of which the error is, if it is one of the system
	Op    string
	Path  string
	Words []string
}

// mostMessage is how long a message may be: a socket takes a little more by default (wmem_default in socket(7)).
const mostMessage = 200 << 10

// Start starts the helper: this program, with the word.
func Start(word string) (*Helper, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "helper")
	defer theirs.Close()
	conn, err := connection(pair[0])
	if err != nil {
		return nil, err
	}
	// Nothing of ours is its input or output: the reader of our results waits until all writers are gone.
	cmd := &exec.Cmd{Path: ownPath(), Args: []string{"netsql", word}, ExtraFiles: []*os.File{theirs}}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Helper{conn: conn, cmd: cmd}, nil
}

// ownPath is this program by its name, for ps(1), unless another file has that name by now.
func ownPath() string {
	const own = "/proc/self/exe"
	path, err := os.Executable()
	if err != nil {
		return own
	}
	named, err := os.Stat(path)
	this, thisErr := os.Stat(own)
	if err != nil || thisErr != nil || !os.SameFile(named, this) {
		return own
	}
	return path
}

// connection makes one of a descriptor, and takes it.
func connection(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "helper")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	conn, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("no Unix socket"), c.Close())
	}
	return conn, nil
}

func helperOn(fd int) (*Helper, error) {
	conn, err := connection(fd)
	if err != nil {
		return nil, err
	}
	return &Helper{conn: conn}, nil
}

// keep gives a descriptor of the connection that outlives this program in its process.
func (h *Helper) keep() int {
	if h == nil {
		return -1
	}
	f, err := h.conn.File()
	if err != nil {
		return -1
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, 3)
	if err != nil {
		return -1
	}
	return fd
}

// Close ends the helper.
func (h *Helper) Close() error {
	if h == nil {
		return nil
	}
	err := h.conn.Close()
	switch {
	case h.cmd == nil:
	case h.used.Load():
		err = errors.Join(err, h.cmd.Wait())
	default: // it may not even have begun
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
	}
	return err
}

// An asked is a request under way.
type asked struct{ conn *net.UnixConn }

func (h *Helper) ask(r request, fds ...int) (*asked, error) {
	h.used.Store(true)
	message, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if len(message) > mostMessage {
		return nil, unix.E2BIG
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pair[1])
	conn, err := connection(pair[0])
	if err != nil {
		return nil, err
	}
	if _, _, err := h.conn.WriteMsgUnix(message, unix.UnixRights(append([]int{pair[1]}, fds...)...), nil); err != nil {
		return nil, errors.Join(fmt.Errorf("the process netsql that opens files for this one: %w", err), conn.Close())
	}
	return &asked{conn}, nil
}

// answer waits for the answer, and the descriptor that came with it, if any.
func (a *asked) answer() (r reply, fd int, err error) {
	message, fds, err := receive(a.conn)
	if err != nil {
		return r, -1, fmt.Errorf("the process netsql that opens files for this one is gone: %w", err)
	}
	fd = -1
	for i, got := range fds {
		if fd = got; i > 0 {
			unix.Close(got)
		}
	}
	if err := json.Unmarshal(message, &r); err != nil {
		return r, fd, err
	}
	return r, fd, r.err()
}

func (r reply) err() error {
	switch {
	case r.Error == "":
		return nil
	case r.Errno != 0 && r.Op != "":
		return &fs.PathError{Op: r.Op, Path: r.Path, Err: r.Errno}
	case r.Errno != 0:
		return r.Errno
	}
	return errors.New(r.Error)
}

// failed is the answer that something went wrong.
func failed(err error) reply {
	r := reply{Error: err.Error()}
	var path *fs.PathError
	var errno syscall.Errno
	switch {
	case errors.As(err, &path) && errors.As(path.Err, &errno):
		r.Op, r.Path, r.Errno = path.Op, path.Path, errno
	case errors.As(err, &errno) && errno.Error() == r.Error:
		r.Errno = errno
	}
	return r
}

// receive reads one message; io.EOF: the other side is gone.
func receive(conn *net.UnixConn) (message []byte, fds []int, err error) {
	message = make([]byte, mostMessage)
	rights := make([]byte, unix.CmsgSpace(5*4))
	n, m, _, _, err := conn.ReadMsgUnix(message, rights)
	if err != nil {
		return nil, nil, err
	}
	if n == 0 {
		return nil, nil, io.EOF
	}
	parts, err := unix.ParseSocketControlMessage(rights[:m])
	for _, part := range parts {
		if got, err := unix.ParseUnixRights(&part); err == nil {
			fds = append(fds, got...)
		}
	}
	return message[:n], fds, err
}

// do is a request that is answered at once.
func (h *Helper) do(r request, fds ...int) (reply, int, error) {
	a, err := h.ask(r, fds...)
	if err != nil {
		return reply{}, -1, err
	}
	defer a.conn.Close()
	return a.answer()
}

// ownDescriptor is the descriptor of this process that a name stands for, such as /dev/stdout; ok: there is one.
func ownDescriptor(name string) (fd int, ok bool) {
	name = filepath.Clean(name)
	for i, standard := range []string{"/dev/stdin", "/dev/stdout", "/dev/stderr"} {
		if name == standard {
			return i, true
		}
	}
	for _, folder := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if number, is := strings.CutPrefix(name, folder); is {
			fd, err := strconv.Atoi(number)
			return fd, err == nil && fd >= 0
		}
	}
	return 0, false
}

// OpenFile is os.OpenFile.
func (h *Helper) OpenFile(name string, flags int, mode fs.FileMode) (*os.File, error) {
	fd, err := h.open(name, flags, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (h *Helper) open(name string, flags int, mode fs.FileMode) (int, error) {
	var fds []int
	if fd, is := ownDescriptor(name); is {
		fds = append(fds, fd)
	}
	_, fd, err := h.do(request{Do: "open", Name: name, Flags: flags, Mode: mode}, fds...)
	if err == nil && fd < 0 {
		err = errors.New("no file came")
	}
	return fd, err
}

// Descriptor opens a file for SQLite.
func (h *Helper) Descriptor(name string, flags int, mode fs.FileMode) (int, error) {
	return h.open(name, flags, mode)
}

// CreateTemp is os.CreateTemp in the folder for such files.
func (h *Helper) CreateTemp(pattern string) (*os.File, error) {
	r, fd, err := h.do(request{Do: "temporary", Name: pattern})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), r.Path), nil
}

// MkdirAll is os.MkdirAll.
func (h *Helper) MkdirAll(name string, mode fs.FileMode) error {
	_, _, err := h.do(request{Do: "folder", Name: name, Mode: mode})
	return err
}

// Remove is os.Remove.
func (h *Helper) Remove(name string) error {
	_, _, err := h.do(request{Do: "remove", Name: name})
	return err
}

// Suspend stops this job as Ctrl-Z does: all processes of its group.
func (h *Helper) Suspend() error {
	_, _, err := h.do(request{Do: "suspend"})
	return err
}

// Run starts a program.
func (h *Helper) Run(ctx context.Context, p query.Program) (wait func() error, err error) {
	var ours, theirs []*os.File
	var copying sync.WaitGroup
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	defer func() { closeAll(theirs) }()
	fds := []int{-1, -1, -1}
	null := func() (int, error) {
		f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			return -1, err
		}
		theirs = append(theirs, f)
		return int(f.Fd()), nil
	}
	if p.In != nil {
		fds[0] = int(p.In.Fd())
	} else if fds[0], err = null(); err != nil {
		return nil, err
	}
	for i, w := range []io.Writer{p.Out, p.Err} {
		if f, is := w.(*os.File); is {
			fds[i+1] = int(f.Fd())
			continue
		}
		if w == nil {
			if fds[i+1], err = null(); err != nil {
				return nil, err
			}
			continue
		}
		from, to, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			return nil, err
		}
		theirs, ours = append(theirs, to), append(ours, from)
		fds[i+1] = int(to.Fd())
		copying.Go(func() { _, _ = io.Copy(w, from) })
	}
	a, err := h.ask(request{Do: "run", Words: p.Words}, fds...)
	if err == nil {
		if _, _, err = a.answer(); err != nil {
			err = errors.Join(err, a.conn.Close())
		}
	}
	if err != nil {
		closeAll(theirs)
		copying.Wait()
		closeAll(ours)
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _, _ = a.conn.Write([]byte("kill")) })
	return func() error {
		defer stop()
		defer a.conn.Close()
		_, _, err := a.answer()
		copying.Wait()
		closeAll(ours)
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
		return err
	}, nil
}

// Do has a task done. end says that what it made is not needed any more.
func (h *Helper) Do(ctx context.Context, task string, words ...string) (answer []string, end func() error, err error) {
	a, err := h.ask(request{Do: task, Words: words})
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _, _ = a.conn.Write([]byte("kill")) })
	defer stop()
	r, _, err := a.answer()
	if err != nil {
		a.conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, nil, err
	}
	end = func() error {
		_ = a.conn.CloseWrite()
		_, _, _ = receive(a.conn) // it is done with when the other side is gone
		return a.conn.Close()
	}
	return r.Words, end, nil
}

// Serve is the helper. It answers on descriptor 3 until the other side is gone.
func Serve(ctx context.Context, tasks map[string]Task) error {
	conn, err := connection(3)
	if err != nil {
		return fmt.Errorf("this command is for netsql itself: %w", err)
	}
	defer conn.Close()
	// The keys of the terminal are for the shell and for the programs that run here; those are to have their own way with signals, so that none is ignored.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	for {
		message, fds, err := receive(conn)
		if err != nil {
			return nil // its work is done
		}
		var r request
		if len(fds) == 0 || json.Unmarshal(message, &r) != nil {
			closeFDs(fds)
			continue
		}
		back, err := connection(fds[0])
		if err != nil {
			closeFDs(fds[1:])
			continue
		}
		work := func() {
			defer back.Close()
			defer closeFDs(fds[1:])
			serve(ctx, r, fds[1:], back, tasks)
		}
		if tasks[r.Do] != nil { // it may have something to clear away
			working.Go(work)
		} else {
			go work()
		}
	}
}

func closeFDs(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// serve answers one request.
func serve(ctx context.Context, r request, fds []int, back *net.UnixConn, tasks map[string]Task) {
	say := func(answer reply, fds ...int) {
		if message, err := json.Marshal(answer); err == nil {
			var rights []byte
			if len(fds) > 0 {
				rights = unix.UnixRights(fds...)
			}
			_, _, _ = back.WriteMsgUnix(message, rights, nil)
		}
	}
	give := func(f *os.File, err error) {
		if err != nil {
			say(failed(err))
			return
		}
		defer f.Close()
		say(reply{Path: f.Name()}, int(f.Fd()))
	}
	done := func(err error) {
		if err != nil {
			say(failed(err))
			return
		}
		say(reply{})
	}
	switch r.Do {
	case "open":
		name := r.Name
		if len(fds) > 0 {
			name = fmt.Sprintf("/proc/self/fd/%d", fds[0])
		}
		f, err := os.OpenFile(name, r.Flags, r.Mode)
		var path *fs.PathError
		if errors.As(err, &path) {
			path.Path = r.Name
		}
		give(f, err)
	case "temporary":
		give(os.CreateTemp("", r.Name))
	case "folder":
		done(os.MkdirAll(r.Name, r.Mode))
	case "remove":
		done(os.Remove(r.Name))
	case "suspend":
		done(unix.Kill(0, unix.SIGTSTP))
	case "run":
		run(r, fds, back, done)
	default:
		task, is := tasks[r.Do]
		if !is {
			done(fmt.Errorf("no task %q", r.Do))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		gone := make(chan struct{})
		go func() { // whatever comes, it is not needed any more
			_, _, _ = receive(back)
			cancel()
			close(gone)
		}()
		answer, end, err := task(ctx, r.Words)
		if err != nil {
			say(failed(err))
			return
		}
		say(reply{Words: answer})
		select {
		case <-gone:
		case <-ctx.Done():
		}
		if end != nil {
			end()
		}
	}
}

// run starts a program, answers that it has, and again when it has ended. A message says that it is to be killed.
func run(r request, fds []int, back *net.UnixConn, done func(error)) {
	if len(fds) != 3 || len(r.Words) == 0 {
		done(unix.EINVAL)
		return
	}
	cmd := exec.Command(r.Words[0], r.Words[1:]...)
	var files []*os.File
	for _, fd := range fds {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			done(err)
			return
		}
		files = append(files, os.NewFile(uintptr(own), "passed"))
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], files[2]
	err := cmd.Start()
	for _, f := range files {
		f.Close()
	}
	closeFDs(fds) // a reader waits until all copies are closed
	for i := range fds {
		fds[i] = -1
	}
	done(err)
	if err != nil {
		return
	}
	go func() {
		if _, _, err := receive(back); err == nil {
			_ = cmd.Process.Kill()
		}
	}()
	done(cmd.Wait())
}
