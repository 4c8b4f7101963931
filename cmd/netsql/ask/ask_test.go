package ask

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/query"
)

// A real sh takes a quoted text for one word, with every byte of it.
func FuzzQuoted(f *testing.F) {
	var shells []string
	for _, name := range []string{"sh", "bash"} { // Debian's sh is dash
		if path, err := exec.LookPath(name); err == nil {
			shells = append(shells, path)
		}
	}
	if shells == nil {
		f.Skip("no sh")
	}
	for _, text := range []string{"", "it's", "$HOME `id` \\ \"x\" *", "a\nb\r\n", "'", "''", "\\'", "\x81\x88\xff'\x82", "-n", "!!", "~", "#", "\t "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsRune(text, 0) { // Question refuses it
			return
		}
		for _, sh := range shells {
			c := exec.Command(sh, "-s")
			c.Stdin = strings.NewReader("{\nprintf '%s|' " + quoted(text) + " end\nexit 0\n}\n")
			out, err := c.Output()
			if err != nil || string(out) != text+"|end|" {
				t.Errorf("%s: %q came as %q: %v", sh, text, out, err)
			}
		}
	})
}

// Whatever a host sends, parse ends, holds no more than it may, and what it makes rows of is a row for each name of a column.
func FuzzParse(f *testing.F) {
	const mark = "@m"
	start := "hello\n@m start\n@m version\nnetsql 0.1.0\ncommit: x\n@m \n"
	for _, text := range []string{
		"", "x", "@m start\n", start + "@m none\n", start + "@m unrecorded\n", start + "@m zone\n@m quote\n@m end 2\n",
		start + "@m quote\n'@m newest','now','interval'\n1.5,2.5,5.0\n'a','b'\n1,NULL\n-1.5,X'00ff'\n'it''s\n@m end 0',9e999\n@m end 0\n",
		start + "@m quote\n'@m newest','now','interval'\nNULL,2.5,NULL\n@m end 1\n",
		start + "@m quote\n@m older\n@m oldest\n{\"a\":1,\"ts\":\"2026-11-23T03:00:10Z\"}\n{\"a\":null,\"ts\":1.5}\n@m end 0\n",
		start + "@m quote\n'unended", start + "@m end 999\n", start + "@m oldest\n{\"a\":[1]}\n", start + "@m quote\nNULL,,\n",
		start + "@m quote\n'@m newest','now','interval'\n1.5,2.5,5.0\n'a','b'\n1,NULL\n@m older\n'@m newest','now','interval'\n1.5,2.5,5.0\n'a'\n1\n@m end 0\n",
		start + "@m quote\n'@m newest','now','interval'\n1.5,2.5,5.0\n'a'\n" + strings.Repeat("1\n", 4096),
		start + "@m quote\n'@m newest','now','interval'\n1.5,2.5,5.0\n'a'\n'" + strings.Repeat("x", 1<<20),
		start + "@m oldest\n" + strings.Repeat("{\"a\":\"xxxxxxxxxxxxxxxxxxxxxxxx\"}\n", 200),
		"@m start\n@m oldest\n{}\n{\"\":0}\n", "@m start\n@m quote\n'@m newest','',''\n''\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const most = 4096
		p, err := parse(bytes.NewReader(text), mark, most)
		held := 0
		for _, row := range p.rows {
			if len(row) != len(p.columns) {
				t.Errorf("%d values for %d columns", len(row), len(p.columns))
			}
			held += perValue
			for _, v := range row {
				held += perValue
				switch v := v.(type) {
				case nil, int64, float64, bool:
				case string:
					held += len(v)
				case []byte:
					held += len(v)
				default:
					t.Errorf("a value is a %T", v)
				}
			}
		}
		if held > most {
			t.Errorf("%d bytes are held", held)
		}
		if err == nil && !bytes.Contains(text, []byte(mark+" end ")) {
			t.Error("it is taken for a whole answer")
		}
		if err != nil && strings.ContainsAny(query.Safe(err.Error()), "\x1b\x07") {
			t.Errorf("an error with codes for a terminal: %q", err)
		}
	})
}

