package ctnetlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/rtnl"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// Messages of linux/netfilter/nfnetlink_conntrack.h.
const (
	getFlow = unix.NFNL_SUBSYS_CTNETLINK<<8 | 1 // IPCTNL_MSG_CT_GET
	newFlow = unix.NFNL_SUBSYS_CTNETLINK << 8   // IPCTNL_MSG_CT_NEW

	sizeofNFGen = 4 // struct nfgenmsg
)

// Attributes: CTA_*, and those that stand within them.
const (
	tupleOrig     = 1
	tupleReply    = 2
	status        = 3
	protoInfo     = 4
	mark          = 8
	countersOrig  = 9
	countersReply = 10
	id            = 12
	zone          = 18

	tupleIP    = 1
	tupleProto = 2

	ipv4Src = 1
	ipv4Dst = 2
	ipv6Src = 3
	ipv6Dst = 4

	protoNumber  = 1
	protoSrcPort = 2
	protoDstPort = 3
	icmpID       = 4
	icmpType     = 5
	icmpCode     = 6
	icmpv6ID     = 7
	icmpv6Type   = 8
	icmpv6Code   = 9

	protoInfoTCP = 1
	tcpState     = 1

	countersPackets = 1
	countersBytes   = 2
)

// Bits of the status: IPS_* of linux/netfilter/nf_conntrack_common.h.
const (
	Expected  = 1 << 0 // another flow announced it, such as that of FTP
	SeenReply = 1 << 1
	Assured   = 1 << 2 // not thrown away early when the table is full
	SrcNAT    = 1 << 4
	DstNAT    = 1 << 5
	Offload   = 1 << 14 // its packets go past the rules, through a flowtable
)

// A Tuple is how the packets of one direction look: of TCP and the like with ports, of ICMP with an identifier in place of both.
type Tuple struct {
	Src, Dst         [16]byte // of IPv4 the first four bytes
	SrcPort, DstPort uint16
	Ports            bool // it has ports
	ICMPID           uint16
	ICMPType         uint8
	ICMPCode         uint8
	Proto            uint8
}

// A Flow is an entry of the table.
type Flow struct {
	Family                       uint8
	Orig, Reply                  Tuple
	Status                       uint32
	ID                           uint32
	Zone                         uint16
	Mark                         uint32
	TCPState                     store.Int // NULL of other protocols
	PacketsOrig, BytesOrig       store.Int // NULL without net.netfilter.nf_conntrack_acct
	PacketsReply, BytesReply     store.Int
	hasOrig, hasReply, hasStatus bool
}

// A Conn asks in one network namespace.
type Conn struct {
	Log    *debuglog.Log
	socket *nl.NetlinkSocket
	buf    []byte
}

// Dump calls each with every flow of the namespace. Flows that begin while it is under way may be missing, and those that end may be there.
func (c *Conn) Dump(ctx context.Context, each func(*Flow) error) (err error) {
	if c.socket == nil {
		if c.socket, err = sockdiag.Subscribe(unix.NETLINK_NETFILTER); err != nil {
			return fmt.Errorf("open nfnetlink: %w", err)
		}
	}
	if c.buf == nil {
		c.buf = sockdiag.NewBuffer()
	}
	d := sockdiag.Conn{Log: c.Log, Socket: c.socket, Buf: c.buf}
	req := nl.NewNetlinkRequest(getFlow, unix.NLM_F_DUMP)
	req.AddRawData([]byte{unix.AF_UNSPEC, 0, 0, 0})
	d.Told(req)
	var f Flow
	if err = d.Socket.Send(req); err == nil {
		err = d.Receive(ctx, req.Seq, func(kind uint16, msg []byte) error {
			if kind != newFlow {
				return nil
			}
			if f, err = Parse(msg); err != nil {
				return err
			}
			return each(&f)
		})
	}
	if errors.Is(err, nl.ErrDumpInterrupted) { // flows come and go all the time
		err = nil
	}
	if err != nil {
		c.Close() // the rest of the answer may still stand in the socket
	}
	return err
}

// Close gives up the socket.
func (c *Conn) Close() {
	if c.socket != nil {
		c.socket.Close()
		c.socket = nil
	}
}

var errShort = errors.New("a tracked flow that is too short")

