package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Kinds of encapsulation: LWTUNNEL_ENCAP_* of linux/lwtunnel.h.
const (
	encapMPLS = 1
	encapIP   = 2
	encapIP6  = 4
	encapSEG6 = 5
)

// encapNames are the kinds of encapsulation, in the words of ip.
var encapNames = map[uint16]string{
	encapMPLS: "mpls", encapIP: "ip", 3: "ila", encapIP6: "ip6", encapSEG6: "seg6", 6: "bpf", 7: "seg6local", 8: "rpl", 9: "ioam6", 10: "xfrm",
}

// encapText is how a route wraps packets (RTA_ENCAP_TYPE and RTA_ENCAP), nearly as ip route shows it: "mpls 100/200",
// "ip id 100 dst 10.99.0.1", "seg6 mode encap segs fc00::1,fc00::2". What is of another kind stands as the kernel's bytes, so that two
// that differ are told apart.
func encapText(kind uint16, b []byte) (string, error) {
	if kind == 0 {
		return "", nil
	}
	switch kind {
	case encapMPLS:
		return mplsText(b)
	case encapIP:
		return tunnelText("ip", "ttl", "tos", unix.AF_INET, b)
	case encapIP6:
		return tunnelText("ip6", "hoplimit", "tc", unix.AF_INET6, b)
	case encapSEG6:
		return segmentsText(b)
	}
	name, known := encapNames[kind]
	if !known {
		name = fmt.Sprintf("type_%d", kind)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %#x", name, b)), nil
}

// mplsText is the stack of labels: MPLS_IPTUNNEL_* of linux/mpls_iptunnel.h.
func mplsText(b []byte) (string, error) {
	var labels []string
	ttl := ""
	err := Attributes(b, func(kind uint16, v []byte) error {
		switch kind {
		case 1: // MPLS_IPTUNNEL_DST
			if len(v)%4 != 0 {
				return fmt.Errorf("labels of %d bytes", len(v))
			}
			for ; len(v) > 0; v = v[4:] {
				labels = append(labels, fmt.Sprint(binary.BigEndian.Uint32(v)>>12))
			}
		case 2: // MPLS_IPTUNNEL_TTL
			n, err := uint8Of(v)
			if n != 0 {
				ttl = fmt.Sprintf(" ttl %d", n)
			}
			return err
		}
		return nil
	})
	return "mpls " + strings.Join(labels, "/") + ttl, err
}

// tunnelText is a tunnel's other end: LWTUNNEL_IP_* and LWTUNNEL_IP6_* of linux/lwtunnel.h, which have the same numbers.
func tunnelText(name, ttl, tos string, family uint8, b []byte) (string, error) {
	var id, src, dst, rest string
	err := Attributes(b, func(kind uint16, v []byte) error {
		switch kind {
		case 1: // LWTUNNEL_IP_ID
			if len(v) < 8 {
				return tooShort(v)
			}
			id = fmt.Sprintf(" id %d", binary.BigEndian.Uint64(v))
		case 2, 3: // LWTUNNEL_IP_DST, LWTUNNEL_IP_SRC
			addr, err := addrOf(family, v)
			if err != nil || addr.IsUnspecified() {
				return err
			}
			if kind == 2 {
				dst = " dst " + addr.String()
			} else {
				src = " src " + addr.String()
			}
		case 4, 5: // LWTUNNEL_IP_TTL, LWTUNNEL_IP_TOS
			n, err := uint8Of(v)
			if err != nil || n == 0 {
				return err
			}
			word := ttl
			if kind == 5 {
				word = tos
			}
			rest += fmt.Sprintf(" %s %d", word, n)
		case 6: // LWTUNNEL_IP_FLAGS
			n, err := uint16Of(v)
			if err != nil || n == 0 {
				return err
			}
			rest += fmt.Sprintf(" flags %#x", n)
		case 8: // LWTUNNEL_IP_OPTS
			rest += fmt.Sprintf(" opts %#x", v)
		}
		return nil
	})
	return name + id + src + dst + rest, err
}

// segmentsText is a list of segments: struct seg6_iptunnel_encap of linux/seg6_iptunnel.h, with a segment routing header (RFC 8754),
// in which the last segment stands first.
func segmentsText(b []byte) (string, error) {
	text := "seg6"
	err := Attributes(b, func(kind uint16, v []byte) error {
		if kind != 1 { // SEG6_IPTUNNEL_SRH
			text += fmt.Sprintf(" attribute_%d %#x", kind, v)
			return nil
		}
		const head = 4 + 8
		if len(v) < head {
			return tooShort(v)
		}
		modes := []string{"inline", "encap", "l2encap", "encap.red", "l2encap.red"}
		mode := fmt.Sprint(binary.NativeEndian.Uint32(v))
		if n := binary.NativeEndian.Uint32(v); n < uint32(len(modes)) {
			mode = modes[n]
		}
		last := int(v[4+4]) // first_segment of struct ipv6_sr_hdr: the index of the first on the way
		if len(v) < head+16*(last+1) {
			return tooShort(v)
		}
		var segments []string
		for i := last; i >= 0; i-- {
			segments = append(segments, netip.AddrFrom16([16]byte(v[head+16*i:])).String())
		}
		text += fmt.Sprintf(" mode %s segs %s", mode, strings.Join(segments, ","))
		if rest := v[head+16*(last+1):]; len(rest) > 0 { // such as an HMAC
			text += fmt.Sprintf(" tlv %#x", rest)
		}
		return nil
	})
	return text, err
}