// What the program prints in --mode quote comes back as it was.
func FuzzQuoteMode(f *testing.F) {
	f.Add("it's\n", []byte{0, 255}, int64(math.MinInt64), 1.5)
	f.Add("", []byte{}, int64(0), math.Inf(-1))
	f.Add("@m end 0", []byte("'"), int64(1), math.Copysign(0, -1))
	f.Add("NULL", []byte("\n"), int64(math.MaxInt64), 5e-324)
	f.Fuzz(func(t *testing.T, text string, blob []byte, n int64, x float64) {
		if math.IsNaN(x) { // SQLite has none
			return
		}
		rows := [][]any{{text, blob, n, x, nil}, {nil, []byte(text), n, text, -x}}
		var out strings.Builder
		out.WriteString("@m start\n@m quote\n'@m newest','now','interval'\nNULL,2.5,NULL\n")
		w, err := query.NewResultWriter("quote", &out, query.FormatOptions{Header: true})
		if err != nil {
			t.Fatal(err)
		}
		columns := []string{"a", "b'" + text, "", "ts", "e"}
		var cols []query.Column
		for _, name := range columns {
			cols = append(cols, query.Column{Name: name})
		}
		if err := errors.Join(w.Begin(cols), w.Row(rows[0]), w.Row(rows[1]), w.End()); err != nil {
			t.Fatal(err)
		}
		out.WriteString("@m end 0\n")
		p, err := parse(strings.NewReader(out.String()), "@m", 0)
		if err != nil {
			t.Fatalf("%v\n%q", err, out.String())
		}
		if !slices.Equal(p.columns, columns) {
			t.Errorf("columns %q, want %q", p.columns, columns)
		}
		for i, row := range p.rows {
			for j, v := range row {
				want := rows[i][j]
				if b, is := want.([]byte); is && b == nil {
					want = []byte{}
				}
				a, isFloat := v.(float64)
				b, _ := want.(float64)
				if isFloat && math.Float64bits(a) != math.Float64bits(b) || !isFloat && !reflect.DeepEqual(v, want) {
					t.Errorf("%#v, want %#v", v, want)
				}
			}
		}
	})
}

// No name from a file is an option of ssh, or a word of a shell.
func FuzzCheckHost(f *testing.F) {
	for _, host := range []string{"web1", "ann@web1", "-oProxyCommand=id", "ann@-oX", "ssh://ann@web1:2222", "ssh://-x", "::1", "fe80::1%eth0", "a b", "a;b", "$(id)", "a\nb", "`id`", "web[1:3]", "../x", "ü", ""} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if CheckHost(host) != nil {
			return
		}
		for _, r := range host {
			if r <= ' ' || r >= 0x7f || strings.ContainsRune("$`'\"\\;&|<>(){}*?!#~=,^", r) {
				t.Errorf("%q is taken", host)
			}
		}
		if _, name, _ := strings.Cut("@"+strings.TrimPrefix(host, "ssh://"), "@"); strings.HasPrefix(host, "-") || strings.HasPrefix(name, "-") {
			t.Errorf("%q is taken", host)
		}
		if c := (Config{SSH: []string{"ssh"}, Wait: time.Second}).arguments(host); !slices.Equal(c[len(c)-3:], []string{"--", host, "sh -s"}) {
			t.Errorf("%q", c)
		}
	})
}

