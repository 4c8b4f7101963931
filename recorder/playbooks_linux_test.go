package recorder

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/query"
	"netsql/recorder/kerneltest"
)

// playbookRun is a recorder in a network namespace in which something goes wrong that a playbook of the manual is for.
type playbookRun struct {
	*faultRun // to make connections
	t         *testing.T
	path      string
	taken     atomic.Int64 // samples
	instead   map[string]string
}

// samples waits until so many more are taken.
func (p *playbookRun) samples(n int64) {
	p.t.Helper()
	upto := p.taken.Load() + n
	eventually(p.t, "samples", func() bool { return p.taken.Load() >= upto })
}

// playbooks are what goes wrong, by the heading in the manual, and what each statement must show: all of the words in one row.
var playbooks = map[string]func(p *playbookRun) (rows [][]string){
	"The site was slow at 14:05": func(p *playbookRun) [][]string {
		p.listen("127.0.0.1", 8080, 1)
		for range 8 {
			for range 5 {
				p.connect("127.0.0.1", 8080)
			}
			p.samples(1)
		}
		return [][]string{{"fault", p.comm(), "port 8080", "backlog"}, nil, {p.comm(), "127.0.0.1", "8080"}}
	},
	"Connections are refused": func(p *playbookRun) [][]string {
		l := p.listen("127.0.0.1", 5432, 10)
		p.samples(2)
		p.shut(l)
		for range 8 {
			p.shut(p.connect("127.0.0.1", 5432))
			p.samples(1)
		}
		return [][]string{{p.comm(), "port 5432", "refused"}, {p.comm(), "127.0.0.1", "0"}, {"listener", "down", "127.0.0.1:5432"}}
	},
	"Who filled the link?": func(p *playbookRun) [][]string {
		l := p.listen("127.0.0.1", 8080, 10)
		c, s := p.pair(l, "127.0.0.1", 8080)
		p.samples(2)
		for range 4 {
			for range 20 {
				writeAll(c, 100_000)
				eventually(p.t, "all to arrive", func() bool {
					drainSocket(s)
					n, err := unix.IoctlGetInt(c, unix.SIOCOUTQ)
					return err == nil && n == 0
				})
			}
			p.samples(1)
		}
		return [][]string{{"lo"}, {p.comm(), "8000000"}, {p.comm(), "127.0.0.1", "8080", "8000000"}}
	},
	"This address: who, when, how much?": func(p *playbookRun) [][]string {
		other := newNSProcess(p.t, "")
		inside := func(line string) {
			p.t.Helper()
			kerneltest.Command(p.t, "nsenter", append([]string{"-t", fmt.Sprint(other.Cmd.Process.Pid), "-n", "ip"}, strings.Fields(line)...)...)
		}
		ip(p.t, "link add va type veth peer name vb")
		ip(p.t, "link set vb netns "+fmt.Sprint(other.Cmd.Process.Pid))
		ip(p.t, "addr add 10.9.0.1/24 dev va")
		ip(p.t, "link set va up")
		inside("addr add 10.9.0.2/24 dev vb")
		inside("link set vb up")
		other.tell(p.t, "listen")
		p.samples(2)
		c, err := net.DialTimeout("tcp4", "10.9.0.2:7777", 10*time.Second)
		if err != nil {
			p.t.Fatal(err)
		}
		c.Write(make([]byte, 1234))
		p.samples(2)
		c.Close()
		p.samples(2)
		p.instead["10.0.7.9"] = "10.9.0.2"
		return [][]string{{"private", p.comm(), "out tcp 7777", "1234"}, {p.comm(), "7777", "1234"}, nil}
	},
	"It could not reach the database": func(p *playbookRun) [][]string {
		p.listen("127.0.0.1", 5432, 100)
		p.samples(2)
		nft(p.t, "", "add table ip guard; add chain ip guard in { type filter hook input priority 0; }; add rule ip guard in tcp dport 5432 drop")
		for range 8 {
			p.connect("127.0.0.1", 5432)
			p.samples(1)
		}
		p.samples(20) // who waits three seconds is not answered
		return [][]string{{p.comm(), "port 5432", "answer"}, {p.comm(), "127.0.0.1"}, {"firewall", "guard", "nft"}}
	},
}

// Each playbook of the manual leads from what is said to who did it: its statements, as they stand there, are asked of a recording of just that, made by the
// recorder on the kernel.
func TestPlaybooks(t *testing.T) {
	page, err := os.ReadFile("../cmd/netsql/manual/playbooks.md")
	if err != nil {
		if os.Getenv("NETSQL_REQUIRE_KERNEL") == "" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	books := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)\n## ([^\n]+)\n.*?```sql\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		books[m[1]] = m[2]
	}
	if len(books) != len(playbooks) {
		t.Errorf("the manual has %d playbooks, and here are %d", len(books), len(playbooks))
	}
	for heading, plant := range playbooks {
		t.Run(regexp.MustCompile(`\W+`).ReplaceAllString(heading, " "), func(t *testing.T) {
			if !kerneltest.InNetNS(t) {
				return
			}
			p := &playbookRun{t: t, faultRun: &faultRun{t: t, testRecording: &testRecording{t: t}}, path: filepath.Join(t.TempDir(), "book.db"), instead: map[string]string{}}
			links(t)
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, Config{Path: p.path, Interval: 200 * time.Millisecond, NetNS: NetNS{own: true}, Version: "test", Sampled: func() { p.taken.Add(1) }})
			}()
			p.samples(2)
			rows := plant(p)
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			statements := regexp.MustCompile(`(?s)(SELECT .*?);`).FindAllString(books[heading], -1)
			if len(statements) != 3 {
				t.Fatalf("%d statements: a playbook has three", len(statements))
			}
			r, err := query.Open(t.Context(), p.path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for i, statement := range statements {
				for word, with := range p.instead {
					statement = strings.ReplaceAll(statement, word, with)
				}
				var out bytes.Buffer
				s, err := query.NewShell(r, query.ShellConfig{Out: &out, Err: &out})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Script(t.Context(), statement); err != nil {
					t.Errorf("%v\n%s", err, statement)
				}
				s.Close()
				if !rowWith(out.String(), rows[i]) {
					t.Errorf("no row has %q:\n%s\n%s", rows[i], statement, out.String())
				}
			}
		})
	}
}

// rowWith reports whether a line has all of the words.
func rowWith(text string, words []string) bool {
	for line := range strings.Lines(text) {
		all := true
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			return true
		}
	}
	return len(words) == 0
}
