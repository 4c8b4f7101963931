package tools

import (
	"cmp"
	"fmt"
	"math"
	"strconv"

	"netsql/query"
)

func (s *ssPrinter) unix() error {
	r := &s.row
	kind, netid := ssUnixDgram, "u_dgr"
	switch r.text(ssType) {
	case "stream":
		kind, netid = ssUnixStream, "u_str"
	case "seqpacket":
		kind, netid = ssUnixSeqpacket, "u_seq"
	}
	if s.kinds&kind == 0 {
		return nil
	}
	path, inode, peer := r.text(ssPath), r.number(ssInode), r.number(ssPeer)
	if s.condition != nil {
		if s.socket = (ssSocket{family: ssFamilyUnix, name: path, lport: inode, rport: peer}); !s.passes() {
			return nil
		}
	}
	s.state(netid)
	s.end(cmp.Or(path, "*"), " ", strconv.FormatInt(inode, 10))
	s.end("*", " ", strconv.FormatInt(peer, 10))
	s.users()
	return nil // of -m and -e nothing is recorded
}

// waiting is a queue that is the memory of what waits.
func (s *ssPrinter) waiting(c ssColumn) string {
	if n, ok := s.row.known(c); ok {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

func (s *ssPrinter) packet() error {
	r := &s.row
	protocol, ifindex := r.number(ssLocalPort), r.number(ssIfIndex)
	if s.condition != nil {
		s.socket = ssSocket{family: ssFamilyPacket, lport: ifindex, ifindex: ifindex}
		littleEndian(&s.socket.local, protocol)
		if !s.passes() {
			return nil
		}
	}
	netid := "p_dgr"
	if r.text(ssType) == "raw" {
		netid = "p_raw"
	}
	if !r[ssSendQ].Known() {
		r[ssSendQ] = query.Of(0) // which ss prints of every packet socket
	}
	s.state(netid)
	addr, port := "*", "*"
	if protocol != 3 {
		addr = ethernetName(protocol, s.numeric)
	}
	if ifindex != 0 {
		port = s.device(ifindex)
	}
	s.end(addr, ":", port)
	s.end("", "*", "")
	s.users()
	if s.details {
		s.ownerDetails(false)
		if s.memory && !s.oneline { // between them ss prints what is not recorded, of which the memory follows the last line
			s.t.text("\n\t")
		}
	}
	if s.memory {
		s.mem(s.waiting(ssRecvQ), "")
	}
	return nil
}

func (s *ssPrinter) netlink() error {
	r, t := &s.row, s.t
	protocol := netlinkNumber(r.text(ssLocalAddr))
	port := int64(int32(r.number(ssLocalPort)))
	if s.condition != nil {
		s.socket = ssSocket{family: ssFamilyNetlink, lport: port, rport: -1}
		littleEndian(&s.socket.local, protocol)
		if !s.passes() {
			return nil
		}
	}
	s.state("nl")
	addr, name := strconv.FormatInt(protocol, 10), strconv.FormatInt(port, 10)
	if protocol < 0 {
		addr = r.text(ssLocalAddr)
	}
	if !s.numeric {
		if protocol >= 0 {
			addr = cmp.Or(netlinkNames[protocol], addr)
		}
		if comm, ok := s.comms[port]; ok && port > 0 {
			name = comm + "/" + name
		} else if port == 0 {
			name = "kernel"
		}
	}
	if port == -1 {
		name = "*"
	}
	s.end(addr, ":", name)
	if r.text(ssState) == "ESTABLISHED" {
		s.end("-", ":", strconv.FormatInt(r.number(ssRemotePort), 10))
	} else {
		s.end("", "*", "")
	}
	if s.details {
		t.text(" sk=0 cb=0 groups=")
		if groups, ok := netlinkGroups(r.text(ssLocalAddr), r.text(ssGroups)); ok {
			t.b = fmt.Appendf(t.b, "0x%08x", groups)
		} else {
			t.b = append(t.b, '-')
		}
	}
	if s.memory {
		t.b = append(t.b, '\t')
		s.mem(s.waiting(ssRecvQ), s.waiting(ssSendQ))
	}
	return nil
}

func (s *ssPrinter) vsock() error {
	r := &s.row
	kind, netid := ssVsockStream, "v_str"
	switch r.text(ssType) {
	case "dgram":
		kind, netid = ssVsockDgram, "v_dgr"
	case "seqpacket":
		netid = "???"
	}
	if s.kinds&kind == 0 {
		return nil
	}
	lport, rport := r.number(ssLocalPort), r.number(ssRemotePort)
	if s.condition != nil {
		s.socket = ssSocket{family: ssFamilyVsock, lport: lport, rport: rport}
		littleEndian(&s.socket.local, cid(r.text(ssLocalAddr)))
		littleEndian(&s.socket.remote, cid(r.text(ssRemoteAddr)))
		if !s.passes() {
			return nil
		}
	}
	s.state(netid)
	s.end(r.text(ssLocalAddr), ":", vsockPort(lport))
	s.end(r.text(ssRemoteAddr), ":", vsockPort(rport))
	s.users()
	return nil
}

func cid(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return math.MaxUint32
	}
	return n
}

func vsockPort(port int64) string {
	if uint32(port) == math.MaxUint32 {
		return "*"
	}
	return strconv.FormatInt(port, 10)
}

func (s *ssPrinter) xdp() error {
	r := &s.row
	ifindex, queue := r.number(ssIfIndex), r.number(ssLocalPort)
	if s.condition != nil {
		if s.socket = (ssSocket{family: ssFamilyXDP, lport: queue, ifindex: ifindex}); !s.passes() {
			return nil
		}
	}
	s.state("xdp")
	if ifindex != 0 {
		s.end(s.device(ifindex), ":", "q"+strconv.FormatInt(queue, 10))
	} else {
		s.end("", "*", "")
	}
	s.end("", "*", "")
	s.users()
	if s.details {
		s.ownerDetails(false)
	}
	if s.memory {
		s.mem(s.waiting(ssRecvQ), "")
	}
	return nil
}