func FuzzParseHosts(f *testing.F) {
	f.Add("web1\n[web]\nweb2 # x\n[all-of:children]\nweb\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHosts("hosts", text)
		if err != nil {
			return
		}
		for _, group := range append(h.Groups(), "all") {
			hosts, ok := h.Group(group)
			if !ok {
				t.Errorf("no group %q", group)
			}
			for _, host := range hosts {
				if err := CheckHost(host); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestHosts(t *testing.T) {
	t.Parallel()
	const text = "\ufeff# of the shop\ngateway\n\n[web]\nweb1\nann@web2   # by hand\n\n[db]\nssh://ann@db1:2222\nweb1\n; old\n[shop:children]\nweb\ndb\nshop\n[none]\n"
	h, err := ParseHosts("hosts", text)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words []string
		want  []string
		err   string
	}{
		{nil, []string{"gateway", "web1", "ann@web2", "ssh://ann@db1:2222"}, ""},
		{[]string{"@db"}, []string{"ssh://ann@db1:2222", "web1"}, ""},
		{[]string{"web9", "@shop", "web9", "@all"}, []string{"web9", "web1", "ann@web2", "ssh://ann@db1:2222", "gateway"}, ""},
		{[]string{"@nosuch"}, nil, "no group @nosuch in hosts: there are @all, @web, @db, @shop, @none"},
		{[]string{"@none"}, nil, "no host in @none of hosts"},
		{[]string{"-x"}, nil, `"-x" is no host: a name does not begin with -`},
		{[]string{"a b"}, nil, `"a b" is no host: a name has letters, digits and . _ - : @ only; ~/.ssh/config gives names to others`},
		{[]string{"web[1:3]"}, nil, `"web[1:3]" is no host: name it as ssh takes it, such as web1, ann@web1 or ssh://ann@web1:2222`},
	} {
		got, err := Choose(c.words, h, "hosts")
		if fmt.Sprint(err) != fmt.Sprint(cmpOr(c.err)) || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, %v", c.words, got, err)
		}
	}
	if _, err := Choose([]string{"@web"}, nil, "netsql.hosts"); err == nil || err.Error() != "@web is a group of a file of hosts: name the file with --hosts, or write netsql.hosts" {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"web1\nweb2 ansible_host=10.0.0.1": "hosts:2: one host on a line: what stands behind web2 (ansible_host=10.0.0.1) goes into ~/.ssh/config",
		"[web:vars]\nx=1":                  "hosts:1: [web:vars] is not read here: what belongs to a host goes into ~/.ssh/config",
		"[web":                             `hosts:1: "[web" is no group: a line is like [web]`,
		"-oProxyCommand=id":                `hosts:1: "-oProxyCommand=id" is no host: a name does not begin with -`,
		"[a:children]\nb":                  "hosts: [a:children] names the group b, which is not there",
		"\xff":                             "hosts is no text",
	} {
		if _, err := ParseHosts("hosts", text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func cmpOr(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func TestWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"ssh":                              {"ssh"},
		" ssh -F  my\\ conf -p 22 ":        {"ssh", "-F", "my conf", "-p", "22"},
		`ssh -o 'ProxyCommand=nc "%h" %p'`: {"ssh", "-o", `ProxyCommand=nc "%h" %p`},
		`"my ssh" "" a"b"c`:                {"my ssh", "", "abc"},
		"ssh 'x":                           nil,
		"  ":                               nil,
		`ssh \`:                            nil,
	} {
		if got, err := Words(text); !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// Columns are united by name, each beside those it stands with, and two of one name stay two.
func TestUnite(t *testing.T) {
	t.Parallel()
	columns, rows, notes := Unite([]Answer{
		{Host: "a", Columns: []string{"x", "z", "x"}, Rows: [][]any{{int64(1), "z", 2.5}}},
		{Host: "b", Err: errInterrupted},
		{Host: "c", Version: "0.2.0", Columns: []string{"x", "y", "z", "host"}, Rows: [][]any{{nil, "y", []byte("z"), "h"}, {"", "", "", ""}}},
		{Host: "d", Columns: []string{"z"}},
		{Host: "e", Version: "0.2.0", Columns: []string{"x", "y", "z", "host"}},
	})
	if want := []string{"host", "x", "y", "z", "host", "x"}; !slices.Equal(columns, want) {
		t.Errorf("%q, want %q", columns, want)
	}
	if d := cmp.Diff([][]any{{"a", int64(1), nil, "z", nil, 2.5}, {"c", nil, "y", []byte("z"), "h", nil}, {"c", "", "", "", "", nil}}, rows); d != "" {
		t.Error(d)
	}
	if want := []string{"a: no y, host: NULL there", "c, e: no x: NULL there (netsql 0.2.0)", "d: no x, y, host, x: NULL there"}; !slices.Equal(notes, want) {
		t.Errorf("%q, want %q", notes, want)
	}
}

func TestZone(t *testing.T) {
	folder := t.TempDir()
	rules, err := os.ReadFile("/usr/share/zoneinfo/Asia/Kathmandu")
	if err != nil {
		t.Skip(err)
	}
	link, copied, unknown := filepath.Join(folder, "link"), filepath.Join(folder, "copied"), filepath.Join(folder, "unknown")
	if err := errors.Join(os.Symlink("/usr/share/zoneinfo/Europe/Berlin", link), os.WriteFile(copied, rules, 0o600), os.WriteFile(unknown, []byte("TZif and no more"), 0o600)); err != nil {
		t.Fatal(err)
	}
	at := func(offset int) time.Time { return time.Unix(0, 0).In(time.FixedZone("", offset)) }
	for _, c := range []struct {
		tz        string // "-": not set
		localtime string
		offset    int
		want      string
		named     bool
	}{
		{"Europe/Paris", link, 0, "Europe/Paris", true},
		{":Europe/Paris", link, 0, "Europe/Paris", true},
		{"", link, 3600, "UTC", true},
		{"CET-1CEST", link, 0, "UTC", true}, // package time reads no rules of POSIX
		{link, copied, 0, "Europe/Berlin", true},
		{"-", link, 0, "Europe/Berlin", true},
		{"-", copied, 0, "Asia/Kathmandu", true},
		{"-", unknown, 7200, "Etc/GMT-2", false},
		{"-", unknown, -3600, "Etc/GMT+1", false},
		{"-", unknown, 5400, "UTC", false},
		{"-", filepath.Join(folder, "none"), 0, "UTC", true},
	} {
		t.Setenv("TZ", c.tz)
		if c.tz == "-" {
			os.Unsetenv("TZ")
		}
		if got, named := zone(c.localtime, zoneinfo, at(c.offset)); got != c.want || named != c.named {
			t.Errorf("TZ=%s %s %d: %s, %v; want %s", c.tz, c.localtime, c.offset, got, named, c.want)
		}
		if _, err := time.LoadLocation(c.want); err != nil {
			t.Error(err)
		}
	}
}

// The notes of how fresh a recording is, and of clocks.
func TestFresh(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1795400000, 0)
	for _, c := range []struct {
		now, newest, interval float64
		want                  string
	}{
		{1795400000.5, 1795399990, 5, ""},
		{1795400000.5, 1795399983, 5, "the recording is stale: its newest sample is 17s old, of "},
		{1795400060, 1795400059, 5, "the clock there is 59s ahead of the one here"},
		{1795399900, 1795399899, 5, "the clock there is 1m 40s behind the one here"},
	} {
		f := fresh{known: true, sampled: true, newest: c.newest, now: c.now, interval: c.interval, arrived: begin.Add(time.Second)}
		if got := strings.Join(f.notes(begin), "; "); !strings.HasPrefix(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}

// fakeSSH runs what ssh would have run over there.
func fakeSSH(t *testing.T, text string) Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ssh")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return Config{Hosts: []string{"web1"}, SSH: []string{file}, Statement: "SELECT 1", Zone: "UTC", Wait: 5 * time.Second, AtOnce: 2, Version: "0.1.0", Places: []string{"/nowhere"}}
}

// What a host can do wrong that sshd does not: each is one sentence.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("it has no sh")
	}
	for name, c := range map[string]struct{ script, want string }{
		"without netsql": {"PATH=/elsewhere exec /bin/sh -s", "no netsql there: it is not in the PATH and not in /nowhere"},
		"silent":         {"exit 255", "ssh ended without a word, and no sh was started there"},
		"a program of another kind": {`netsql() { echo hello; }; read l; read m; eval "$m"; echo "$m start"; echo "$m quote"; echo 'hello there'`,
			`what it sends is no answer of netsql: "hello there"`},
		"no code":              {`read l; read m; eval "$m"; echo "$m start"; echo "$m end x"`, `what it sends is no answer of netsql: "x"`},
		"killed":               {`read l; read m; eval "$m"; echo "$m start"; echo "$m quote" | tee /dev/stderr; echo 'netsql: killed' >&2; echo "$m end 137"`, "killed"},
		"fails without a word": {`read l; read m; eval "$m"; echo "$m start"; echo "$m end 1"`, "netsql ended with exit code 1 there"},
		"another word":         {`read l; read m; eval "$m"; echo "$m start"; echo "$m boo"`, `what it sends is no answer of netsql: "boo"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, err := All(t.Context(), fakeSSH(t, c.script))
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(answers[0].Err); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	c := fakeSSH(t, "")
	c.SSH[0] += "-not-there"
	if _, err := All(t.Context(), c); err == nil || !strings.Contains(err.Error(), "cannot be run: install OpenSSH's client") {
		t.Error(err)
	}
}

// What ssh leaves behind with its standard error, as a master of connections, holds nobody up; what it started ends with it.
func TestNothingWaitsAndNothingIsLeft(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("it has no groups of processes")
	}
	begin := time.Now()
	answers, err := All(t.Context(), fakeSSH(t, "sleep 20 & exit 255"))
	if took := time.Since(begin); err != nil || answers[0].Err == nil || took > 4*time.Second {
		t.Errorf("%v after %v", answers, took)
	}
	pid := filepath.Join(t.TempDir(), "pid")
	c := fakeSSH(t, "trap '' TERM; sh -c 'echo $$ >"+pid+"; exec sleep 60'")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for deadline := time.Now().Add(4 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if text, _ := os.ReadFile(pid); len(text) > 1 {
				break
			}
		}
		cancel()
	}()
	c.Hosts = []string{"web1", "web1", "web1"} // the third has not begun
	answers, err = All(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if !errors.Is(a.Err, errInterrupted) {
			t.Error(a.Err)
		}
	}
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) { // it is killed, but nobody waits for it
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(text)) + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("what ssh started is left: %s", state)
		}
	}
}
