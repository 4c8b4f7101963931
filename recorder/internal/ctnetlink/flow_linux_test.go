package ctnetlink

import (
	"encoding/binary"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// attribute is one as the kernel writes it; several values stand one after the other within it.
func attribute(kind uint16, values ...[]byte) []byte {
	v := slices.Concat(values...)
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(v)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), v...)
	return append(b, make([]byte, (4-len(v)%4)%4)...)
}

func ofTCP(kind uint16, src, dst byte, sport, dport uint16) []byte {
	return attribute(kind|unix.NLA_F_NESTED,
		attribute(tupleIP|unix.NLA_F_NESTED, attribute(ipv4Src, []byte{10, 0, 0, src}), attribute(ipv4Dst, []byte{10, 0, 0, dst})),
		attribute(tupleProto|unix.NLA_F_NESTED, attribute(protoNumber, []byte{6}),
			attribute(protoSrcPort, binary.BigEndian.AppendUint16(nil, sport)), attribute(protoDstPort, binary.BigEndian.AppendUint16(nil, dport))))
}

func counted(kind uint16, packets, bytes uint64) []byte {
	return attribute(kind|unix.NLA_F_NESTED, attribute(countersPackets, binary.BigEndian.AppendUint64(nil, packets)), attribute(countersBytes, binary.BigEndian.AppendUint64(nil, bytes)))
}

func number(kind uint16, n uint32) []byte {
	return attribute(kind, binary.BigEndian.AppendUint32(nil, n))
}

var wholeFlow = slices.Concat([]byte{unix.AF_INET, 0, 0, 0},
	ofTCP(tupleOrig, 1, 2, 40000, 443), ofTCP(tupleReply, 3, 1, 8443, 40000), number(status, SeenReply|Assured|DstNAT|1<<3),
	attribute(protoInfo|unix.NLA_F_NESTED, attribute(protoInfoTCP|unix.NLA_F_NESTED, attribute(tcpState, []byte{3}))),
	number(mark, 7), counted(countersOrig, 11, 1200), counted(countersReply, 9, 90000), number(id, 0xabcdef01), attribute(zone, []byte{0, 5}))

func TestParse(t *testing.T) {
	t.Parallel()
	f, err := Parse(wholeFlow)
	if err != nil {
		t.Fatal(err)
	}
	want := Flow{
		Family: unix.AF_INET, Status: SeenReply | Assured | DstNAT | 1<<3, ID: 0xabcdef01, Zone: 5, Mark: 7, TCPState: store.Of(3),
		Orig:        Tuple{Src: [16]byte{10, 0, 0, 1}, Dst: [16]byte{10, 0, 0, 2}, SrcPort: 40000, DstPort: 443, Ports: true, Proto: 6},
		Reply:       Tuple{Src: [16]byte{10, 0, 0, 3}, Dst: [16]byte{10, 0, 0, 1}, SrcPort: 8443, DstPort: 40000, Ports: true, Proto: 6},
		PacketsOrig: store.Of(11), BytesOrig: store.Of(1200), PacketsReply: store.Of(9), BytesReply: store.Of(90000),
		hasOrig: true, hasReply: true, hasStatus: true,
	}
	if f != want {
		t.Errorf("%+v, want %+v", f, want)
	}
	if f.State() != "ESTABLISHED" || f.NAT() != "dnat" {
		t.Errorf("%s, %s", f.State(), f.NAT())
	}
	// What the kernel does not say is not known; a state of later kernels has its number.
	f, err = Parse(slices.Concat([]byte{unix.AF_INET, 0, 0, 0}, ofTCP(tupleOrig, 1, 2, 1, 2), ofTCP(tupleReply, 2, 1, 2, 1), number(status, SrcNAT|DstNAT),
		attribute(protoInfo, attribute(protoInfoTCP, attribute(tcpState, []byte{200})))))
	if unknown := (store.Int{}); err != nil || f.BytesOrig != unknown || f.PacketsReply != unknown || f.State() != "state 200" || f.NAT() != "snat dnat" {
		t.Errorf("%+v, %v", f, err)
	}
	for _, cut := range [][]byte{nil, {2, 0}, {2, 0, 0, 0}, wholeFlow[:60]} {
		if _, err := Parse(cut); err == nil {
			t.Errorf("%d bytes are a flow", len(cut))
		}
	}
}

// What is cut off or broken is an error or unknown, never a panic.
func FuzzParse(f *testing.F) {
	f.Add(wholeFlow)
	f.Add(wholeFlow[:100])
	f.Fuzz(func(t *testing.T, msg []byte) {
		flow, err := Parse(msg)
		if err == nil && !(flow.hasOrig && flow.hasReply && flow.hasStatus) {
			t.Errorf("%+v", flow)
		}
		flow.State()
		flow.NAT()
	})
}
