package recorder

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// A talker is a program of some name and user, that connects and sends what it is told.
type talker struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.Writer
	out   *bufio.Scanner
	conns map[string]net.Conn
}

func startTalker(t *testing.T, name string, attr *syscall.SysProcAttr) *talker {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$") // which other users may run, wherever it is
	cmd.Env = append(os.Environ(), "NETSQL_TEST_TALKER="+name)
	cmd.SysProcAttr, cmd.Stderr = attr, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := kerneltest.Start(cmd); err != nil {
		kerneltest.NeedKernel(t, "no other users or namespaces here: "+err.Error())
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	k := &talker{t: t, cmd: cmd, in: in, out: bufio.NewScanner(out)}
	k.answer("start")
	return k
}

// do returns how many bytes of what it sent the kernel sent more than once.
func (k *talker) do(line string, args ...any) (again int64) {
	k.t.Helper()
	line = fmt.Sprintf(line, args...)
	fmt.Fprintln(k.in, line)
	return k.answer(line)
}

func (k *talker) answer(line string) (again int64) {
	k.t.Helper()
	k.out.Scan()
	if _, err := fmt.Sscanf(k.out.Text(), "done, %d bytes again", &again); err != nil {
		k.t.Fatalf("%s: %q", line, k.out.Text())
	}
	return again
}

// beTalker is the other side of startTalker.
func beTalker(name string) {
	k := &talker{conns: map[string]net.Conn{}}
	say := func(again int64, err error) {
		if err != nil {
			fmt.Println(err)
		} else {
			fmt.Printf("done, %d bytes again\n", again)
		}
	}
	say(0, os.WriteFile("/proc/self/comm", []byte(name), 0))
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if words := strings.Fields(lines.Text()); words[0] == "send" { // NAME BYTES
			size := 0
			fmt.Sscan(words[2], &size)
			say(sendSize(k.conns[words[1]], size))
		} else {
			say(0, k.obey(words))
		}
	}
}

func (k *talker) obey(words []string) error {
	switch words[0] {
	case "ip":
		out, err := exec.Command("ip", words[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	case "serve":
		return serveSizes()
	case "dial": // NAME ADDRESS INTERFACE MARK
		mark := 0
		fmt.Sscan(words[4], &mark)
		dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
			return errors.Join(raw.Control(func(fd uintptr) {
				if words[3] != "-" {
					err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, words[3])
				}
				if mark != 0 {
					err = errors.Join(err, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark))
				}
			}), err)
		}}
		dialer.SetMultipathTCP(false)
		c, err := dialer.Dial("tcp", words[2])
		k.conns[words[1]] = c
		return err
	case "close":
		return k.conns[words[1]].Close()
	}
	return errors.New("what?")
}

const sizesPort = 7000

// serveSizes begins to answer those that sendSize.
func serveSizes() error {
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	l, err := net.Listen("tcp", fmt.Sprint(":", sizesPort))
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var head [8]byte
				for {
					if _, err := io.ReadFull(c, head[:]); err != nil {
						return
					}
					if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint64(head[:]))-8); err != nil {
						return
					}
					c.Write([]byte{1})
				}
			}()
		}
	}()
	return nil
}

// sendSize sends so many bytes, and returns when the other side has them. It says how many bytes the kernel sent more than
// once: after a loss, to an end that is too busy to answer in time, and when a queue of this machine was full, which it does not call a retransmit.
func sendSize(c net.Conn, size int) (again int64, err error) {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	sent := func() (n int64) {
		err = errors.Join(err, raw.Control(func(fd uintptr) {
			info, failed := unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
			if failed != nil {
				err = failed
				return
			}
			n = int64(info.Bytes_sent)
		}))
		return n
	}
	before := sent()
	b := make([]byte, size)
	binary.BigEndian.PutUint64(b, uint64(size))
	if _, err := c.Write(b); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return 0, err
	}
	again = sent() - before - int64(size)
	return again, err
}

