package rtnl

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

func ip(t *testing.T, line string) string {
	t.Helper()
	return kerneltest.Command(t, "ip", strings.Fields(line)...)
}

func ipJSON[T any](t *testing.T, line string) (got []T) {
	t.Helper()
	if err := json.Unmarshal([]byte(ip(t, "-j -d "+line)), &got); err != nil {
		t.Fatalf("ip %s: %v", line, err)
	}
	return got
}

// dumped are the messages of one dump, decoded.
func dumped[T any](t *testing.T, r *Conn, request int, answer uint16, header []byte, parse func([]byte) (T, error)) (got []T) {
	t.Helper()
	messages, err := r.Dump(t.Context(), request, answer, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, msg := range messages {
		v, err := parse(msg)
		if err != nil {
			t.Errorf("%x: %v", msg, err)
		}
		got = append(got, v)
	}
	return got
}

// agree compares lines, in any order. What comes up by itself, a state or an address, may do so between two looks: then both look again.
func agree(t *testing.T, what string, ip, kernel func() []string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		want, got := ip(), kernel()
		slices.Sort(want)
		slices.Sort(got)
		if slices.Equal(want, got) && len(want) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: ip says\n%s\nthe messages say\n%s", what, strings.Join(want, "\n"), strings.Join(got, "\n"))
		}
	}
}

// row is one line of the comparison.
func row(columns ...any) string { return strings.TrimSuffix(fmt.Sprintln(columns...), "\n") }

func number(n store.Int) int64 {
	v, known := n.Get()
	if !known {
		return -1
	}
	return v
}

