package recorder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/bench"
	"netsql/recorder/internal/owners"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// testRun is a run of the recorder whose samples the test takes.
type testRun struct {
	*run
	*testRecording
	said []string
}

// newTestRun records in a user namespace, with a /run of the test: ip netns makes its names there.
func newTestRun(t testing.TB, words string) *testRun {
	t.Helper()
	which, err := ParseNetNS(words)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ownNamespace()
	if err != nil {
		t.Fatal(err)
	}
	rec := &testRun{testRecording: newRecording(t)}
	say := func(n Notice) { rec.said = append(rec.said, n.Text) }
	r, err := newRun(rec.Writer, own, Config{NetNS: which, CloseBudget: 1000, Notice: say}, newNotices(say, MinInterval))
	if err != nil {
		t.Fatal(err)
	}
	rec.run = r
	t.Cleanup(r.close)
	return rec
}

func ownRun(t testing.TB) {
	t.Helper()
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "size=4m"); err != nil {
		t.Fatal("mount a tmpfs in a user namespace: ", err)
	}
}

func (r *testRun) sample() {
	r.t.Helper()
	if err := r.run.sample(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// where asks the newest sample for something of one namespace.
func (r *testRun) where(inode uint64, query string) []string {
	r.t.Helper()
	var list []string
	for _, row := range r.rows(query, inode) {
		for _, v := range row {
			list = append(list, text(v))
		}
	}
	slices.Sort(list)
	return list
}

// recorded are the inode numbers of namespaces_now, with their names.
func (r *testRun) recorded() map[string]string {
	r.t.Helper()
	list := map[string]string{}
	for _, row := range r.rows("SELECT netns, name FROM namespaces_now") {
		list[text(row["netns"])] = text(row["name"])
	}
	return list
}

// countsOf is how many rows each table has of a namespace.
func (r *testRun) countsOf(inode uint64) map[string]int64 {
	r.t.Helper()
	counts := map[string]int64{}
	for _, table := range []string{"sockets", "socket_counts", "interfaces", "interface_counters", "addresses", "routes", "rules",
		"neighbors", "protocol_counters", "conntrack", "settings", "namespaces", "sources"} {
		n := r.rows("SELECT count(*) AS n FROM "+table+"_now WHERE netns = ?", inode)[0]["n"].(int64)
		if n > 0 {
			counts[table] = n
		}
	}
	return counts
}

func nsInode(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return st.Ino
}

// An nsProcess is a process in a namespace of its own, which ends when the test says so.
type nsProcess struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// newNSProcess starts a process in a new network namespace, or in that of the path.
func newNSProcess(t testing.TB, path string) *nsProcess {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NETSQL_TEST_NSPROCESS="+path)
	if path == "" {
		cmd.Env[len(cmd.Env)-1] += "new"
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &nsProcess{cmd, in, bufio.NewReader(out)}
	t.Cleanup(p.leave)
	p.answer(t)
	return p
}

// answer waits until the process has done what it was told.
func (p *nsProcess) answer(t testing.TB) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return strings.TrimSpace(line)
}

func (p *nsProcess) tell(t testing.TB, words string) string {
	t.Helper()
	fmt.Fprintln(p.in, words)
	return p.answer(t)
}

func (p *nsProcess) leave() {
	p.in.Close()
	p.Wait()
}

func (p *nsProcess) inode(t testing.TB) uint64 {
	return nsInode(t, fmt.Sprintf("/proc/%d/ns/net", p.Process.Pid))
}

// The other process does everything on its first thread, by which others see where it is.
func init() {
	if os.Getenv("NETSQL_TEST_NSPROCESS") != "" {
		runtime.LockOSThread()
	}
}

func TestMain(m *testing.M) {
	if path := os.Getenv("NETSQL_TEST_NSPROCESS"); path != "" {
		beNSProcess(path)
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "bench-part" { // of a crowd of this program
		if err := bench.Part(context.Background(), os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func beNSProcess(path string) {
	say := func(word any, err error) {
		if err != nil {
			fmt.Println("error", err)
		} else {
			fmt.Println(word)
		}
	}
	if path != "new" {
		say("there", enterPath(path))
	} else {
		say("there", nil)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "enter":
			say("there", enterPath(rest))
		case "listen", "cookie":
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			option := unix.SO_NETNS_COOKIE
			if word == "listen" {
				option = unix.SO_COOKIE
				err = errors.Join(err, unix.Bind(fd, &unix.SockaddrInet4{Port: 7777}), unix.Listen(fd, 1))
			}
			cookie, cerr := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, option)
			say(cookie, errors.Join(err, cerr))
			if word == "cookie" {
				unix.Close(fd)
			}
		case "set":
			name, value, _ := strings.Cut(rest, "=")
			say("set", os.WriteFile("/proc/sys/"+name, []byte(value), 0))
		case "end-first-thread":
			unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
		}
	}
}

func enterPath(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

// Everything in a second namespace is recorded as its own, as ip says from within.
func TestEveryNamespace(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ownRun(t)
	links(t)
	ip(t, "netns add red")
	ip(t, "netns add blue")
	ip(t, "link add v0 type veth peer name v1 netns red")
	ip(t, "addr add 10.1.0.1/24 dev v0")
	ip(t, "link set v0 up")
	inRed := func(line string) { t.Helper(); ip(t, "-n red "+line) }
	worker := newNSProcess(t, "/run/netns/red")
	worker.tell(t, "set net/ipv6/conf/default/accept_dad=0")
	worker.tell(t, "set net/ipv6/conf/default/router_solicitations=0")
	worker.tell(t, "set net/ipv4/ip_local_port_range=20000 20100")
	inRed("link set lo up")
	inRed("link set v1 mtu 1400 up")
	inRed("addr add 10.1.0.2/24 dev v1")
	inRed("route add 10.9.0.0/16 via 10.1.0.1 metric 7")
	inRed("neigh add 10.1.0.1 lladdr 02:00:00:00:00:01 dev v1 nud permanent")
	inRed("rule add from 10.9.0.0/16 lookup 77 pref 1000")
	listener := worker.tell(t, "listen")
	second := newNSProcess(t, "/run/netns/red")
	alone := newNSProcess(t, "")

	r := newTestRun(t, "all")
	r.sample()
	r.sample()
	red, blue, own := nsInode(t, "/run/netns/red"), nsInode(t, "/run/netns/blue"), nsInode(t, "/proc/self/ns/net")
	want := map[string]string{fmt.Sprint(red): "red", fmt.Sprint(blue): "blue", fmt.Sprint(own): "", fmt.Sprint(alone.inode(t)): ""}
	if diff := cmp.Diff(want, r.recorded()); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}

	// What the namespace is.
	rows := r.rows("SELECT netns, netns_cookie, name, own, pid, processes FROM namespaces_now ORDER BY netns = ? DESC, netns = ? DESC, netns = ? DESC", red, blue, own)
	cookie := func(p *nsProcess) int64 {
		n, _ := strconv.ParseInt(p.tell(t, "cookie"), 10, 64)
		return n
	}
	for _, check := range []struct {
		name      string
		row       map[string]any
		got, want any
	}{
		{"cookie of red", rows[0], rows[0]["netns_cookie"], cookie(worker)},
		{"first process of red", rows[0], rows[0]["pid"], int64(worker.Process.Pid)},
		{"processes of red", rows[0], rows[0]["processes"], int64(2)},
		{"red is not ours", rows[0], rows[0]["own"], int64(0)},
		{"first process of blue", rows[1], rows[1]["pid"], nil},
		{"processes of blue", rows[1], rows[1]["processes"], int64(0)},
		{"ours is ours", rows[2], rows[2]["own"], int64(1)},
		{"first process of the nameless", rows[3], rows[3]["pid"], int64(alone.Process.Pid)},
		{"cookie of the nameless", rows[3], rows[3]["netns_cookie"], cookie(alone)},
	} {
		if check.got != check.want {
			t.Errorf("%s: %v, want %v in %v", check.name, check.got, check.want, check.row)
		}
	}
	where := r.rows("SELECT netns FROM processes_now WHERE pid = ?", worker.Process.Pid)
	if len(where) != 1 || where[0]["netns"] != int64(red) {
		t.Errorf("the process is in %v, want %d", where, red)
	}

	// What is in it.
	column := func(rows []map[string]any, name string) []string {
		var list []string
		for _, row := range rows {
			list = append(list, text(row[name]))
		}
		slices.Sort(list)
		return list
	}
	wrong := func() (diffs string) {
		var addresses []string
		for _, link := range ipJSON(t, "-n red addr") {
			for _, a := range link["addr_info"].([]any) {
				addresses = append(addresses, text(a.(map[string]any)["local"]))
			}
		}
		slices.Sort(addresses)
		var routes []string
		for _, family := range []string{"-4", "-6"} {
			routes = append(routes, column(ipJSON(t, "-n red "+family+" route show table all"), "dev")...)
		}
		slices.Sort(routes)
		var rules []string
		for _, family := range []string{"-4", "-6"} {
			rules = append(rules, column(ipJSON(t, "-n red "+family+" rule"), "priority")...)
		}
		slices.Sort(rules)
		passive := func() string {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/sockstat", worker.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			return strings.Fields(string(owners.LineOf(b, "TCP:")))[2]
		}
		for _, check := range []struct {
			name, query string
			want        []string
		}{
			{"interfaces", "SELECT name FROM interfaces_now WHERE netns = ?", column(ipJSON(t, "-n red link"), "ifname")},
			{"counters of interfaces", "SELECT name FROM interface_counters_now WHERE netns = ?", column(ipJSON(t, "-n red link"), "ifname")},
			{"statistics of drivers", "SELECT interface || ' ' || name FROM nic_counters_now WHERE netns = ?", []string{"v1 peer_ifindex"}},
			{"a driver", "SELECT driver FROM interfaces_now WHERE netns = ? AND name = 'v1'", []string{"veth"}},
			{"mtu", "SELECT mtu FROM interfaces_now WHERE netns = ? AND name = 'v1'", []string{"1400"}},
			{"addresses", "SELECT addr FROM addresses_now WHERE netns = ?", addresses},
			{"routes", "SELECT dev FROM routes_now WHERE netns = ?", routes},
			{"the route", "SELECT dst || ' ' || gateway || ' ' || dev || ' ' || metric FROM routes_now WHERE netns = ? AND metric = 7", []string{"10.9.0.0/16 10.1.0.1 v1 7"}},
			{"rules", "SELECT priority FROM rules_now WHERE netns = ?", rules},
			{"neighbours", "SELECT mac FROM neighbors_now WHERE netns = ? AND addr = '10.1.0.1'", []string{"02:00:00:00:00:01"}},
			{"a setting", "SELECT value FROM settings_now WHERE netns = ? AND name = 'net.ipv4.ip_local_port_range'", []string{"20000 20100"}},
			{"a setting of a link", "SELECT value FROM settings_now WHERE netns = ? AND name = 'net.ipv6.conf.v1.disable_ipv6'", []string{"0"}},
			{"the listener", "SELECT cookie || ' ' || pid || ' ' || local_port FROM sockets_now WHERE netns = ? AND proto = 'tcp'",
				[]string{fmt.Sprintf("%s %d 7777", listener, worker.Process.Pid)}},
			{"TCP sockets in use", "SELECT value FROM protocol_counters_now WHERE netns = ? AND file = 'sockstat' AND proto = 'TCP' AND name = 'inuse'", []string{passive()}},
			{"sources that failed", "SELECT source FROM sources_now WHERE netns = ? AND outcome NOT IN ('read', 'kept')", nil},
		} {
			if diff := cmp.Diff(check.want, r.where(red, check.query)); diff != "" {
				diffs += fmt.Sprintf("%s (-want +got):\n%s", check.name, diff)
			}
		}
		return diffs
	}
	// The kernel goes on adding addresses and routes of IPv6 for a moment.
	diffs := wrong()
	for try := 0; diffs != "" && try < 10; try++ {
		r.sample()
		diffs = wrong()
	}
	if diffs != "" {
		t.Error(diffs)
	}
	if got := r.where(own, "SELECT name FROM interfaces_now WHERE netns = ?"); !slices.Equal(got, []string{"lo", "v0"}) {
		t.Errorf("our interfaces are %v", got)
	}
	if got := r.where(own, "SELECT value FROM settings_now WHERE netns = ? AND name = 'net.ipv4.ip_local_port_range'"); slices.Equal(got, []string{"20000 20100"}) {
		t.Error("our settings are those of the other")
	}
	if n := r.rows("SELECT count(*) AS n, count(DISTINCT cpu) AS cpus FROM softnet_now")[0]; n["n"] != n["cpus"] || n["n"] == int64(0) {
		t.Errorf("softnet: %v", n)
	}

	// The first process leaves: the other one is the first now.
	worker.leave()
	r.sample()
	if got := r.where(red, "SELECT pid || ' ' || processes FROM namespaces_now WHERE netns = ?"); !slices.Equal(got, []string{fmt.Sprint(second.Process.Pid, " 1")}) {
		t.Errorf("after the first process: %v", got)
	}
	if got := r.where(red, "SELECT count(*) FROM sockets_now WHERE netns = ? AND proto = 'tcp'"); !slices.Equal(got, []string{"0"}) {
		t.Errorf("TCP sockets after the process that had one: %v", got)
	}
}

// A namespace that all have left is left, and is really gone then: the other end of its link is. The next one
// gets its number and none of its rows.
func TestNamespacesComeAndGo(t *testing.T) {
	for _, between := range []bool{false, true} {
		name := "with a sample"
		if between {
			name = "between samples"
		}
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			ownRun(t)
			links(t)
			// Other tests make namespaces as well, and may be given the number first.
			for range 2 {
				if comeAndGo(t, between) {
					return
				}
			}
			t.Log("the number of a namespace that was gone always went to another test's")
		})
	}
}

// comeAndGo reports whether another namespace got the number of the one that went.
func comeAndGo(t *testing.T, between bool) bool {
	t.Helper()
	r := newTestRun(t, "all")
	r.sample()
	own := nsInode(t, "/proc/self/ns/net")
	before := r.countsOf(own)

	ip(t, "netns add red")
	red := nsInode(t, "/run/netns/red")
	ip(t, "link add v0 type veth peer name v1 netns red")
	r.sample()
	worker := newNSProcess(t, "/run/netns/red")
	listener := worker.tell(t, "listen")
	cookie := worker.tell(t, "cookie")
	r.sample()
	if got := r.where(red, "SELECT name FROM interfaces_now WHERE netns = ?"); !slices.Equal(got, []string{"lo", "v1"}) {
		t.Fatalf("interfaces %v", got)
	}

	// Its name goes: the process is still there. Its process goes: nothing is.
	ip(t, "netns del red")
	r.sample()
	if got := r.where(red, "SELECT netns_cookie FROM namespaces_now WHERE netns = ? AND name IS NULL"); !slices.Equal(got, []string{cookie}) {
		t.Errorf("without its name: %v, want cookie %s", got, cookie)
	}
	worker.leave()
	// The kernel tells of a closed socket a moment later.
	eventually(t, "the close of its socket is heard", func() bool {
		for _, c := range r.sockets.closes {
			c.mu.Lock()
			heard := c.ns.id == store.Of(red) && len(c.events.sampled) > 0
			c.mu.Unlock()
			if heard {
				return true
			}
		}
		return false
	})
	if between {
		r.letGo()
	} else {
		r.sample()
		if got := r.countsOf(red); len(got) > 0 {
			t.Errorf("of what is gone there is still %v", got)
		}
	}
	eventually(t, "the other end of its link is gone", func() bool {
		return len(ipJSON(t, "link show type veth")) == 0
	})

	// The kernel gives its number to one that comes now.
	made, reused := []string{}, false
	for i := 0; i < 8 && !reused; i++ {
		name := fmt.Sprintf("n%d", i)
		ip(t, "netns add "+name)
		made, reused = append(made, name), nsInode(t, "/run/netns/"+name) == red
	}
	last := made[len(made)-1]
	ip(t, "-n "+last+" link add other0 type veth peer name other1")
	for range 2 {
		r.sample()
		if got := r.where(red, "SELECT name FROM interfaces_now WHERE netns = ?"); reused && !slices.Equal(got, []string{"lo", "other0", "other1"}) {
			t.Errorf("interfaces of the next of that number: %v", got)
		}
	}
	if n := r.rows("SELECT count(*) AS n FROM closed_sockets WHERE netns = ? AND cookie = CAST(? AS INTEGER) AND pid = ?", red, listener, worker.Process.Pid)[0]["n"]; n != int64(1) {
		t.Errorf("its last socket was closed %v times", n)
	}
	rows := r.rows("SELECT netns_cookie, name FROM namespaces_now WHERE netns = ?", red)
	if reused && (len(rows) != 1 || rows[0]["name"] != last || text(rows[0]["netns_cookie"]) == cookie) {
		t.Errorf("%v, want %s and another cookie than %s", rows, last, cookie)
	}
	if n := r.rows("SELECT count(*) AS n FROM sources_now WHERE netns = ? AND source = 'routes'", red)[0]["n"]; reused && n != int64(1) {
		t.Errorf("%v sources of routes", n)
	}
	if gaps := r.rows("SELECT source, kind, detail FROM gaps WHERE netns IS NOT NULL"); len(gaps) > 0 {
		t.Errorf("gaps %v", gaps)
	}
	tables := func(counts map[string]int64) []string { return slices.Sorted(maps.Keys(counts)) }
	if diff := cmp.Diff(tables(before), tables(r.countsOf(own))); diff != "" {
		t.Errorf("tables of our own namespace (-before +after):\n%s", diff)
	}
	for _, name := range made {
		ip(t, "netns del "+name)
	}
	r.sample()
	return reused
}

// A process that has been there long is not asked in every sample where it is; a namespace that it has moved into
// does not seem deserted for that.
func TestOldProcessMovesIn(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ownRun(t)
	ip(t, "netns add red")
	red := nsInode(t, "/run/netns/red")
	mover := newNSProcess(t, "")
	r := newTestRun(t, "all")
	r.sample()
	old := r.namespaces.procs[int32(mover.Process.Pid)]
	old.young, old.due = time.Time{}, time.Now().Add(time.Hour)
	mover.tell(t, "enter /run/netns/red")
	r.sample()
	if got := r.where(red, "SELECT processes FROM namespaces_now WHERE netns = ?"); !slices.Equal(got, []string{"0"}) {
		t.Logf("the move was noticed at once: %v", got)
	}
	ip(t, "netns del red")
	r.sample()
	if got := r.where(red, "SELECT pid FROM namespaces_now WHERE netns = ?"); !slices.Equal(got, []string{strconv.Itoa(mover.Process.Pid)}) {
		t.Errorf("the first process is %v, want %d", got, mover.Process.Pid)
	}
	if n := len(r.networks); n != 2 {
		t.Errorf("%d namespaces are recorded, want ours and its", n)
	}
}

// The threads of a process may outlive the first of them, which then shows no namespace.
func TestNamespaceOfThreads(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ownRun(t)
	p := newNSProcess(t, "")
	inode := p.inode(t)
	r := newTestRun(t, "all")
	r.sample()
	fmt.Fprintln(p.in, "end-first-thread")
	eventually(t, "the first thread has ended", func() bool {
		_, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", p.Process.Pid))
		return err != nil
	})
	r.sample()
	if got := r.where(inode, "SELECT pid FROM namespaces_now WHERE netns = ?"); !slices.Equal(got, []string{strconv.Itoa(p.Process.Pid)}) {
		t.Errorf("the process is %v, want %d", got, p.Process.Pid)
	}
	p.Process.Kill()
}

func TestChosenNamespaces(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ownRun(t)
	ip(t, "netns add red")
	ip(t, "netns add blue")
	p := newNSProcess(t, "")
	own, red := fmt.Sprint(nsInode(t, "/proc/self/ns/net")), nsInode(t, "/run/netns/red")
	for _, c := range []struct {
		words string
		want  map[string]string
	}{
		{"self", map[string]string{own: ""}},
		{"red", map[string]string{fmt.Sprint(red): "red"}},
		{"self,red", map[string]string{own: "", fmt.Sprint(red): "red"}},
		{fmt.Sprint(red), map[string]string{fmt.Sprint(red): "red"}},
		{own, map[string]string{own: ""}},
		{fmt.Sprintf("pid:%d", p.Process.Pid), map[string]string{fmt.Sprint(p.inode(t)): ""}},
	} {
		t.Run(c.words, func(t *testing.T) {
			r := newTestRun(t, c.words)
			r.sample()
			if diff := cmp.Diff(c.want, r.recorded()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, row := range r.rows("SELECT DISTINCT netns FROM interfaces_now") {
				if _, ok := c.want[text(row["netns"])]; !ok {
					t.Errorf("interfaces of %v are recorded", row["netns"])
				}
			}
		})
	}

	// One that is not there yet is waited for.
	r := newTestRun(t, "green,blue")
	r.sample()
	if got := r.outcome("namespaces"); !strings.Contains(got, "there is no network namespace green: it is recorded when it comes") {
		t.Errorf("outcome %q", got)
	}
	if got := r.recorded(); len(got) != 1 {
		t.Errorf("recorded: %v", got)
	}
	ip(t, "netns add green")
	r.sample()
	if got := slices.Sorted(maps.Values(r.recorded())); !slices.Equal(got, []string{"blue", "green"}) {
		t.Errorf("recorded: %v", got)
	}
	if got := r.outcome("namespaces"); strings.Contains(got, "green") {
		t.Errorf("outcome %q", got)
	}
}

// A namespace that cannot be entered costs its own rows and says so once.
func TestNamespaceRefused(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ownRun(t)
	ip(t, "netns add red")
	// A name may lead to a namespace of another kind, which no thread can enter as its network.
	if err := os.WriteFile("/run/netns/wrong", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("/proc/self/ns/uts", "/run/netns/wrong", "", syscall.MS_BIND, ""); err != nil {
		kerneltest.NeedKernel(t, err.Error())
	}
	wrong := nsInode(t, "/run/netns/wrong")
	r := newTestRun(t, "all")
	for range 3 {
		r.sample()
	}
	gaps := r.rows("SELECT source, kind, netns, detail FROM gaps WHERE netns IS NOT NULL")
	want := []map[string]any{{"source": "namespace", "kind": "failed", "netns": int64(wrong), "detail": "enter the network namespace: invalid argument"}}
	if diff := cmp.Diff(want, gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if got := r.countsOf(wrong); !maps.Equal(got, map[string]int64{"namespaces": 1, "sources": 1}) {
		t.Errorf("of one that cannot be entered there is %v", got)
	}
	if got := r.countsOf(nsInode(t, "/run/netns/red")); got["interfaces"] != 1 {
		t.Errorf("of the other there is %v", got)
	}
	said := slices.DeleteFunc(r.said, func(s string) bool { return !strings.Contains(s, "enter the network") })
	if len(said) != 1 {
		t.Errorf("said %q", said)
	}
	// It is not tried in every sample, but when its time has come.
	for _, net := range r.networks {
		if net.refused == nil {
			continue
		}
		later := time.Now().Add(time.Hour)
		net.refused.again = later
		r.sample()
		if net.refused.again != later {
			t.Error("tried again before its time")
		}
		net.refused.again = time.Now()
		r.sample()
		if !net.refused.again.After(time.Now()) {
			t.Error("not tried again")
		}
	}
	if n := len(r.rows("SELECT 1 FROM gaps WHERE netns IS NOT NULL")); n != 1 {
		t.Errorf("%d gaps", n)
	}
	// And it goes as others do.
	if err := syscall.Unmount("/run/netns/wrong", 0); err != nil {
		t.Fatal(err)
	}
	r.sample()
	if got := r.countsOf(wrong); len(got) > 0 {
		t.Errorf("of one that is gone there is %v", got)
	}
}

// Beyond the limit namespaces are not recorded, and that is said.
func TestTooManyNamespaces(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ownRun(t)
	for i := range 4 {
		ip(t, fmt.Sprintf("netns add n%d", i))
	}
	r := newTestRun(t, "all")
	r.namespaces.limit = 3
	r.sample()
	if n := len(r.recorded()); n != 3 {
		t.Errorf("%d are recorded, want 3", n)
	}
	if got := r.outcome("namespaces"); !strings.Contains(got, "there are more than 3 network namespaces") {
		t.Errorf("outcome %q", got)
	}
	first := r.recorded()
	r.sample()
	if diff := cmp.Diff(first, r.recorded()); diff != "" {
		t.Errorf("others than before (-before +after):\n%s", diff)
	}
}

// threadsElsewhere lists the threads of this process that are in another network namespace than the first.
func threadsElsewhere(t *testing.T) []string {
	t.Helper()
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	paths, _ := filepath.Glob("/proc/self/task/*/ns/net")
	var list []string
	for _, path := range paths {
		if where, err := os.Readlink(path); err == nil && where != home {
			list = append(list, path)
		}
	}
	return list
}

// The one thread that enters other namespaces is the only one that is ever elsewhere, and nothing that runs beside it, or
// after it, gets there.
func TestThreadsStayHome(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ownRun(t)
	home := nsInode(t, "/proc/thread-self/ns/net")
	for i := range 5 {
		ip(t, fmt.Sprintf("netns add n%d", i))
	}
	// Meanwhile threads are made, each of which must be born at home.
	ended := make(chan error, 1)
	go func() {
		for range 500 {
			born := make(chan error)
			go func() {
				runtime.LockOSThread() // it ends with the goroutine
				var st unix.Stat_t
				err := unix.Stat("/proc/thread-self/ns/net", &st)
				if err == nil && st.Ino != home {
					err = fmt.Errorf("a thread was born in %d", st.Ino)
				}
				born <- err
			}()
			if err := <-born; err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	r := newTestRun(t, "all")
	for range 10 {
		r.sample()
		if got := threadsElsewhere(t); len(got) > 1 {
			t.Fatalf("%v are elsewhere", got)
		}
	}
	ip(t, "netns del n0")
	r.sample()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := nsInode(t, "/proc/self/ns/net"); got != home {
		t.Errorf("the process seems to be in %d, not in %d", got, home)
	}
	r.close()
	eventually(t, "every thread is at home", func() bool { return len(threadsElsewhere(t)) == 0 })
}

// The first thread of a process, by which others see where it is, never enters another namespace.
func TestFirstThreadStaysHome(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ownRun(t)
	ip(t, "netns add red")
	// The first thread is wherever the scheduler put it; hold every other until loop runs on it.
	for range 200 {
		thread := newNSThread()
		ns, err := openNamespace("/run/netns/red", thread)
		if err != nil {
			t.Fatal(err)
		}
		var tid int
		if err := ns.inside(func() { tid = unix.Gettid() }); err != nil {
			t.Fatal(err)
		}
		if tid == unix.Getpid() {
			t.Fatal("the first thread is elsewhere")
		}
		ns.close()
	}
	eventually(t, "every thread is at home", func() bool { return len(threadsElsewhere(t)) == 0 })
}

// Run does all that by itself.
func TestRunFollowsNamespaces(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ownRun(t)
	links(t)
	path := filepath.Join(t.TempDir(), "run.db")
	sampled := make(chan struct{}, 1000)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Path: path, Interval: MinInterval, NetNS: NetNS{all: true}, Sampled: func() { sampled <- struct{}{} }})
	}()
	samples := func(n int) {
		t.Helper()
		for len(sampled) > 0 {
			<-sampled
		}
		for range n {
			select {
			case <-sampled:
			case err := <-done:
				t.Fatalf("the recorder ended: %v", err)
			}
		}
	}
	samples(1)
	rec := &testRecording{t: t, path: path}
	for i := range 3 {
		name := fmt.Sprintf("n%d", i)
		ip(t, "netns add "+name)
		inode := nsInode(t, "/run/netns/"+name)
		ip(t, "link add v0 type veth peer name v1 netns "+name)
		samples(2)
		if n := rec.rows("SELECT count(*) AS n FROM interfaces_now WHERE netns = ? AND name = 'v1'", inode)[0]["n"]; n != int64(1) {
			t.Errorf("%s: %v links v1", name, n)
		}
		ip(t, "netns del "+name)
		eventually(t, "the other end of its link is gone", func() bool { return len(ipJSON(t, "link show type veth")) == 0 })
		samples(2)
		if n := rec.rows("SELECT count(*) AS n FROM interfaces_now WHERE netns = ?", inode)[0]["n"]; n != int64(0) {
			t.Errorf("%s: %v links after its end", name, n)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "every thread is at home", func() bool { return len(threadsElsewhere(t)) == 0 })
	if got := rec.rows("SELECT name FROM namespaces WHERE name IS NOT NULL GROUP BY name"); len(got) != 3 {
		t.Errorf("recorded: %v", got)
	}
}

// BenchmarkNamespaces measures finding the namespaces of five hundred processes, and a sample of a hundred namespaces.
func BenchmarkNamespaces(b *testing.B) {
	if !benchInNamespace(b) {
		return
	}
	ownRun(b)
	b.Run("find", func(b *testing.B) {
		for range 500 {
			cmd := exec.Command("sleep", "1000")
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		}
		r := newTestRun(b, "all")
		r.sample()
		for _, c := range []struct {
			name string
			age  func(p *procNetNS, i int)
		}{
			{"young", func(*procNetNS, int) {}},
			{"old", func(p *procNetNS, _ int) { p.young, p.due = time.Time{}, time.Now().Add(time.Hour) }},
			// A sample every 5 s asks a third of those that are old.
			{"a_third_due", func(p *procNetNS, i int) {
				p.young, p.due = time.Time{}, time.Now().Add(time.Hour)
				if i%3 == 0 {
					p.due = time.Time{}
				}
			}},
		} {
			b.Run(c.name, func(b *testing.B) {
				for range b.N {
					b.StopTimer()
					i := 0
					for _, p := range r.namespaces.procs {
						c.age(p, i)
						i++
					}
					b.StartTimer()
					if err := r.namespaces.look(nil); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(r.namespaces.procs)), "µs/process")
			})
		}
	})
	b.Run("sample", func(b *testing.B) {
		for _, n := range []int{0, 100} {
			for i := range n {
				ipBatch(b, fmt.Sprintf("netns add n%d", i))
			}
			b.Run(fmt.Sprint(1+n), func(b *testing.B) {
				r := newTestRun(b, "all")
				r.sample()
				r.sample()
				runtime.GC()
				var before runtime.MemStats
				runtime.ReadMemStats(&before)
				for b.Loop() {
					r.sample()
				}
				b.ReportMetric(float64(before.HeapInuse)/(1<<20), "MiB-heap")
			})
		}
	})
}
