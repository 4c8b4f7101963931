package crowd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Crowd is processes that hold TCP connections to themselves, over loopback.
type Crowd struct {
	Members []*crowdMember
	Sockets int // both ends of each connection; listeners are not counted
	turn    int // of the fifths that move
}

// MemberSockets is how many sockets a process holds at most.
const MemberSockets = 5000

// A crowdMember is one of the processes. It takes a line at a time and answers each with a line.
type crowdMember struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Reader
}

// Gather starts processes that hold so many sockets in all, as many connections as that makes.
func Gather(ctx context.Context, sockets int) (*Crowd, error) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return nil, err
	}
	const spare = 32 // descriptors that a process has besides
	each := min(MemberSockets, int(min(files.Max, 1<<20))-spare) &^ 1
	if each < 2 || sockets/each > 1000 {
		return nil, fmt.Errorf("%d open files a process (ulimit -Hn) are too few for %d sockets", files.Max, sockets)
	}
	c := &Crowd{}
	for c.Sockets < sockets/2*2 {
		n := min(each, sockets/2*2-c.Sockets)
		if err := c.Join(ctx, n/2); err != nil {
			c.End()
			return nil, fmt.Errorf("hold %d sockets: %w", sockets, err)
		}
	}
	return c, nil
}

// Join adds a process.
func (c *Crowd) Join(ctx context.Context, pairs int) error {
	m := &crowdMember{cmd: OwnProgram(ctx, "bench-part", "hold", strconv.Itoa(pairs))}
	var err error
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	m.lines = bufio.NewReader(out)
	if err := m.cmd.Start(); err != nil {
		return err
	}
	c.Members, c.Sockets = append(c.Members, m), c.Sockets+2*pairs
	_, err = m.answer()
	return err
}

// OwnProgram is a command of this program, which ends when the thread that starts it does.
func OwnProgram(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Args[0] = "netsql"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// answer waits for what the process says to the last line.
func (m *crowdMember) answer() (string, error) {
	line, err := m.lines.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("a process of the crowd has ended: %w", err)
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "done")
	if !ok {
		return "", errors.New(strings.TrimSpace(line))
	}
	return strings.TrimSpace(rest), nil
}

// Do has every process do the same.
func (c *Crowd) Do(words string) error {
	if err := c.Begin(words, len(c.Members)); err != nil {
		return err
	}
	_, err := c.Finish(len(c.Members))
	return err
}

// Begin has the first n processes begin something, and finish waits for them.
func (c *Crowd) Begin(words string, n int) error {
	for _, m := range c.Members[:n] {
		if _, err := fmt.Fprintln(m.in, words); err != nil {
			return fmt.Errorf("a process of the crowd has ended: %w", err)
		}
	}
	return nil
}

func (c *Crowd) Finish(n int) ([]string, error) {
	var answers []string
	for _, m := range c.Members[:n] {
		text, err := m.answer()
		if err != nil {
			return nil, err
		}
		answers = append(answers, text)
	}
	return answers, nil
}

// Poke sends a byte over a fifth of the connections, another fifth each time, so that both ends of those have moved.
func (c *Crowd) Poke() error {
	c.turn++
	return c.Do("poke " + strconv.Itoa(c.turn))
}

// End ends the processes.
func (c *Crowd) End() {
	for _, m := range c.Members {
		m.in.Close()
	}
	for _, m := range c.Members {
		m.cmd.Wait()
	}
}

// A pairs is what one process of a crowd holds.
type pairs struct {
	clients, servers []int
	listening        int
	at               unix.SockaddrInet4
	next             int // to be replaced
}

// Hold is the body of a process of a crowd: it makes n connections and obeys until in ends.
func Hold(n int, in io.Reader, out io.Writer) error {
	runtime.LockOSThread() // both ends are in one thread, which no scheduler has to hand anything over to
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		files.Cur = files.Max
		unix.Setrlimit(unix.RLIMIT_NOFILE, &files)
	}
	p := &pairs{}
	err := p.listen()
	for i := 0; err == nil && i < n; i++ {
		err = p.connect(-1)
	}
	say(out, "", err)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		text, err := p.obey(strings.Fields(lines.Text()))
		say(out, text, err)
	}
	return nil
}