// TestKernelAgrees builds links, addresses, neighbours, routes and rules of many kinds, and compares what the kernel's messages
// decode to with what ip says. No message of a dump or of a change may be an error.
func TestKernelAgrees(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	groups := []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
		unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_NEXTHOP}
	told, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	kinds := map[uint16]int{} // of messages
	for _, line := range []string{
		"link set lo up", "link add d0 mtu 1400 txqueuelen 777 type veth peer name d1", "link set d0 alias uplink", "link set d0 up", "link set d1 up promisc on",
		"addr add 10.1.0.1/24 brd + dev d0", "addr add 10.1.0.2/24 dev d0 label d0:x", "addr add 10.9.0.1 peer 10.9.0.2 dev d0",
		"addr add 2001:db8:1::1/64 dev d0 nodad", "addr add 2001:db8:9::1 peer 2001:db8:9::2 dev d0 nodad",
		"addr add 10.1.0.3/32 dev d0 valid_lft 1049 preferred_lft 549",
		"route add 10.2.0.0/16 via 10.1.0.254 src 10.1.0.2 metric 7 mtu 1400 window 30000 rtt 250ms table 1000",
		"route add 10.3.0.0/16 nexthop via 10.1.0.10 dev d0 weight 1 nexthop via inet6 2001:db8:1::5 dev d0 weight 9",
		"route add 10.4.0.0/16 via inet6 2001:db8:1::fe dev d0", "route add blackhole 10.5.0.0/16", "route add default via 10.1.0.254",
		"nexthop add id 5 via 10.1.0.77 dev d0", "route add 10.11.0.0/16 nhid 5", "nexthop add id 6 via 10.1.0.78 dev d0", "nexthop add id 7 group 5/6,3",
		"nexthop add id 8 blackhole", "-6 nexthop add id 9 via 2001:db8:1::7 dev d0", "route add 10.12.0.0/16 nhid 7", "nexthop add id 11 via 10.1.0.79 dev d0", "nexthop del id 11",
		"route add 10.13.0.0/16 via 10.1.0.254 advmss 1300 initcwnd 30 initrwnd 31 hoplimit 9 rto_min 50ms quickack 1 congctl reno mtu lock 1400",
		"route add 10.14.0.0/16 encap ip id 100 dst 10.99.0.1 via 10.1.0.254 dev d0", "link property add dev d0 altname uplink0 altname second",
		"-6 route add default via 2001:db8:1::fe metric 512", "-6 route add 2001:db8:4::/48 via 2001:db8:1::2 pref high expires 1000", "-6 route add 2001:db8:3::/48 nexthop via 2001:db8:1::2 nexthop via 2001:db8:1::3 weight 4",
		"rule add from 10.1.0.0/24 to 10.2.0.0/16 fwmark 0x10/0xff iif d0 oif d1 pref 500 table 1000",
		"rule add ipproto tcp sport 1000-2000 dport 443 uidrange 0-0 pref 600 table main suppress_prefixlength 0", "rule add not from 10.1.0.1 goto 600 pref 400",
		"-6 rule add to 2001:db8::/32 pref 700 table 200",
		"neigh add 10.1.0.50 lladdr 02:00:00:00:00:50 dev d0 nud permanent", "-6 neigh add 2001:db8:1::50 lladdr 02:00:00:00:00:51 dev d0 nud noarp router",
	} {
		ip(t, line)
		readTold(t, told, kinds)
	}
	// Not every kernel has these.
	for _, line := range []string{"link add br0 type bridge", "link set d1 master br0", "link set br0 up", "link add link d0 name v7 type vlan id 7",
		"link add x0 type vxlan id 5 remote 10.1.0.9 dev d0 dstport 4789",
		"link add x1 type vxlan id 16777215 remote 2001:db8::9 local 2001:db8::1 dstport 8472", "link add x2 type vxlan id 6 group 239.1.1.1 dev d0 dstport 4789",
		"link add x3 type vxlan id 7 group ff05::1 dev d0 dstport 4790", "link add u0 type dummy", "tuntap add t0 mode tun"} {
		if out, err := ipMay(line); err != nil {
			t.Logf("ip %s: %v, %s", line, err, out)
		}
		readTold(t, told, kinds)
	}
	var r Conn
	names := LinkNames{Conn: &r, ByIndex: map[int32]string{}}

	type infoJSON struct {
		ID                      int64
		Remote, Local, Group    string
		Remote6, Local6, Group6 string
		Port                    int
	}
	type linkJSON struct {
		Index                                              int32 `json:"ifindex"`
		MTU                                                int64
		TxQLen                                             int64
		Promisc                                            int64 `json:"promiscuity"`
		IfName, Qdisc, OperState, Address, IfAlias, Master string
		Info                                               struct {
			Kind  string   `json:"info_kind"`
			Data  infoJSON `json:"info_data"`
			Slave struct {
				State string
			} `json:"info_slave_data"`
		} `json:"linkinfo"`
		AltNames []string
		Flags    []string
	}
	agree(t, "links", func() (rows []string) {
		for _, l := range ipJSON[linkJSON](t, "link") {
			tunnel, d := []string{}, l.Info.Data
			if l.Info.Kind == "vxlan" {
				tunnel = append(tunnel, fmt.Sprintf("id %d", d.ID))
				for _, end := range [][2]string{{"remote", d.Remote}, {"remote", d.Remote6}, {"group", d.Group}, {"group", d.Group6}, {"local", d.Local}, {"local", d.Local6}} {
					if end[1] != "" {
						tunnel = append(tunnel, end[0]+" "+end[1])
					}
				}
				tunnel = append(tunnel, fmt.Sprintf("dstport %d", d.Port))
			}
			rows = append(rows, row(l.Index, l.IfName, l.MTU, l.TxQLen, l.Qdisc, l.OperState, l.Address, l.Promisc, l.IfAlias, l.Master, l.Info.Kind, slices.Contains(l.Flags, "UP"), strings.Join(l.AltNames, ","),
				strings.Join(tunnel, " "), l.Info.Slave.State))
		}
		return rows
	}, func() (rows []string) {
		states := []string{"UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"} // linux/if.h
		for _, l := range dumped(t, &r, unix.RTM_GETLINK, unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg), ParseLink) {
			if _, known := l.CarrierChanges.Get(); !known || len(l.Stats) < 23*8 {
				t.Errorf("%s: %d bytes of counters, carrier changes %v", l.Name, len(l.Stats), l.CarrierChanges)
			}
			rows = append(rows, row(l.Index, string(l.Name), number(l.MTU), number(l.TxQLen), string(l.Qdisc), states[number(l.Operstate)], net.HardwareAddr(l.MAC).String(),
				number(l.Promiscuity), string(l.Alias), names.Of(l.Master), string(l.Info.Kind), l.Flags&unix.IFF_UP != 0, l.AltNames, l.Info.TunnelText(), l.Info.MemberText()))
		}
		return rows
	})

	type addressJSON struct {
		IfIndex int32
		List    []struct {
			Family, Local, Address, Broadcast, Label string
			PrefixLen                                uint8
			Valid                                    uint32 `json:"valid_life_time"`
			Preferred                                uint32 `json:"preferred_life_time"`
		} `json:"addr_info"`
	}
	agree(t, "addresses", func() (rows []string) {
		for _, link := range ipJSON[addressJSON](t, "addr") {
			for _, a := range link.List {
				rows = append(rows, row(link.IfIndex, a.Family, a.Local, a.PrefixLen, a.Address, a.Broadcast, a.Label, a.Valid/50, a.Preferred/50)) // while nobody waits for minutes
			}
		}
		return rows
	}, func() (rows []string) {
		families := map[int]string{4: "inet", 6: "inet6"}
		for _, a := range dumped(t, &r, unix.RTM_GETADDR, unix.RTM_NEWADDR, make([]byte, unix.SizeofIfAddrmsg), ParseAddress) {
			rows = append(rows, row(a.Index, families[FamilyNumber(a.Family)], text(a.Local), a.PrefixLen, text(a.Remote), text(a.Broadcast), a.Label, seconds(a.Valid)/50, seconds(a.Preferred)/50))
		}
		return rows
	})

	type neighborJSON struct{ Dst, Dev, LLAddr string }
	agree(t, "neighbours", func() (rows []string) {
		for _, n := range ipJSON[neighborJSON](t, "neigh show nud all") {
			rows = append(rows, row(n.Dst, n.Dev, n.LLAddr))
		}
		return rows
	}, func() (rows []string) {
		for _, n := range dumped(t, &r, unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, make([]byte, unix.SizeofNdMsg), ParseNeighbor) {
			rows = append(rows, row(text(n.Addr), names.Of(n.Index), net.HardwareAddr(n.MAC).String()))
		}
		return rows
	})
	dumped(t, &r, unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, []byte{unix.AF_BRIDGE, 11: 0}, ParseNeighbor)

	type viaJSON struct{ Host string }
	type routeJSON struct {
		Dst, Gateway, Dev, PrefSrc string
		Via                        viaJSON
		Metric                     uint32
		NHID                       uint32
		Pref                       string
		Expires                    int64
		Encap                      string
		Metrics                    []struct {
			MTU, Window, RTT, AdvMSS, InitCwnd, InitRwnd, HopLimit, QuickAck int64
			RTOMin                                                           int64 `json:"rto_min"`
		}
		NextHops []struct {
			Gateway, Dev string
			Via          viaJSON
			Weight       int
		}
	}
	for family, everything := range map[byte]netip.Prefix{unix.AF_INET: netip.MustParsePrefix("0.0.0.0/0"), unix.AF_INET6: netip.MustParsePrefix("::/0")} {
		agree(t, fmt.Sprintf("routes of IPv%d", FamilyNumber(family)), func() (rows []string) {
			for _, v := range ipJSON[routeJSON](t, fmt.Sprintf("-%d route show table all", FamilyNumber(family))) {
				dst := v.Dst
				if dst == "10.99.0.1" { // ip calls two things dst; the last is that of the tunnel
					dst = "10.14.0.0/16"
				}
				if dst == "default" {
					dst = everything.String()
				} else if !strings.Contains(dst, "/") {
					dst = fmt.Sprintf("%s/%d", dst, everything.Addr().BitLen())
				}
				columns := []any{dst, v.Gateway + v.Via.Host, v.Dev, v.PrefSrc, v.Metric, v.NHID, v.Encap, v.Pref == "high", v.Expires / 100}
				var m struct{ mtu, window, rtt, advmss, initcwnd, initrwnd, hoplimit, quickack, rtomin int64 }
				for _, o := range v.Metrics { // each by itself
					m.mtu, m.window, m.rtt, m.advmss = max(m.mtu, o.MTU), max(m.window, o.Window), max(m.rtt, o.RTT), max(m.advmss, o.AdvMSS)
					m.initcwnd, m.initrwnd, m.hoplimit = max(m.initcwnd, o.InitCwnd), max(m.initrwnd, o.InitRwnd), max(m.hoplimit, o.HopLimit)
					m.quickack, m.rtomin = max(m.quickack, o.QuickAck), max(m.rtomin, o.RTOMin)
				}
				columns = append(columns, m)
				for _, hop := range v.NextHops {
					columns = append(columns, hop.Gateway+hop.Via.Host, hop.Dev, hop.Weight)
				}
				rows = append(rows, row(columns...))
			}
			return rows
		}, func() (rows []string) {
			for _, v := range dumped(t, &r, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, []byte{family, 11: 0}, ParseRoute) {
				kind, _, _ := strings.Cut(v.Encap, " ")
				columns := []any{v.Dst.String(), text(v.Gateway), names.Of(v.OIF), text(v.Prefsrc), v.Metric, v.NextHopID, kind, v.Pref == store.Of(1), seconds(v.Expires) / 100}
				columns = append(columns, struct{ mtu, window, rtt, advmss, initcwnd, initrwnd, hoplimit, quickack, rtomin int64 }{
					v.MTU.Or(0), v.Window.Or(0), v.RTT.Or(0) / 8, v.AdvMSS.Or(0), v.InitCwnd.Or(0), v.InitRwnd.Or(0), v.HopLimit.Or(0), v.QuickAck.Or(0), v.RTOMin.Or(0),
				})
				if want := map[string]string{"10.13.0.0/16": "reno"}[v.Dst.String()]; v.Congestion != want {
					t.Errorf("%s: congestion control %q", v.Dst, v.Congestion)
				}
				for _, hop := range v.NextHops {
					columns = append(columns, text(hop.Gateway), names.Of(hop.OIF), hop.Weight)
				}
				rows = append(rows, row(columns...))
			}
			return rows
		})
	}

	type nextHopJSON struct {
		ID                  uint32
		Gateway, Dev, Scope string
		Via                 viaJSON
		Group               []struct{ ID, Weight uint32 }
		Blackhole           *any
	}
	agree(t, "nexthops", func() (rows []string) {
		for _, v := range ipJSON[nextHopJSON](t, "nexthop") {
			columns := []any{v.ID, v.Gateway + v.Via.Host, v.Dev}
			for _, m := range v.Group {
				columns = append(columns, m.ID, max(m.Weight, 1))
			}
			rows = append(rows, row(columns...))
		}
		return rows
	}, func() (rows []string) {
		for _, v := range dumped(t, &r, unix.RTM_GETNEXTHOP, unix.RTM_NEWNEXTHOP, make([]byte, SizeofNextHop), ParseNextHop) {
			columns := []any{v.ID, text(v.Gateway), names.Of(v.OIF)}
			if v.ID == 8 {
				columns[2] = "" // the kernel gives it the loopback, which ip does not show
			}
			for _, m := range v.Members {
				columns = append(columns, m.ID, m.Weight)
			}
			if v.Blackhole != (v.ID == 8) {
				t.Errorf("%+v", v)
			}
			rows = append(rows, row(columns...))
		}
		return rows
	})

	type ruleJSON struct {
		Priority       uint32
		Src, Dst       string
		SrcLen, DstLen *int
		FWMark, FWMask string
		IIF, OIF       string
		DPort          uint32
		SPortStart     uint32 `json:"sport_start"`
		SPortEnd       uint32 `json:"sport_end"`
		Goto           *int64
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		agree(t, fmt.Sprintf("rules of IPv%d", FamilyNumber(family)), func() (rows []string) {
			for _, v := range ipJSON[ruleJSON](t, fmt.Sprintf("-%d rule", FamilyNumber(family))) {
				rows = append(rows, row(v.Priority, network(v.Src, v.SrcLen), network(v.Dst, v.DstLen), v.FWMark, v.FWMask, v.IIF, v.OIF, v.DPort, v.SPortStart, v.SPortEnd, v.Goto != nil))
			}
			return rows
		}, func() (rows []string) {
			for _, v := range dumped(t, &r, unix.RTM_GETRULE, unix.RTM_NEWRULE, []byte{family, 11: 0}, ParseRule) {
				src, dst, mark, mask := "", "", "", ""
				if v.Src.IsValid() {
					src = v.Src.String()
				}
				if v.Dst.IsValid() {
					dst = v.Dst.String()
				}
				if v.FWMark != 0 {
					mark, mask = fmt.Sprintf("%#x", v.FWMark), fmt.Sprintf("%#x", v.FWMask)
				}
				var port, from, to uint32
				fmt.Sscanf(v.DPorts, "%d", &port)
				fmt.Sscanf(v.SPorts, "%d-%d", &from, &to)
				_, jumps := v.GoTo.Get()
				rows = append(rows, row(v.Priority, src, dst, mark, mask, v.IIF, v.OIF, port, from, to, jumps))
			}
			return rows
		})
	}

	// The names are those of now, and of before when nobody looks again.
	if !names.Same() || names.ByIndex[indexOf(t, "d0")] != "d0" {
		t.Errorf("names %v", names.ByIndex)
	}
	d0 := indexOf(t, "d0")
	ip(t, "link set d0 down")
	ip(t, "link set d0 name e0")
	if names.Same() || names.Of(d0) != "d0" {
		t.Errorf("a link has another name, and is %q", names.Of(d0))
	}
	ip(t, "link del e0")
	if fresh := (LinkNames{Conn: &r, ByIndex: map[int32]string{}}); fresh.Of(d0) != fmt.Sprintf("if%d", d0) {
		t.Errorf("a link that is gone is %q", fresh.Of(d0))
	}
	readTold(t, told, kinds)
	for _, kind := range []uint16{unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWADDR, unix.RTM_DELADDR, unix.RTM_NEWNEIGH, unix.RTM_NEWROUTE, unix.RTM_NEWRULE,
		unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP} {
		if kinds[kind] == 0 {
			t.Errorf("nothing was told of kind %d: %v", kind, kinds)
		}
	}
}

