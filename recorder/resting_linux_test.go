package recorder

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// A process that opens and closes its only socket again and again is one process, with one group of each kind: also where the
// recorder is started again while it holds the socket or does not, or cannot read the owners for a while. It ends once, without
// a socket, and that is told once. The oracle is what the test made it do.
func TestProcessWithoutASocketIsTheSame(t *testing.T) {
	if os.Getenv("NETSQL_TEST_NOW_AND_THEN") != "" {
		nowAndThen(t)
		return
	}
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l := listen(t, "tcp4", "127.0.0.1:0")
	p := startNowAndThen(t, l.Addr().String())
	r := &testRecording{t: t, path: filepath.Join(t.TempDir(), "test.db")}
	var s *sockets
	start := func() {
		t.Helper()
		w, err := store.Create(t.Context(), store.Options{Path: r.path, Interval: time.Second, Version: "test", Boot: store.Boot{ID: "boot", Host: "host"}})
		if err != nil {
			t.Fatal(err)
		}
		r.Writer, s = w, newSockets(w, here(t)).(*sockets)
	}
	stop := func() {
		t.Helper()
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.tick += 10
	}
	start()
	r.sample(s) // it holds none yet
	held := 0
	for i := range 20 {
		switch i {
		case 6, 11, 12: // while it holds none, while it does, and at once
			stop()
			start()
		case 15: // the owners cannot be read, while it holds none
			unix.Close(s.owners.Proc)
			r.sample(s)
			s.owners.Proc = -1
			r.sample(s)
		}
		if i%2 == 1 {
			p.do("open")
			held++
		} else if i > 0 {
			p.do("close")
		}
		if i == 13 { // another source cannot be read
			held++
			r.sample(sourceFunc(func(ctx context.Context) {
				s.traffic[0].source.Read(func() error { return os.ErrInvalid })
				s.read(ctx)
			}))
		}
		r.sample(s)
	}
	p.do("close")
	r.sample(s)
	pid := p.cmd.Process.Pid
	one := func(when string, rows int) {
		t.Helper()
		if n := r.rows("SELECT count(*) AS n FROM process WHERE pid = ?", pid)[0]["n"]; n != int64(rows) {
			t.Errorf("%s: %d rows of the process, want %d", when, n, rows)
		}
		for _, table := range []string{"socket_count", "socket_trend"} {
			for _, row := range r.rows("SELECT process, state, proto, family, count(*) AS n FROM " + table + " GROUP BY netns, process, state, proto, family HAVING count(*) > 1") {
				t.Errorf("%s: %s has more than one row of a group: %v", when, table, row)
			}
		}
		if twice := r.rows("SELECT process, count(*) AS n FROM traffic_sum GROUP BY netns, process HAVING count(*) > 1"); len(twice) > 0 {
			t.Errorf("%s: traffic_sum has more than one row of a process: %v", when, twice)
		}
	}
	one("while it lives", 1)
	shown := r.rows("SELECT count(*) AS n FROM sockets WHERE pid = ? AND state = 'ESTABLISHED'", pid)[0]["n"]
	counted := r.rows("SELECT sum(count) AS n FROM socket_counts WHERE pid = ? AND state = 'ESTABLISHED'", pid)[0]["n"]
	if shown != int64(held) || counted != int64(held) {
		t.Errorf("sockets shows its connection in %v samples and socket_counts in %v, want %d", shown, counted, held)
	}
	if n := r.rows("SELECT count(*) AS n FROM processes_now WHERE pid = ?", pid)[0]["n"]; n != int64(0) {
		t.Errorf("processes shows it now, and it holds no socket")
	}

	// It runs another program without a socket, which is told; then that ends.
	p.do("exec")
	r.sample(s)
	r.sample(s)
	ran := r.tick - 1
	p.cmd.Process.Kill()
	p.cmd.Wait()
	r.sample(s)
	ended := r.tick
	r.sample(s)
	var got []string
	for _, row := range r.rows("SELECT CAST(ts - 1700000000 AS INTEGER) AS tick, event, what, was FROM events WHERE object = 'process' AND pid = ? ORDER BY ts", pid) {
		what, was := row["what"].(string), text(row["was"])
		got = append(got, fmt.Sprint(row["tick"], " ", row["event"], " ", strings.HasSuffix(what, "second"), " ", was != ""))
	}
	want := []string{"3 seen false false", fmt.Sprint(ran, " exec true true"), fmt.Sprint(ended, " gone true false")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	one("at the end", 2)
	stop()
	report, err := store.Check(t.Context(), r.path, store.CheckOptions{})
	if err != nil || !report.Sound() {
		t.Errorf("check: %v, %v", report.Findings, err)
	}
}

// actorAt is a process that does as it is told, and says when it has.
type actorAt struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    *os.File
	lines *bufio.Reader
}

func startNowAndThen(t *testing.T, address string) *actorAt {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestProcessWithoutASocketIsTheSame$", "first")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_NOW_AND_THEN="+address)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = reader
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reader.Close()
	t.Cleanup(func() { writer.Close(); cmd.Process.Kill(); cmd.Wait() })
	a := &actorAt{t, cmd, writer, bufio.NewReader(out)}
	a.wait("here")
	return a
}

func (a *actorAt) wait(word string) {
	a.t.Helper()
	if line, err := a.lines.ReadString('\n'); line != word+"\n" {
		a.t.Fatalf("it says %q: %v", line, err)
	}
}

func (a *actorAt) do(word string) {
	a.t.Helper()
	if _, err := fmt.Fprintln(a.in, word); err != nil {
		a.t.Fatal(err)
	}
	if word == "exec" {
		word = "here"
	}
	a.wait(word)
}

// nowAndThen is the body of that process.
func nowAndThen(t *testing.T) {
	fmt.Println("here")
	var conn net.Conn
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); fmt.Println(lines.Text()) {
		var err error
		switch lines.Text() {
		case "open":
			conn, err = net.Dial("tcp4", os.Getenv("NETSQL_TEST_NOW_AND_THEN"))
		case "close":
			err = conn.Close()
		case "exec":
			err = syscall.Exec(os.Args[0], []string{os.Args[0], os.Args[1], "second"}, os.Environ())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