func say(out io.Writer, text string, err error) {
	if err != nil {
		fmt.Fprintf(out, "%s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	fmt.Fprintf(out, "done %s\n", text)
}

func (p *pairs) obey(words []string) (string, error) {
	numbers := make([]int, 3)
	for i := range min(len(words)-1, len(numbers)) {
		numbers[i], _ = strconv.Atoi(words[1+i])
	}
	switch words[0] {
	case "poke":
		return "", p.poke(numbers[0])
	case "replace":
		for range numbers[0] {
			if err := p.connect(p.next); err != nil {
				return "", err
			}
			p.next = (p.next + 1) % len(p.clients)
		}
		return "", nil
	case "churn":
		made, took, err := churn(numbers[0], time.Duration(numbers[1])*time.Millisecond)
		return fmt.Sprintf("%d %g", made, took.Seconds()), err
	}
	return "", fmt.Errorf("a process of a crowd does not know %q", words)
}

func (p *pairs) listen() (err error) {
	p.listening, p.at, err = listenLoopback()
	return err
}

// listenLoopback listens on a port of its own, so that ports of the other ends are enough for any crowd.
func listenLoopback() (fd int, at unix.SockaddrInet4, err error) {
	at.Addr = [4]byte{127, 0, 0, 1}
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fd, at, fmt.Errorf("make a socket: %w", err)
	}
	if err := errors.Join(unix.Bind(fd, &at), unix.Listen(fd, 16)); err != nil {
		return fd, at, fmt.Errorf("listen on loopback: %w", err)
	}
	bound, err := unix.Getsockname(fd)
	if b, ok := bound.(*unix.SockaddrInet4); ok {
		at.Port = b.Port
	}
	return fd, at, err
}

// connectTo makes a connection; what listens is in the same thread. The end that connects resets it when it is closed: sockets
// in TIME_WAIT would pile up, where one closes and opens as fast as here, as on no machine.
func connectTo(listening int, at *unix.SockaddrInet4) (client, server int, err error) {
	if client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return 0, 0, fmt.Errorf("make a socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptLinger(client, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}),
		unix.Connect(client, at))
	if err == nil {
		server, _, err = unix.Accept(listening)
	}
	if err != nil {
		unix.Close(client)
		return 0, 0, fmt.Errorf("connect on loopback: %w", err)
	}
	return client, server, nil
}

// connect makes pair i again, or another when i is negative.
func (p *pairs) connect(i int) error {
	if i >= 0 {
		unix.Close(p.clients[i])
		unix.Close(p.servers[i])
	}
	client, server, err := connectTo(p.listening, &p.at)
	switch {
	case err != nil:
		return err
	case i < 0:
		p.clients, p.servers = append(p.clients, client), append(p.servers, server)
	default:
		p.clients[i], p.servers[i] = client, server
	}
	return nil
}

// poke sends a byte over every fifth connection.
func (p *pairs) poke(turn int) error {
	b := []byte{1}
	for i := turn % 5; i < len(p.clients); i += 5 {
		if _, err := unix.Write(p.clients[i], b); err != nil {
			return fmt.Errorf("send a byte: %w", err)
		}
	}
	for i := turn % 5; i < len(p.clients); i += 5 {
		if _, err := unix.Read(p.servers[i], b); err != nil {
			return fmt.Errorf("receive a byte: %w", err)
		}
	}
	return nil
}

// churn makes connections and closes them, rate of them a second, for that long. It says how many they were, for it may not come
// after.
func churn(rate int, span time.Duration) (made int, took time.Duration, err error) {
	listening, at, err := listenLoopback()
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(listening)
	hello := []byte("hello")
	begun := time.Now()
	for ; ; made++ {
		if took = time.Since(begun); took >= span {
			return made, took, nil
		}
		if ahead := time.Duration(made)*time.Second/time.Duration(rate) - took; ahead > time.Millisecond {
			unix.Poll(nil, int(ahead.Milliseconds()))
		}
		client, server, err := connectTo(listening, &at)
		if err != nil {
			return made, took, err
		}
		unix.Write(client, hello)
		unix.Close(client)
		unix.Close(server)
	}
}