// readTold decodes what the kernel has told of changes: all of it is good. It must be read often: the kernel keeps little.
func readTold(t *testing.T, told *nl.NetlinkSocket, kinds map[uint16]int) {
	t.Helper()
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(told.GetFd(), buf, unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		messages, err := unixMessages(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		for kind, bodies := range messages {
			for _, body := range bodies {
				kinds[kind]++
				var err error
				switch kind {
				case unix.RTM_NEWLINK, unix.RTM_DELLINK:
					_, err = ParseLink(body)
				case unix.RTM_NEWADDR, unix.RTM_DELADDR:
					_, err = ParseAddress(body)
				case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
					_, err = ParseNeighbor(body)
				case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
					_, err = ParseRoute(body)
				case unix.RTM_NEWRULE, unix.RTM_DELRULE:
					_, err = ParseRule(body)
				case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
					_, err = ParseNextHop(body)
				}
				if err != nil {
					t.Errorf("message %d, %x: %v", kind, body, err)
				}
			}
		}
	}
}

// unixMessages are the bodies of netlink messages, by their type.
func unixMessages(b []byte) (map[uint16][][]byte, error) {
	list, err := syscall.ParseNetlinkMessage(b)
	bodies := map[uint16][][]byte{}
	for _, m := range list {
		bodies[m.Header.Type] = append(bodies[m.Header.Type], m.Data)
	}
	return bodies, err
}

func ipMay(line string) ([]byte, error) {
	return exec.Command("ip", strings.Fields(line)...).CombinedOutput()
}

func indexOf(t *testing.T, name string) int32 {
	t.Helper()
	link, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return int32(link.Index)
}

// seconds are those that a lifetime has left; all that there are for one without an end.
func seconds(d time.Duration) uint32 {
	if d == Forever {
		return 1<<32 - 1
	}
	return uint32(d / time.Second)
}

func text(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// network is one as ip says it: all is none, and a length that is missing is the whole.
func network(addr string, bits *int) string {
	if addr == "" || addr == "all" {
		return ""
	}
	if bits != nil {
		return fmt.Sprintf("%s/%d", addr, *bits)
	}
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	return netip.PrefixFrom(a, a.BitLen()).String()
}
