package recorder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/nftables"
	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// probeCapabilities tries out what this kernel and these privileges allow: what a recording has NULLs for, and why. It
// makes a UDP socket on the loopback address for a moment, to see what the kernel tells of one; nothing is sent.
func probeCapabilities(ctx context.Context) []store.Capability {
	p := &probes{ctx: ctx, diag: sockdiag.New()}
	defer p.diag.Close()
	text, _ := os.ReadFile("/proc/net/protocols")
	p.protocols = strings.Split(string(text), "\n")
	p.diagnostics()
	p.attributes()
	p.destroyGroups()
	p.socketOptions()
	p.privileges()
	p.files()
	return p.found
}

// flowsCapability says whether this run records the flows of connection tracking.
func flowsCapability(recorded bool) store.Capability {
	c := store.Capability{Name: "flows of connection tracking", Available: recorded, Detail: "conntrack_flows has who talks to whom through this machine, with NAT"}
	if !recorded {
		c.Detail = "who talks to whom through this machine is not recorded: netsql record --conntrack does"
	}
	return c
}

// maskCapability says whether the command lines of this run are masked.
func maskCapability(noMask bool) store.Capability {
	if noMask {
		return store.Capability{Name: "passwords masked", Detail: "--no-mask: command lines are recorded as they are, with the passwords in them"}
	}
	return store.Capability{Name: "passwords masked", Available: true, Detail: "*** stands for passwords, keys and tokens that are found in command lines (netsql help permissions)"}
}

type probes struct {
	ctx context.Context

	protocols []string // lines of /proc/net/protocols
	diag      *sockdiag.Conn
	found     []store.Capability
}

// add enters a capability: what it gives, or, where it is missing, what is lost.
func (p *probes) add(name string, available bool, gives, lost string) {
	c := store.Capability{Name: name, Available: available, Detail: gives}
	if !available {
		c.Detail = lost
	}
	p.found = append(p.found, c)
}

// diagnostics asks for no socket of each kind: a kernel without a handler for it says so.
func (p *probes) diagnostics() {
	for _, d := range []struct {
		name    string
		request nl.NetlinkRequestData
		lost    string
	}{
		{"tcp diagnostics", sockdiag.InetRequest{Family: unix.AF_INET, Protocol: unix.IPPROTO_TCP}, "tcp sockets cannot be read: modprobe tcp_diag"},
		{"udp diagnostics", sockdiag.InetRequest{Family: unix.AF_INET, Protocol: unix.IPPROTO_UDP}, "udp sockets cannot be read: modprobe udp_diag"},
		{"raw diagnostics", sockdiag.InetRequest{Family: unix.AF_INET, Protocol: unix.IPPROTO_RAW}, "raw sockets are read from /proc/net/raw, without cookie, mark and control group (CONFIG_INET_RAW_DIAG)"},
		{"packet diagnostics", sockdiag.PacketRequest{}, "packet sockets are read from /proc/net/packet, without cookie, queues and drops: modprobe af_packet_diag"},
		{"unix diagnostics", sockdiag.UnixRequest{}, "unix sockets cannot be read: modprobe unix_diag"},
		{"netlink diagnostics", sockdiag.NetlinkRequest{}, "netlink sockets are read from /proc/net/netlink, without cookie, type, other end and groups above 32: modprobe netlink_diag"},
		{"mptcp diagnostics", sockdiag.OverIPRequest{Family: unix.AF_INET, Protocol: sockdiag.ProtocolMPTCP}, "sockets has no connections of MPTCP, only their subflows (Linux 5.9): modprobe mptcp_diag"},
		{"vsock diagnostics", sockdiag.VsockRequest{}, "sockets has no vsock sockets (Linux 4.15): modprobe vsock_diag"},
		{"xdp diagnostics", sockdiag.XDPRequest{}, "sockets has no xdp sockets (Linux 5.1): modprobe xdp_diag"},
		{"sctp diagnostics", sockdiag.OverIPRequest{Family: unix.AF_INET, Protocol: unix.IPPROTO_SCTP}, "sockets has no sctp sockets (Linux 4.7): modprobe sctp_diag"},
	} {
		kind, _, _ := strings.Cut(d.name, " ")
		if !p.hasSockets(kind) {
			p.add(d.name, false, "", "this kernel has no "+kind+" sockets")
			continue
		}
		b := d.request.Serialize()
		switch b[0] {
		case unix.AF_PACKET, unix.AF_NETLINK, unix.AF_XDP: // they have none
		default:
			for i := range 4 {
				b[4+i] = 0 // in no state
			}
		}
		request := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		request.AddRawData(b)
		err := p.diag.Dump(p.ctx, request, func([]byte) error { return nil })
		p.add(d.name, err == nil, "read by sock_diag(7)", d.lost)
	}
}

// hasSockets reports whether the kernel knows sockets of that kind, if it is a rare one: to ask for a dump may load a module.
func (p *probes) hasSockets(proto string) bool {
	for i := range rareKinds {
		if k := &rareKinds[i]; k.protocol().proto == proto {
			return slices.ContainsFunc(p.protocols, func(line string) bool { return strings.HasPrefix(line, k.counted+" ") })
		}
	}
	return true
}

