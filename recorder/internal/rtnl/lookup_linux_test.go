package rtnl

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

// twoWays makes two veth interfaces, wan and vpn, with IPv4 and IPv6 addresses, and routes of all kinds.
func twoWays(t *testing.T) {
	t.Helper()
	for _, line := range strings.Split(`link set lo up
link add wan type veth peer name wan2
link add vpn type veth peer name vpn2
link set wan up
link set wan2 up
link set vpn up
link set vpn2 up
addr add 10.1.0.1/24 dev wan
addr add 10.2.0.1/24 dev vpn
addr add fd01::1/64 dev wan nodad
addr add fd02::1/64 dev vpn nodad
route add 192.0.2.0/24 via 10.1.0.2
route add unreachable 198.51.100.0/24
route add blackhole 203.0.113.0/24
-6 route add 2001:db8::/64 via fd01::2
-6 route add unreachable 2001:db8:1::/64
rule add fwmark 7 table 100 priority 100
rule add uidrange 1000-1000 table 100 priority 101
rule add ipproto tcp dport 99 table 100 priority 102
rule add tos 0x10 table 100 priority 103
-6 rule add fwmark 7 table 100 priority 100
-6 rule add uidrange 1000-1000 table 100 priority 101
-6 rule add ipproto tcp dport 99 table 100 priority 102
route add default via 10.2.0.2 table 100
-6 route add default via fd02::2 table 100`, "\n") {
		kerneltest.Command(t, "ip", strings.Fields(line)...)
	}
}

