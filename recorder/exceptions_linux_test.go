package recorder

import (
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// router makes a namespace that packets from d0 go through, to links with an MTU of 1400. It returns what runs a line of sh in it.
func router(t *testing.T) func(line string) {
	t.Helper()
	links(t)
	sleeps := exec.Command("sleep", "1000")
	sleeps.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := kerneltest.Start(sleeps); err != nil {
		kerneltest.NeedKernel(t, fmt.Sprintf("no namespace: %v", err))
	}
	t.Cleanup(func() { sleeps.Process.Kill(); sleeps.Wait() })
	pid := fmt.Sprint(sleeps.Process.Pid)
	ip(t, "link add d0 type veth peer name d0p")
	ip(t, "link set d0p netns "+pid)
	ip(t, "link set d0 up")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "addr add fd00:1::1/64 dev d0 nodad")
	inside := func(line string) {
		t.Helper()
		kerneltest.Command(t, "nsenter", "--net=/proc/"+pid+"/ns/net", "sh", "-ec", line)
	}
	inside(`ip link set lo up
		ip addr add 10.1.0.254/24 dev d0p; ip addr add fd00:1::fe/64 dev d0p nodad; ip link set d0p up
		ip link add far type veth peer name farp; ip link set far mtu 1400 up; ip link set farp up
		ip addr add 10.2.0.254/24 dev far; ip addr add fd00:2::fe/64 dev far nodad
		sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`)
	ip(t, "route add default via 10.1.0.254")
	ip(t, "-6 route add default via fd00:1::fe")
	return inside
}

// send sends datagrams that must not be fragmented until the kernel knows that they are too long.
func send(t *testing.T, to unix.Sockaddr) {
	t.Helper()
	family, level, option, way := unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO
	if _, six := to.(*unix.SockaddrInet6); six {
		family, level, option, way = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, level, option, way); err != nil {
		t.Fatal(err)
	}
	until(t, "a datagram is too long for the path", func() bool {
		return unix.Sendto(fd, make([]byte, 1440), 0, to) == unix.EMSGSIZE
	})
}

