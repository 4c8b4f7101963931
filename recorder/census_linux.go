package recorder

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
)

// A census is how many sockets of each kind the kernel counts in a network namespace: reading it costs a tenth of a millisecond,
// and a dump of a handful of TCP sockets ten times that, because the kernel goes through its whole table for it, of all
// namespaces. So nothing is dumped where there is nothing, as in most of a hundred containers.
//
// The numbers are those that the kernel keeps for itself (sock_prot_inuse_add): of TCP sockets that are in its tables, so
// neither those that are bound only nor TIME_WAIT, which sockstat has; of the others all. Half-open connections are counted nowhere: there are none where
// no segment came.
type census struct {
	file   *procFile
	gen    uint32 // the sample that it is of
	known  bool
	counts map[string]int // by the names of /proc/net/protocols
	waits  int            // TCP sockets in TIME_WAIT

	segments int // TCP segments that had come by the last dump of TCP

	subflows, listeners [2]int // of MPTCP, of IPv4 and IPv6, that this sample's dump of TCP has shown
	read                uint16 // which of rareKinds are read, a bit for each
}

// censusNames are what a protocol is called there.
var censusNames = map[string][]string{
	"tcp4": {"TCP", "TCPv6"}, // one dump brings both
	"udp4": {"UDP"}, "udp6": {"UDPv6"}, "raw4": {"RAW"}, "raw6": {"RAWv6"}, "udplite4": {"UDP-Lite"}, "udplite6": {"UDPLITEv6"}, "packet": {"PACKET"},
	"unix": {"UNIX", "UNIX-STREAM" /* since Linux 5.15 */}, "netlink": {"NETLINK"},
	"xdp": {"XDP"}, "sctp4": {"SCTP"}, "sctp6": {"SCTPv6"}, "mptcp4": {"MPTCP"}, "mptcp6": {"MPTCPv6"}, "ping4": {"PING"}, "ping6": {"PINGv6"},
}

// take counts again, once in a sample.
func (c *census) take(ns namespace, gen uint32) {
	if c.gen == gen {
		return
	}
	c.gen, c.known = gen, false
	c.subflows, c.listeners = [2]int{}, [2]int{}
	text, err := c.file.read(ns.proc + "/net/protocols")
	if err != nil {
		return
	}
	clear(c.counts)
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		name, rest := nextField(line)
		_, rest = nextField(rest)
		word, _ := nextField(rest)
		if n, err := strconv.Atoi(string(word)); err == nil {
			c.counts[string(name)] = n
		}
	}
	if text, err = c.file.read(ns.proc + "/net/sockstat"); err != nil {
		return
	}
	_, rest, found := bytes.Cut(text, []byte(" tw "))
	word, _ := nextField(rest)
	c.waits, err = strconv.Atoi(string(word))
	c.known = found && err == nil
}

// isOf reports whether it was taken in that sample: to take it, one must be in the namespace.
func (c *census) isOf(gen uint32) bool { return c != nil && c.known && c.gen == gen }

// of is how many sockets there are of a protocol, and of the one that its dump brings too; -1: not known.
func (c *census) of(protocol string) int {
	n := 0
	for _, name := range censusNames[protocol] {
		more, is := c.counts[name]
		switch name {
		case "TCPv6", "UNIX-STREAM", "UDP-Lite", "UDPLITEv6", "PACKET", "XDP", "SCTP", "SCTPv6", "PING", "PINGv6": // not every kernel has them
		case "MPTCP": // which before Linux 6.2 is always 0
			more = max(more-c.listeners[0], c.subflows[0])
		case "MPTCPv6":
			more = max(more-c.listeners[1], c.subflows[1])
		default:
			if !is {
				return -1
			}
		}
		n += more
	}
	if !c.known || len(censusNames[protocol]) == 0 {
		return -1
	}
	return n
}

// noteSubflow takes note of a TCP socket if it is a subflow of MPTCP.
func (c *census) noteSubflow(r *sockdiag.Record) {
	if r.Has&sockdiag.HasMPTCP == 0 || c == nil {
		return
	}
	n := &c.subflows
	if r.State == sockdiag.StateListen {
		n = &c.listeners
	}
	if r.Family == unix.AF_INET {
		n[0]++
	} else {
		n[1]++
	}
}

// A dumpScope is how much of a protocol is to be dumped.
type dumpScope int

const (
	wholeDump     dumpScope = iota
	listenersDump           // there is nothing else
	noDump                  // there is nothing
)

// scopeOf is what a dump of p must bring.
func (s *sockets) scopeOf(p *protocol) dumpScope {
	if p.census == nil || p.diag.Instead != nil {
		return wholeDump
	}
	p.census.take(p.ns, s.gen)
	n := p.census.of(p.name)
	switch {
	case n < 0 || p.bound != nil && p.bound.asked:
	case p.proto != "tcp":
		// In most network namespaces the recorder alone has netlink sockets. That one of them is gone and another has come is found
		// out once per boundAgain.
		if n == 0 || n == len(p.own) && len(p.known) == 0 && time.Since(p.ownSeen) < boundAgain {
			return noDump
		}
	case p.census.waits > 0:
	case n == 0:
		return noDump
	case p.census.segmentsCame(p.ns): // a half-open connection may be among what they made
	case n == p.listening()+p.second.listening():
		return listenersDump
	}
	return wholeDump
}

// segmentsCame reports whether TCP segments came since it was asked last, or that is not known.
func (c *census) segmentsCame(ns namespace) bool {
	before := c.segments
	c.segments = -1
	text, err := c.file.read(ns.proc + "/net/snmp")
	if err != nil {
		return true
	}
	const name, place = "\nTcp: ", 9 // InSegs; new counters come behind the old ones
	_, text, _ = bytes.Cut(text, []byte(name))
	_, text, _ = bytes.Cut(text, []byte(name)) // the values follow the names
	for range place {
		_, text = nextField(text)
	}
	word, _ := nextField(text)
	if n, err := strconv.Atoi(string(word)); err == nil {
		c.segments = n
	}
	return c.segments < 0 || c.segments != before
}

// listening is how many sockets are known of that listen; -1000 where others are known.
func (p *protocol) listening() int {
	n := 0
	if p == nil {
		return n
	}
	for _, e := range p.known {
		switch {
		case e.Unlisted:
		case e.Rec.State == sockdiag.StateListen:
			n++
		default:
			return -1000
		}
	}
	return n
}