// txBytes is the oracle of what went out through an interface.
func txBytes(t *testing.T, dev string) int64 {
	t.Helper()
	link := ipJSON(t, "-s link show dev "+dev)[0]
	n, err := link["stats64"].(map[string]any)["tx"].(map[string]any)["bytes"].(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What two programs of two users send over two interfaces is summed up for each: by the device that a socket is bound to, a rule for a user, a
// mark, and the route, from when it is another on. The oracles are what they were told to send, the counters of the interfaces, and ip route get.
func TestTrafficByInterface(t *testing.T) {
	if name := os.Getenv("NETSQL_TEST_TALKER"); name != "" {
		beTalker(name)
		return
	}
	if !kerneltest.InNetNS(t) {
		return
	}
	loopback(t)
	peer := startTalker(t, "peer", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET})
	for _, line := range strings.Split(fmt.Sprintf(`link add wan type veth peer name wan2 netns %[1]d
link add vpn type veth peer name vpn2 netns %[1]d
addr add 10.1.0.1/24 dev wan
addr add 10.2.0.1/24 dev vpn
link set wan up
link set vpn up`, peer.cmd.Process.Pid), "\n") {
		ip(t, line)
	}
	for _, line := range []string{"link set lo up", "addr add 192.0.2.1/32 dev lo", "addr add 10.1.0.2/24 dev wan2", "addr add 10.2.0.2/24 dev vpn2",
		"link set wan2 up", "link set vpn2 up"} {
		peer.do("ip %s", line)
	}
	peer.do("serve")
	for _, line := range []string{"route add 192.0.2.0/24 via 10.1.0.2", "route add default via 10.2.0.2 table 100",
		"rule add uidrange 2000-2000 table 100 priority 100", "rule add fwmark 7 table 100 priority 101"} {
		ip(t, line)
	}
	for _, name := range []string{"all", "default", "wan", "vpn"} { // answers may come back the other way
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/rp_filter", []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := serveSizes(); err != nil {
		t.Fatal(err)
	}
	user := func(uid uint32) *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}, AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}}
	}
	shop, backup := startTalker(t, "shopd", user(1000)), startTalker(t, "backupd", user(2000))

	r := newTestRun(t, "self")
	sent := map[string]int64{} // by program, user and interface, in all
	var phase map[string]int64 // and since the last sample
	send := func(k *talker, conn, key string, size int) {
		t.Helper()
		n := int64(size) + k.do("send %s %d", conn, size)
		phase[key] += n
		sent[key] += n
	}
	check := func(what string) {
		t.Helper()
		r.sample()
		got := map[string]int64{}
		for _, row := range r.rows("SELECT comm, uid, interface, sum(bytes_sent) AS sent FROM traffic_now WHERE comm IN ('shopd', 'backupd') AND bytes_sent > 0 GROUP BY 1, 2, 3") {
			got[fmt.Sprint(row["comm"], " ", row["uid"], " ", row["interface"])] = row["sent"].(int64)
		}
		if diff := cmp.Diff(phase, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	begin := func() { phase = map[string]int64{} }
	remote := fmt.Sprint("192.0.2.1:", sizesPort)
	r.sample()
	shop.do("dial route %s - 0", remote)
	shop.do("dial bound %s vpn 0", remote)
	shop.do("dial marked %s - 7", remote)
	shop.do("dial local 10.1.0.1:%d - 0", sizesPort)
	backup.do("dial route %s - 0", remote)
	r.sample()

	begin()
	wan, vpn := txBytes(t, "wan"), txBytes(t, "vpn")
	send(shop, "route", "shopd 1000 wan", 1_000_000)
	send(shop, "bound", "shopd 1000 vpn", 200_000)
	send(shop, "marked", "shopd 1000 vpn", 30_000)
	send(shop, "local", "shopd 1000 lo", 4_000)
	send(backup, "route", "backupd 2000 vpn", 500_000)
	near := func(what string, got, want int64) {
		t.Helper()
		if got < want || got > want+want/10+5000 {
			t.Errorf("%s sent %d bytes, want %d and the headers", what, got, want)
		}
	}
	near("wan", txBytes(t, "wan")-wan, 1_000_000)
	near("vpn", txBytes(t, "vpn")-vpn, 730_000)
	check("at first")
	asked := waysBudget - r.sockets.routes

	ways := r.sockets.traffic[0].ways
	for before := ways.changes + 1; ways.changes != before; { // the kernel may tell late that a link is up, and an IPv6 address no longer tentative
		before = ways.changes
		begin()
		send(shop, "route", "shopd 1000 wan", 100)
		send(shop, "local", "shopd 1000 lo", 200)
		check("the same again")
	}
	if asked < 3 || r.sockets.routes != waysBudget {
		t.Errorf("the kernel was asked for %d routes, and for %d once they were known", asked, waysBudget-r.sockets.routes)
	}

	begin()
	check("nothing moved")
	if ways.looked {
		t.Error("nothing moved, and it was looked at the routes")
	}

	// What is lost and sent again is counted each time.
	begin()
	kerneltest.Command(t, "tc", strings.Fields("qdisc add dev wan root tbf rate 100mbit burst 5kb limit 20kb")...)
	send(shop, "route", "shopd 1000 wan", 300_000)
	kerneltest.Command(t, "tc", strings.Fields("qdisc del dev wan root")...)
	if phase["shopd 1000 wan"] == 300_000 {
		t.Error("a short queue lost nothing")
	}
	check("with losses")

	// Another route takes over, and for the marked connection another rule.
	begin()
	ip(t, "route replace 192.0.2.0/24 via 10.2.0.2")
	ip(t, "rule del priority 101")
	ip(t, "rule add fwmark 7 table 101 priority 101")
	ip(t, "route add default via 10.1.0.2 table 101")
	if said := kerneltest.Command(t, "ip", strings.Fields("route get 192.0.2.1 from 10.1.0.1 uid 1000")...); !strings.Contains(said, "dev vpn ") {
		t.Fatalf("ip route get says %s", said)
	}
	wan, vpn = txBytes(t, "wan"), txBytes(t, "vpn")
	send(shop, "route", "shopd 1000 vpn", 300_000)
	send(shop, "marked", "shopd 1000 wan", 70_000)
	send(shop, "bound", "shopd 1000 vpn", 20_000)
	send(backup, "route", "backupd 2000 vpn", 50_000)
	near("wan", txBytes(t, "wan")-wan, 70_000)
	near("vpn", txBytes(t, "vpn")-vpn, 370_000)
	check("after a change")

	// Of a connection that lives between two samples neither the mark nor the user is known, and rules ask for them.
	var shorts int64 // what they sent, in all
	short := func(dev string, size int, bound string) {
		t.Helper()
		begin()
		total := func() int64 {
			return r.rows("SELECT coalesce(sum(bytes_sent), 0) AS n FROM traffic WHERE interface IS ?", []any{dev, nil}[boolean(dev == "")])[0]["n"].(int64)
		}
		before := total()
		shop.do("dial short %s %s 0", remote, bound)
		want := int64(size) + shop.do("send short %d", size)
		shorts += want
		shop.do("close short")
		eventually(t, "the close was received", func() bool { return r.sockets.closes[0].received() > 0 })
		r.sample()
		r.sample() // a close during the dumps of the one before
		if got := total() - before; got != want {
			t.Errorf("a short connection sent %d bytes through %q, want %d: %v", got, dev, want, r.rows("SELECT ts, comm, uid, interface, bytes_sent, closed FROM traffic WHERE closed > 0"))
		}
	}
	short("", 9_000, "-")
	short("wan", 9_500, "wan")
	ip(t, "rule del priority 100")
	ip(t, "rule del priority 101")
	short("vpn", 8_000, "-")
	ip(t, "route replace 192.0.2.0/24 via 10.1.0.2")
	short("wan", 7_000, "-")
	short("vpn", 6_500, "vpn")

	if n := r.rows("SELECT count(*) AS n FROM traffic WHERE comm = 'shopd' AND uid IS NOT 1000 OR comm = 'backupd' AND uid IS NOT 2000")[0]["n"]; n != int64(0) {
		t.Errorf("%v rows of a program are of another user: %v", n, r.rows("SELECT comm, uid, interface, closed FROM traffic"))
	}

	// An interface that has another name has it from then on.
	begin()
	ip(t, "link set wan down")
	ip(t, "link set wan name lte")
	ip(t, "link set lte up")
	ip(t, "route add 192.0.2.0/24 via 10.1.0.2")
	send(shop, "route", "shopd 1000 lte", 6_000)
	check("after another name")

	// By process, it is what it was: the sum over interfaces. And roll-ups add up to the same, by interface and in all.
	for comm, want := range map[string]int64{"shopd": 0, "backupd": 0} {
		for key, n := range sent {
			if strings.HasPrefix(key, comm) {
				want += n
			}
		}
		if got := r.rows("SELECT sum(bytes_sent) AS n FROM top_talkers WHERE comm = ? AND pid IS NOT NULL", comm)[0]["n"].(int64); got < want || got > want+shorts /* the short ones, where the trace names them */ {
			t.Errorf("top_talkers says that %s sent %d bytes, want %d", comm, got, want)
		}
	}
	raw := r.rows("SELECT comm, uid, user, interface, sum(bytes_sent) AS sent, sum(closed) AS closed FROM traffic GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4")
	r.anHourLater()
	for _, view := range []string{"traffic_rates_1m", "traffic_rates_1h"} {
		rolled := r.rows("SELECT comm, uid, user, interface, sum(bytes_sent) AS sent, sum(closed) AS closed FROM " + view + " GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4")
		if diff := cmp.Diff(raw, rolled); diff != "" {
			t.Errorf("%s (-traffic +%[1]s):\n%s", view, diff)
		}
		for key, want := range sent {
			f := strings.Fields(key)
			got := r.rows("SELECT coalesce(sum(bytes_sent), 0) AS n FROM "+view+" WHERE comm = ? AND uid = ? AND interface = ?", f[0], f[1], f[2])[0]["n"].(int64)
			if got < want || got > want+shorts {
				t.Errorf("%s: %s sent %d bytes, want %d", view, key, got, want)
			}
		}
	}
	if n := r.rows("SELECT count(*) AS n FROM sources WHERE source = 'traffic' AND outcome NOT IN ('read', 'unread')")[0]["n"]; n != int64(0) {
		t.Errorf("traffic was not read %v times", n)
	}
}

// Beyond the budget of questions the interface is not known, and that is said; the sums are whole. Of connections that have both ends in common
// the kernel is asked once.
func TestBudgetOfRoutes(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	l := listen(t, "tcp4", "0.0.0.0:0")
	port := l.Addr().(*net.TCPAddr).Port
	dial := func(to int) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp4", fmt.Sprintf("127.1.%d.%d:%d", to/250, 1+to%250, port))
		if err != nil {
			t.Fatal(err)
		}
		other, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); other.Close() })
		return c
	}
	const peers = 2 * waysBudget / 3 // each of which has two ends
	var conns []net.Conn
	for i := range peers {
		conns = append(conns, dial(i))
	}
	r.sampleNow(s)
	const each = 100
	moved := func(want map[any]int64, outcome string) {
		t.Helper()
		for _, c := range conns {
			c.Write(make([]byte, each))
		}
		eventually(t, "all is acknowledged", func() bool {
			for _, c := range conns {
				waiting := 0
				onFD(t, c, func(fd int) { waiting, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ) })
				if waiting > 0 {
					return false
				}
			}
			return true
		})
		r.sampleNow(s)
		got := map[any]int64{}
		for _, row := range r.rows("SELECT interface, sum(bytes_sent + bytes_received) AS n FROM traffic_now GROUP BY 1") {
			got[row["interface"]] = row["n"].(int64)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if row := r.rows("SELECT outcome, error FROM sources_now WHERE source = 'traffic'")[0]; row["outcome"] != outcome || (row["error"] != nil) != (outcome != "read") {
			t.Errorf("traffic was %v, want %s", row, outcome)
		}
	}
	w := s.traffic[0].ways
	told := uint64(0)
	w.told = func() (uint64, bool) { return told, true }
	moved(map[any]int64{"lo": waysBudget * each, nil: (2*peers - waysBudget) * each}, "incomplete")
	if s.routes != 0 {
		t.Errorf("%d questions are left", s.routes)
	}
	moved(map[any]int64{"lo": 2 * peers * each}, "read")
	if asked := waysBudget - s.routes; asked != 2*peers-waysBudget {
		t.Errorf("%d questions for what was not asked, want %d", asked, 2*peers-waysBudget)
	}
	// Answers that are a minute old are asked for again, and count while there are too many.
	w.born = time.Now().Add(-waysAge - time.Second)
	moved(map[any]int64{"lo": 2 * peers * each}, "read")
	if s.routes != 0 {
		t.Errorf("after a minute %d questions were not used", s.routes)
	}
	// After a change they do not.
	told++
	moved(map[any]int64{"lo": waysBudget * each, nil: (2*peers - waysBudget) * each}, "incomplete")

	for range waysBudget {
		conns = append(conns, dial(0))
	}
	r.sampleNow(s)
	conns = conns[peers:]
	told++
	moved(map[any]int64{"lo": 2 * waysBudget * each}, "read")
	if asked := waysBudget - s.routes; asked != 2 {
		t.Errorf("%d questions for connections of one address to one, want 2", asked)
	}
}