// The oracle is ip route get.
func TestLookup(t *testing.T) {
	if !kerneltest.InNetNS(t) {
		return
	}
	twoWays(t)
	addr := netip.MustParseAddr
	for _, c := range []struct {
		src, dst string
		flow     Flow
		more     string
		want     string
	}{
		{"10.1.0.1", "10.1.0.9", Flow{}, "", "wan"},
		{"10.1.0.1", "192.0.2.7", Flow{}, "", "wan"},
		{"10.1.0.1", "192.0.2.7", Flow{Mark: 7}, "mark 7", "vpn"},
		{"10.1.0.1", "192.0.2.7", Flow{UID: 1000}, "uid 1000", "vpn"},
		{"10.1.0.1", "192.0.2.7", Flow{UID: 1001}, "uid 1001", "wan"},
		{"10.1.0.1", "192.0.2.7", Flow{SPort: 5, DPort: 99}, "ipproto tcp sport 5 dport 99", "vpn"},
		{"10.1.0.1", "192.0.2.7", Flow{SPort: 5, DPort: 98}, "ipproto tcp sport 5 dport 98", "wan"},
		{"10.1.0.1", "192.0.2.7", Flow{TOS: 0x10}, "tos 0x10", "vpn"},
		{"10.1.0.1", "10.2.0.1", Flow{}, "", "lo"},
		{"127.0.0.1", "127.0.0.1", Flow{}, "", "lo"},
		{"10.1.0.1", "198.51.100.1", Flow{}, "", ""},
		{"10.1.0.1", "203.0.113.1", Flow{}, "", ""},
		{"10.1.0.1", "8.8.8.8", Flow{}, "", ""},
		{"10.7.7.7", "192.0.2.7", Flow{}, "", ""}, // no address of ours
		{"fd01::1", "fd01::9", Flow{}, "", "wan"},
		{"fd01::1", "2001:db8::9", Flow{}, "", "wan"},
		{"fd01::1", "2001:db8::9", Flow{Mark: 7}, "mark 7", "vpn"},
		{"fd01::1", "2001:db8::9", Flow{UID: 1000}, "uid 1000", "vpn"},
		{"fd01::1", "2001:db8::9", Flow{SPort: 5, DPort: 99}, "ipproto tcp sport 5 dport 99", "vpn"},
		{"fd01::1", "fd02::1", Flow{}, "", "lo"},
		{"::1", "::1", Flow{}, "", "lo"},
		{"fd01::1", "2001:db8:1::9", Flow{}, "", ""},
		{"fd01::1", "2001:db8:2::9", Flow{}, "", ""},
	} {
		f := c.flow
		f.Src, f.Dst = addr(c.src), addr(c.dst)
		name := fmt.Sprintf("%s from %s %s", c.dst, c.src, c.more)
		if c.want != "" {
			words := strings.Fields("route get " + name)
			if said := kerneltest.Command(t, "ip", words...); !strings.Contains(said, " dev "+c.want+" ") {
				t.Errorf("ip route get %s: %s, want %s", name, said, c.want)
			}
		}
		var l Lookup
		if err := l.Open(); err != nil {
			t.Fatal(err)
		}
		oif, err := l.Ask(&f)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got := ""
		if oif != 0 {
			if i, err := net.InterfaceByIndex(int(oif)); err == nil {
				got = i.Name
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		l.Close()
		if l.IsOpen() {
			t.Error("it is open after Close")
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, to := range []string{"127.0.0.1", "::1"} {
		b.Run(to, func(b *testing.B) {
			var l Lookup
			if err := l.Open(); err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			f := Flow{Src: netip.MustParseAddr(to), Dst: netip.MustParseAddr(to)}
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				if _, err := l.Ask(&f); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is what the process has used so far: other programs may keep the machine busy.
func cpuTime(b *testing.B) int64 {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return used.Utime.Nano() + used.Stime.Nano()
}

// An answer that makes no sense is an error, and what answers another question is none.
func TestAnswerOfLookup(t *testing.T) {
	t.Parallel()
	message := func(kind uint16, seq uint32, body []byte) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = append(b, 0, 0)
		b = binary.NativeEndian.AppendUint32(b, seq)
		return append(append(b, 0, 0, 0, 0), body...)
	}
	route := func(kind uint8, attributes ...[]byte) []byte {
		return kerneltest.Message([]byte{unix.AF_INET, 32, 0, 0, 254, 0, 0, kind, 0, 0, 0, 0}, attributes...)
	}
	seven := kerneltest.Attribute(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, 7)...)
	failed := func(errno unix.Errno) []byte {
		return append(binary.NativeEndian.AppendUint32(nil, uint32(-int32(errno))), make([]byte, 16)...)
	}
	for name, c := range map[string]struct {
		b       []byte
		oif     int32
		answers bool
		fails   bool
	}{
		"a route":               {message(unix.RTM_NEWROUTE, 3, route(unix.RTN_UNICAST, seven)), 7, true, false},
		"a local one":           {message(unix.RTM_NEWROUTE, 3, route(unix.RTN_LOCAL, seven)), 7, true, false},
		"an unreachable one":    {message(unix.RTM_NEWROUTE, 3, route(unix.RTN_UNREACHABLE, seven)), 0, true, false},
		"without an interface":  {message(unix.RTM_NEWROUTE, 3, route(unix.RTN_UNICAST)), 0, true, false},
		"of another question":   {message(unix.RTM_NEWROUTE, 2, route(unix.RTN_UNICAST, seven)), 0, false, false},
		"no route":              {message(unix.NLMSG_ERROR, 3, failed(unix.ENETUNREACH)), 0, true, false},
		"no memory":             {message(unix.NLMSG_ERROR, 3, failed(unix.ENOMEM)), 0, false, true},
		"another message":       {message(unix.RTM_NEWRULE, 3, route(unix.RTN_UNICAST, seven)), 0, false, true},
		"a short interface":     {message(unix.RTM_NEWROUTE, 3, route(unix.RTN_UNICAST, kerneltest.Attribute(unix.RTA_OIF, 1, 2))), 0, false, true},
		"a short route":         {message(unix.RTM_NEWROUTE, 3, make([]byte, 5)), 0, false, true},
		"a short message":       {make([]byte, 9), 0, false, true},
		"a length beyond it":    {message(unix.RTM_NEWROUTE, 3, route(unix.RTN_UNICAST, seven))[:30], 0, false, true},
		"a length of less":      {make([]byte, 16), 0, false, true},
		"an error without text": {message(unix.NLMSG_ERROR, 3, nil), 0, false, true},
	} {
		oif, answers, err := parseAnswer(c.b, 3)
		if oif != c.oif || answers != c.answers || (err != nil) != c.fails {
			t.Errorf("%s: interface %d, answers %v, %v; want %+v", name, oif, answers, err, c)
		}
	}
}

func FuzzAnswerOfLookup(f *testing.F) {
	f.Add([]byte{40, 0, 0, 0, 24, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 32, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0, 8, 0, 4, 0, 7, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if oif, answers, err := parseAnswer(b, 3); oif != 0 && (!answers || err != nil) {
			t.Errorf("interface %d of no answer: %v", oif, err)
		}
	})
}
