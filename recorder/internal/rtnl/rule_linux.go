package rtnl

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"netsql/store"
)

func NothingTicks(uint16) bool { return false }

// SizeofRule is the size of struct fib_rule_hdr (linux/fib_rules.h), from where the
// numbers below come too.
const SizeofRule = 12

const (
	fraDst       = 1
	FraSrc       = 2
	FraIIF       = 3
	fraGoto      = 4
	FraPriority  = 6
	FraFWMark    = 10
	fraSuppress  = 14
	fraTable     = 15
	fraFWMask    = 16
	fraOIF       = 17
	fraL3MDev    = 19
	FraUIDRange  = 20
	fraProtocol  = 21
	fraIPProto   = 22
	FraSPorts    = 23
	fraDPorts    = 24
	fraDSCP      = 25 // Linux 6.13
	RuleToTable  = 1
	RuleInverted = 2
)

// A Rule is an RTM_NEWRULE message.
type Rule struct {
	Family, TOS, Action  uint8
	Flags                uint32
	Table, Priority      uint32
	Dst, Src             netip.Prefix
	IIF, OIF             string
	FWMark, FWMask       uint32
	GoTo, Suppress       store.Int
	L3MDev               bool
	UIDs, SPorts, DPorts string
	IPProto, Protocol    store.Int
}

// ParseRule decodes struct fib_rule_hdr and its attributes.
func ParseRule(msg []byte) (Rule, error) {
	if len(msg) < SizeofRule {
		return Rule{}, ErrShort
	}
	r := Rule{
		Family: msg[0], TOS: msg[3], Table: uint32(msg[4]), Action: msg[7],
		Flags: binary.NativeEndian.Uint32(msg[8:]),
	}
	var dst, src []byte
	err := Attributes(msg[SizeofRule:], func(kind uint16, v []byte) {
		switch kind {
		case fraDst:
			dst = v
		case FraSrc:
			src = v
		case FraIIF:
			r.IIF = string(TextOf(v))
		case fraOIF:
			r.OIF = string(TextOf(v))
		case fraGoto:
			r.GoTo = store.Of(uint32Of(v))
		case FraPriority:
			r.Priority = uint32Of(v)
		case fraSuppress:
			if n := uint32Of(v); n != 1<<32-1 {
				r.Suppress = store.Of(n)
			}
		case FraFWMark:
			r.FWMark = uint32Of(v)
		case fraFWMask:
			r.FWMask = uint32Of(v)
		case fraTable:
			r.Table = uint32Of(v)
		case fraL3MDev:
			r.L3MDev = uint8Of(v) != 0
		case FraUIDRange:
			if len(v) >= 8 {
				r.UIDs = rangeText(uint32Of(v), uint32Of(v[4:]))
			}
		case fraProtocol:
			r.Protocol = store.Of(uint8Of(v))
		case fraIPProto:
			r.IPProto = store.NonZero(uint8Of(v))
		case FraSPorts:
			r.SPorts = portsText(v)
		case fraDPorts:
			r.DPorts = portsText(v)
		case fraDSCP:
			// The upper six bits of what tos is for.
			r.TOS = uint8Of(v) << 2
		}
	})
	if err == nil && (dst != nil || msg[1] != 0) {
		r.Dst, err = prefixOf(r.Family, dst, msg[1])
	}
	if err == nil && (src != nil || msg[2] != 0) {
		r.Src, err = prefixOf(r.Family, src, msg[2])
	}
	return r, err
}

func portsText(b []byte) string {
	if len(b) < 4 {
		return ""
	}
	return rangeText(uint32(uint16Of(b)), uint32(uint16Of(b[2:])))
}

func rangeText(from, to uint32) string {
	text := strconv.FormatUint(uint64(from), 10)
	if to != from {
		text += "-" + strconv.FormatUint(uint64(to), 10)
	}
	return text
}