// What routers tell of a path is recorded: its MTU, until when, and that it changed. The oracle is ip route show cache.
func TestLearntPathMTU(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	inside := router(t)
	const lasts = 40
	setSysctl(t, "net/ipv4/route/mtu_expires", fmt.Sprint(lasts))
	r := newRecording(t)
	src := newRoutes(r.Writer, here(t)).(*routes)
	r.sampleNow(src)
	if rows := r.rows("SELECT * FROM route_exceptions"); len(rows) > 0 {
		t.Errorf("before there are any: %v", rows)
	}
	routes := len(r.rows("SELECT 1 FROM routes_now"))
	far4, far6 := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 2, 0, 9}}, &unix.SockaddrInet6{Port: 9, Addr: [16]byte{0: 0xfd, 3: 2, 15: 9}}
	send(t, far4)
	send(t, far6)

	oracle := func() []map[string]any {
		var want []map[string]any
		for i, family := range []string{"-4", "-6"} {
			for _, e := range ipJSON(t, family+" route show cache") {
				dst, _, _ := strings.Cut(e["dst"].(string), "/")
				metrics := e["metrics"].([]any)[0].(map[string]any)
				mtu, err := metrics["mtu"].(json.Number).Int64()
				left, err2 := e["expires"].(json.Number).Float64()
				if err != nil || err2 != nil {
					t.Fatal(e)
				}
				want = append(want, map[string]any{"family": int64(4 + 2*i), "table_id": int64(254), "dst": dst, "gateway": e["gateway"], "dev": e["dev"],
					"mtu": mtu, "locked": nil, "left": left})
			}
		}
		return want
	}
	check := func(mtu int64) {
		t.Helper()
		got := r.rows("SELECT family, table_id, dst, gateway, dev, mtu, locked, expires AS left FROM route_exceptions_now ORDER BY family")
		want := oracle()
		if len(got) != 2 || len(want) != 2 {
			t.Fatalf("recorded are %v, ip shows %v", got, want)
		}
		now := r.Moment(kernel.SinceBoot())
		for i := range got {
			left := got[i]["left"].(float64) - now
			if math.Abs(left-want[i]["left"].(float64)) > 4 {
				t.Errorf("%v: it lasts %.1f s more, ip says %v", got[i]["dst"], left, want[i]["left"])
			}
			delete(got[i], "left")
			delete(want[i], "left")
			if got[i]["mtu"] != mtu {
				t.Errorf("MTU %v, want %d", got[i]["mtu"], mtu)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-ip +got):\n%s", diff)
		}
	}
	r.sampleNow(src)
	check(1400)
	if n := len(r.rows("SELECT 1 FROM routes_now")); n != routes {
		t.Errorf("%d routes, before there were %d", n, routes)
	}
	// What does not change is written once, though the time that is left does change.
	for range 3 {
		r.sampleNow(src)
	}
	if n := r.rows("SELECT (SELECT count(*) FROM route_exception_span) + (SELECT count(*) FROM route_exception_open) AS n")[0]["n"]; n != int64(2) {
		t.Errorf("%v spans of two exceptions at rest", n)
	}

	if rows := r.rows("SELECT expires FROM route_exceptions_now WHERE expires <> round(expires)"); len(rows) > 0 {
		t.Errorf("moments to parts of a second: %v", rows)
	}
	// Where there are many routes, they are kept, and read again when an exception ends.
	if left := src.lasts(); left > lasts*time.Second {
		t.Errorf("routes are read again in %v, and an exception lasts %d s", left, lasts)
	}
	src.many, src.quiet = 0, func() bool { return true }
	r.sampleNow(src)
	if got := r.rows("SELECT outcome, (SELECT count(*) FROM route_exceptions_now) AS n FROM sources_now WHERE source = 'routes'"); got[0]["outcome"] != "kept" || got[0]["n"] != int64(2) {
		t.Errorf("where there are many routes: %v", got)
	}
	src.quiet = nil

	inside("ip link set far mtu 1300")
	send4 := func(to unix.Sockaddr, size int) {
		until(t, "the kernel learns 1300", func() bool {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
			return unix.Sendto(fd, make([]byte, size), 0, to) == unix.EMSGSIZE
		})
	}
	send4(far4, 1340)
	// A sample that could not be written has seen it. The next one reads again, though nothing was told.
	clock, err := readClock()
	if err != nil {
		t.Fatal(err)
	}
	r.Begin(clock)
	src.read(t.Context())
	canceled, cancel := contextCanceled(t)
	defer cancel()
	if err := r.Commit(canceled, store.Cost{}); err == nil {
		t.Fatal("the sample was written")
	}
	src.quiet = func() bool { return true }
	r.sampleNow(src)
	src.quiet = nil
	if got := r.rows("SELECT mtu FROM route_exceptions_now WHERE family = 4"); len(got) != 1 || got[0]["mtu"] != int64(1300) {
		t.Errorf("after the MTU changed: %v", got)
	}
	ip(t, "route flush cache")
	ip(t, "-6 route flush cache")
	r.sampleNow(src)
	if got := r.rows("SELECT * FROM route_exceptions_now WHERE family = 4"); len(got) > 0 {
		t.Errorf("flushed, and still there: %v", got)
	}
	var told []string
	for _, row := range r.rows("SELECT event, what, was, now FROM events WHERE object = 'path' AND what LIKE '%10.2.0.9%'") {
		told = append(told, fmt.Sprint(row["event"], "; ", row["what"], "; ", row["was"], "; ", row["now"]))
	}
	want := []string{
		"added; path MTU to 10.2.0.9 is 1400, via 10.1.0.254 dev d0; <nil>; mtu=1400",
		"changed; path MTU to 10.2.0.9 is 1300, via 10.1.0.254 dev d0; mtu=1400; mtu=1300",
		"removed; path MTU to 10.2.0.9 is 1300, via 10.1.0.254 dev d0; mtu=1300; <nil>",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	changes := r.rows("SELECT change, mtu, was, now FROM route_exception_changes WHERE family = 4 ORDER BY ts")
	if len(changes) != 3 {
		t.Errorf("changes %v", changes)
	}
}