// Where it is not known what the kernel chooses a route by, or where there is none, the interface is not known.
func TestWaysNeverGuess(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	for _, line := range []string{"link add wan type veth peer name wan2", "addr add 10.1.0.1/24 dev wan", "addr add fd01::1/64 dev wan nodad", "link set wan up", "link set wan2 up"} {
		ip(t, line)
	}
	wan, err := net.InterfaceByName("wan")
	if err != nil {
		t.Fatal(err)
	}
	budget := waysBudget
	w := newWays(here(t), &budget)
	t.Cleanup(w.close)
	of := func(src, dst string, change func(*connection)) string {
		w.begin()
		r := sockdiag.Record{Family: unix.AF_INET}
		a, b := netip.MustParseAddr(src), netip.MustParseAddr(dst)
		if a.Is6() {
			r.Family = unix.AF_INET6
			r.Src, r.Dst = a.As16(), b.As16()
		} else {
			four, there := a.As4(), b.As4()
			copy(r.Src[:], four[:])
			copy(r.Dst[:], there[:])
		}
		c := connectionOf(&r)
		c.hasPorts = false
		if change != nil {
			change(&c)
		}
		dev := w.of(&c)
		if w.err != nil {
			t.Errorf("from %s to %s: %v", src, dst, w.err)
		}
		return dev
	}
	expect := func(what, want, got string) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	whole := func(c *connection) { c.hasMark, c.hasUID, c.hasTOS, c.hasPorts = true, true, true, true }
	both := func(what, want string, change func(*connection)) {
		t.Helper()
		expect("IPv4 "+what, want, of("10.1.0.1", "10.1.0.9", change))
		expect("IPv6 "+what, want, of("fd01::1", "fd01::9", change))
	}
	both("without rules", "wan", nil)
	expect("IPv4 by way of IPv6", "wan", of("::ffff:10.1.0.1", "::ffff:10.1.0.9", nil))
	expect("to itself", "lo", of("10.1.0.1", "10.1.0.1", nil))
	expect("IPv6 to itself", "lo", of("fd01::1", "fd01::1", nil))
	expect("without a route", "", of("10.1.0.1", "192.0.2.1", nil))
	expect("from what is no address of ours", "", of("10.1.0.77", "10.1.0.9", nil))
	expect("to nowhere", "", of("10.1.0.1", "0.0.0.0", nil))
	expect("from nowhere", "", of("0.0.0.0", "10.1.0.9", nil))
	expect("of several", "", of("10.1.0.1", "10.1.0.9", func(c *connection) { c.uncertain = true }))
	expect("bound", "wan", of("10.1.0.1", "192.0.2.1", func(c *connection) { c.bound = uint32(wan.Index) }))
	expect("bound to what is gone", "", of("10.1.0.1", "10.1.0.9", func(c *connection) { c.bound = 9999 }))
	for _, rule := range []struct {
		text    string
		lacking func(*connection)
	}{
		{"fwmark 7", func(c *connection) { c.hasMark = false }},
		{"fwmark 0/7", func(c *connection) { c.hasMark = false }},
		{"uidrange 0-0", func(c *connection) { c.hasUID = false }},
		{"ipproto tcp", func(c *connection) { c.hasPorts = false }},
		{"sport 7", func(c *connection) { c.hasPorts = false }},
		{"dport 7", func(c *connection) { c.hasPorts = false }},
		{"tos 0x10", func(c *connection) { c.hasTOS = false }},
	} {
		for _, family := range []string{"", "-6 "} {
			ip(t, family+"rule add "+rule.text+" table main priority 50")
		}
		both(rule.text+", all known", "wan", whole)
		both(rule.text+", not known", "", func(c *connection) { whole(c); rule.lacking(c) })
		for _, family := range []string{"", "-6 "} {
			ip(t, family+"rule del priority 50")
		}
	}
	both("without rules again", "wan", nil)
	for _, family := range []string{"4", "6"} {
		if err := os.WriteFile("/proc/sys/net/ipv"+family+"/fib_multipath_hash_policy", []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
	both("of several next hops by ports", "", nil)
	both("of several next hops by ports, all known", "wan", whole)

	// While somebody listens, what was said counts until something is told.
	told := uint64(5)
	w.told = func() (uint64, bool) { return told, true }
	both("told of changes", "wan", whole)
	budget = waysBudget
	both("told of changes", "wan", whole)
	if budget != waysBudget {
		t.Errorf("%d questions for what was known", waysBudget-budget)
	}
	ip(t, "addr del 10.1.0.1/24 dev wan")
	expect("not told yet", "wan", of("10.1.0.1", "10.1.0.9", whole))
	told++
	expect("told", "", of("10.1.0.1", "10.1.0.9", whole))
	w.told = func() (uint64, bool) { return told, false }
	ip(t, "addr add 10.1.0.1/24 dev wan")
	expect("nobody listened", "wan", of("10.1.0.1", "10.1.0.9", whole))
	ip(t, "addr del 10.1.0.1/24 dev wan")
	w.told = func() (uint64, bool) { return told, true }
	expect("told again, of what came since", "", of("10.1.0.1", "10.1.0.9", whole))
}

// What closes have in common that are summed up, and what not.
func TestWayOfCloseGroups(t *testing.T) {
	t.Parallel()
	here, there := [16]byte{10, 0, 0, 1}, [16]byte{10, 0, 0, 2}
	event := func(bound uint32, port uint16) *closeEvent {
		return &closeEvent{proto: unix.IPPROTO_TCP, rec: sockdiag.Record{Family: unix.AF_INET, Src: here, Dst: there, SPort: 7, DPort: port, IfIndex: bound}}
	}
	for name, c := range map[string]struct {
		scope     scope
		events    []*closeEvent
		uncertain bool
		bound     uint32
	}{
		"of a listener":          {ofListener, []*closeEvent{event(0, 1), event(0, 2)}, false, 0},
		"of a service":           {ofService, []*closeEvent{event(0, 1)}, false, 0},
		"of a peer":              {ofPeer, []*closeEvent{event(0, 1)}, false, 0},
		"of any of a listener":   {anyListener, []*closeEvent{event(0, 1)}, true, 0},
		"of any of a service":    {anyService, []*closeEvent{event(0, 1)}, true, 0},
		"of any":                 {anyProtocol, []*closeEvent{event(0, 1)}, true, 0},
		"bound":                  {anyProtocol, []*closeEvent{event(3, 1), event(3, 2)}, false, 3},
		"bound, but for one":     {ofPeer, []*closeEvent{event(3, 1), event(0, 2)}, true, 0},
		"bound after others":     {ofPeer, []*closeEvent{event(0, 1), event(3, 2)}, true, 3},
		"bound to several":       {ofPeer, []*closeEvent{event(3, 1), event(4, 2), event(4, 2)}, true, 4},
		"of which one is unsaid": {ofPeer, []*closeEvent{event(0, 1), {proto: unix.IPPROTO_TCP, forgotten: true, rec: sockdiag.Record{Family: unix.AF_INET, Src: here}}}, true, 0},
	} {
		l, g := newCloseLog(10), &closeGroup{}
		for _, e := range c.events {
			l.enter(g, e)
		}
		key := c.events[0].key(c.scope)
		got := g.connection(&key)
		if got.uncertain != c.uncertain || got.bound != c.bound || got.family != unix.AF_INET || got.hasMark || got.hasUID || got.hasPorts || got.hasTOS {
			t.Errorf("%s: %+v", name, got)
		}
		if !c.uncertain && c.bound == 0 && (got.src != here || got.dst != there) {
			t.Errorf("%s: from %v to %v", name, got.src, got.dst)
		}
	}
}

// A sum rests while its process lives, but not for ever: interfaces come and go.
func TestSumsRestForSomeTime(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	budget := 0
	sums := newTraffic(r.Writer, namespace{id: store.Of(1)}, nil, newWays(namespace{}, &budget))
	look := sourceFunc(func(ctx context.Context) {
		sums.source.Read(func() error { return sums.report(nil, func(store.Ref) bool { return true }) })
	})
	sums.of(sumKey{dev: "wan"}).closed++
	r.sample(look)
	for range restSamples - 1 {
		sums.sums[sumKey{dev: "wan"}].rested++
	}
	r.sample(look)
	if len(sums.sums) != 1 {
		t.Errorf("it rests for less than %d samples", restSamples)
	}
	r.sample(look)
	if len(sums.sums) != 0 {
		t.Errorf("it rests for more than %d samples", restSamples)
	}
	if n := r.rows("SELECT count(*) AS n FROM traffic_sum WHERE gone_sample IS NOT NULL")[0]["n"]; n != int64(1) {
		t.Errorf("%v sums are gone", n)
	}
}