// attributes looks at what the kernel tells of a socket of ours.
func (p *probes) attributes() {
	var mine sockdiag.Record
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	var st unix.Stat_t
	if err == nil && unix.Fstat(fd, &st) == nil {
		p.diag.Dump(p.ctx, sockdiag.InetRequest{Family: unix.AF_INET, Protocol: unix.IPPROTO_UDP}.Message(), func(msg []byte) error {
			if r, err := sockdiag.DecodeInet(msg); err == nil && uint64(r.Inode) == st.Ino {
				mine = r
			}
			return nil
		})
	}
	p.add("cookies", mine.Cookie != 0, "a socket is known by its cookie, into TIME_WAIT", "sockets have no cookies: what is closed and opened between samples cannot be told apart")
	p.add("drops", mine.Has&sockdiag.HasDrops != 0, "sockets.drops can be read (INET_DIAG_SKMEMINFO)", "sockets.drops is NULL (Linux 3.6)")
	p.add("mark", mine.Has&sockdiag.HasMark != 0, "sockets.mark can be read", "sockets.mark is NULL: grant CAP_NET_ADMIN")
	p.add("control groups of sockets", mine.Has&sockdiag.HasCgroup != 0, "sockets.cgroup can be read (INET_DIAG_CGROUP_ID)", "sockets.cgroup is NULL (Linux 5.8, CONFIG_SOCK_CGROUP_DATA)")
}

func (p *probes) destroyGroups() {
	fd, err := multicast(unix.NETLINK_INET_DIAG, closesBuffer, destroyGroups...)
	p.add("destroy groups", err == nil, "the kernel tells of every close of a TCP or UDP socket (closed_sockets)",
		fmt.Sprintf("the kernel does not tell of closes between samples: %v (Linux 4.4, modprobe tcp_diag udp_diag)", err))
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_, counts := socketDrops(fd)
	p.add("lost events are counted", counts, "gaps says how many (SO_MEMINFO)", "gaps says only that events were lost (Linux 4.12)")
	size, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	p.add("large event buffer", size >= closesBuffer, fmt.Sprintf("%d bytes for closes that wait to be read", size),
		fmt.Sprintf("%d bytes for closes that wait to be read: grant CAP_NET_ADMIN, or raise net.core.rmem_max", size))
}

func (p *probes) socketOptions() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var info [512]byte
	size := uint32(len(info))
	if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.IPPROTO_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0); errno != 0 {
		size = 0
	}
	p.add("tcp_info", size >= 208, fmt.Sprintf("%d bytes: all that is recorded of it", size),
		fmt.Sprintf("%d bytes: bytes_sent (Linux 4.19), segs_out and segs_in (4.2) or bytes_received (4.1) are NULL or count what was acknowledged", size))
	_, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	p.add("namespace cookies", err == nil, "namespaces.netns_cookie tells those apart that had one inode number after the other", "namespaces.netns_cookie is NULL: a network namespace is known by its inode number, which is used again (Linux 5.14)")
}

func (p *probes) privileges() {
	t, err := openTrace()
	p.add("tracing of connections", err == nil, "closed_sockets has who opened or closed each TCP connection, when, and how it ended", traceMissing(err))
	if err == nil {
		t.reader.Close()
	}
	d, err := openDrops()
	p.add("tracing of dropped packets", err == nil, "packet_drops says why the kernel threw packets away", dropsMissing(err))
	if err == nil {
		d.reader.Close()
	}
	p.add("owners of all sockets", owners.MayReadDescriptors(), "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH are there", owners.Hidden)
	p.add("all network namespaces", kernel.Capable(1<<unix.CAP_SYS_ADMIN), "CAP_SYS_ADMIN is there", "only the recorder's own network namespace is recorded: grant CAP_SYS_ADMIN")
}

func (p *probes) files() {
	var self unix.Stat_t
	p.add("number of descriptors", unix.Stat("/proc/self/fd", &self) == nil && self.Size > 0, "stat of /proc/PID/fd tells it: new sockets are found in fewer steps",
		"processes.fds is counted by listing (Linux 6.2)")
	p.add("control groups", owners.NewCgroups().Root != "", "cgroup2 is mounted", "cgroup2 is not mounted: sockets.cgroup is NULL")
	_, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_count")
	p.add("connection tracking", err == nil, "its table is recorded (conntrack)", "nf_conntrack is not loaded: the table conntrack is empty")
	p.firewall()
	p.add("counters of neighbour tables", unix.Access(neighborStat("/proc/self", "arp_cache"), unix.R_OK) == nil,
		"protocol_counters has arp_cache and ndisc_cache", "protocol_counters has no arp_cache and ndisc_cache: the kernel shows them in its first network namespace only")
	text, err := os.ReadFile("/proc/net/if_inet6")
	p.add("IPv6", err == nil, fmt.Sprintf("%d addresses", strings.Count(string(text), "\n")), "this kernel has no IPv6")
}

// firewall asks for the generation of the rule set, unless that would load the module.
func (p *probes) firewall() {
	const name, gives = "firewall", "tables of nftables and iptables-nft are recorded (firewall), and which process changed them (firewall_changes)"
	if !nfTablesPresent() {
		p.add(name, false, gives, "nf_tables is not loaded: the table firewall has legacy tables only, until it is")
		return
	}
	var conn nftables.Conn
	defer conn.Close()
	_, err := conn.Generation(p.ctx)
	lost := fmt.Sprintf("the table firewall is empty: %v", err)
	switch {
	case errors.Is(err, unix.EPERM):
		lost = "the firewall cannot be read: grant CAP_NET_ADMIN"
	case errors.Is(err, errNoNFTables):
		lost = "this kernel has no nf_tables: the table firewall has legacy tables only"
	}
	p.add(name, err == nil, gives, lost)
}