// Parse decodes struct nfgenmsg and its attributes.
func Parse(msg []byte) (Flow, error) {
	if len(msg) < sizeofNFGen {
		return Flow{}, errShort
	}
	f := Flow{Family: msg[0]}
	err := rtnl.Attributes(msg[sizeofNFGen:], func(kind uint16, v []byte) error {
		switch kind {
		case tupleOrig:
			f.hasOrig = true
			return f.Orig.parse(v)
		case tupleReply:
			f.hasReply = true
			return f.Reply.parse(v)
		case status:
			f.hasStatus = true
			return big32(v, &f.Status)
		case mark:
			return big32(v, &f.Mark)
		case id:
			return big32(v, &f.ID)
		case zone:
			return big16(v, &f.Zone)
		case protoInfo:
			return f.parseProtoInfo(v)
		case countersOrig:
			return counters(v, &f.PacketsOrig, &f.BytesOrig)
		case countersReply:
			return counters(v, &f.PacketsReply, &f.BytesReply)
		}
		return nil
	})
	if err == nil && !(f.hasOrig && f.hasReply && f.hasStatus) {
		err = errShort
	}
	return f, err
}

func (t *Tuple) parse(b []byte) error {
	return rtnl.Attributes(b, func(kind uint16, v []byte) error {
		switch kind {
		case tupleIP:
			return rtnl.Attributes(v, t.parseIP)
		case tupleProto:
			return rtnl.Attributes(v, t.parseProto)
		}
		return nil
	})
}

func (t *Tuple) parseIP(kind uint16, v []byte) error {
	switch kind {
	case ipv4Src, ipv4Dst, ipv6Src, ipv6Dst:
	default:
		return nil
	}
	size := 4
	if kind >= ipv6Src {
		size = 16
	}
	if len(v) < size {
		return errShort
	}
	to := &t.Src
	if kind == ipv4Dst || kind == ipv6Dst {
		to = &t.Dst
	}
	copy(to[:], v[:size])
	return nil
}

func (t *Tuple) parseProto(kind uint16, v []byte) error {
	switch kind {
	case protoNumber:
		return small(v, &t.Proto)
	case protoSrcPort:
		t.Ports = true
		return big16(v, &t.SrcPort)
	case protoDstPort:
		return big16(v, &t.DstPort)
	case icmpID, icmpv6ID:
		return big16(v, &t.ICMPID)
	case icmpType, icmpv6Type:
		return small(v, &t.ICMPType)
	case icmpCode, icmpv6Code:
		return small(v, &t.ICMPCode)
	}
	return nil
}

func (f *Flow) parseProtoInfo(b []byte) error {
	return rtnl.Attributes(b, func(kind uint16, v []byte) error {
		if kind != protoInfoTCP {
			return nil
		}
		return rtnl.Attributes(v, func(kind uint16, v []byte) error {
			var state uint8
			if kind != tcpState {
				return nil
			}
			err := small(v, &state)
			f.TCPState = store.Of(state)
			return err
		})
	})
}

func counters(b []byte, packets, bytes *store.Int) error {
	return rtnl.Attributes(b, func(kind uint16, v []byte) error {
		switch kind {
		case countersPackets, countersBytes:
		default:
			return nil
		}
		if len(v) < 8 {
			return errShort
		}
		n := store.Of(binary.BigEndian.Uint64(v))
		if kind == countersPackets {
			*packets = n
		} else {
			*bytes = n
		}
		return nil
	})
}

func small(v []byte, to *uint8) error {
	if len(v) < 1 {
		return errShort
	}
	*to = v[0]
	return nil
}

func big16(v []byte, to *uint16) error {
	if len(v) < 2 {
		return errShort
	}
	*to = binary.BigEndian.Uint16(v)
	return nil
}

func big32(v []byte, to *uint32) error {
	if len(v) < 4 {
		return errShort
	}
	*to = binary.BigEndian.Uint32(v)
	return nil
}

// tcpStates are those of linux/netfilter/nf_conntrack_tcp.h, as conntrack(8) prints them.
var tcpStates = [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}

// State is the state of the flow, of TCP; "": it has none.
func (f *Flow) State() string {
	n, known := f.TCPState.Get()
	switch {
	case !known:
		return ""
	case n >= int64(len(tcpStates)):
		return fmt.Sprintf("state %d", n)
	}
	return tcpStates[n]
}

// NAT says which addresses are translated, as the kernel has noted it: snat, dnat, snat dnat; "": none.
func (f *Flow) NAT() string {
	switch f.Status & (SrcNAT | DstNAT) {
	case SrcNAT:
		return "snat"
	case DstNAT:
		return "dnat"
	case SrcNAT | DstNAT:
		return "snat dnat"
	}
	return ""
}
