package rtnl

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"strconv"

	"netsql/store"
)

func NothingTicks(uint16, []byte) bool { return false }

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
	fraFlow      = 11
	FraTunID     = 12
	fraIfGroup   = 13
	fraSuppress  = 14
	fraTable     = 15
	fraFWMask    = 16
	fraOIF       = 17
	fraPad       = 18
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

// ruleConditions are the attributes that have no field of their own.
var ruleConditions = map[uint16]string{
	fraDSCP: "dscp", 26: "flowlabel", 27: "flowlabel_mask", 28: "sport_mask", 29: "dport_mask", 30: "dscp_mask",
}

// fullMasks are the masks that take in every bit of the condition beside them. The kernel sends one with every such condition, also where the
// rule was made without a mask.
var fullMasks = map[uint16][]byte{
	27: {0, 0x0f, 0xff, 0xff}, 28: {0xff, 0xff}, 29: {0xff, 0xff}, 30: {0x3f},
}

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
	TunID, IfGroup       store.Int
	Realms               string // FROM/TO, or TO
	Other                string // conditions without a field: NAME=0xBYTES, parted by blanks; in the order of the message
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
	err := Attributes(msg[SizeofRule:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case fraDst:
			dst = v
		case FraSrc:
			src = v
		case FraIIF:
			r.IIF, err = stringOf(v)
		case fraOIF:
			r.OIF, err = stringOf(v)
		case fraGoto:
			r.GoTo, err = known32(v)
		case FraPriority:
			r.Priority, err = uint32Of(v)
		case fraSuppress:
			if r.Suppress, err = known32(v); r.Suppress == store.Of(uint32(math.MaxUint32)) { // any prefix will do
				r.Suppress = store.Int{}
			}
		case FraFWMark:
			r.FWMark, err = uint32Of(v)
		case fraFWMask:
			r.FWMask, err = uint32Of(v)
		case fraTable:
			r.Table, err = uint32Of(v)
		case fraL3MDev:
			var yes uint8
			yes, err = uint8Of(v)
			r.L3MDev = yes != 0
		case FraUIDRange:
			if len(v) < 8 {
				return tooShort(v)
			}
			r.UIDs = rangeText(binary.NativeEndian.Uint32(v), binary.NativeEndian.Uint32(v[4:]))
		case fraProtocol:
			r.Protocol, err = known8(v)
		case fraIPProto:
			var protocol uint8
			protocol, err = uint8Of(v)
			r.IPProto = store.NonZero(protocol)
		case FraSPorts:
			r.SPorts, err = portsText(v)
		case fraDPorts:
			r.DPorts, err = portsText(v)
		case fraDSCP:
			// The upper six bits of what tos is for.
			r.TOS, err = uint8Of(v)
			r.TOS <<= 2
			r.addOther(kind, v)
		case fraFlow:
			r.Realms, err = realmsText(v)
		case FraTunID:
			if len(v) < 8 {
				return tooShort(v)
			}
			r.TunID = store.NonZero(binary.BigEndian.Uint64(v))
		case fraIfGroup:
			if r.IfGroup, err = known32(v); r.IfGroup == store.Of(uint32(math.MaxUint32)) { // every group will do
				r.IfGroup = store.Int{}
			}
		case fraPad:
		default:
			if full, isMask := fullMasks[kind]; !isMask || !bytes.Equal(v, full) {
				r.addOther(kind, v)
			}
		}
		return err
	})
	if err == nil && (dst != nil || msg[1] != 0) {
		r.Dst, err = prefixOf(r.Family, dst, msg[1])
	}
	if err == nil && (src != nil || msg[2] != 0) {
		r.Src, err = prefixOf(r.Family, src, msg[2])
	}
	return r, err
}

// addOther keeps a condition as the kernel says it: a rule that lacked it would seem to match more than it does.
func (r *Rule) addOther(kind uint16, v []byte) {
	if r.Other != "" {
		r.Other += " "
	}
	name, known := ruleConditions[kind]
	if !known {
		name = fmt.Sprintf("attribute_%d", kind)
	}
	r.Other += fmt.Sprintf("%s=%#x", name, v)
}

// realmsText is the realms of a route or a rule (RTA_FLOW, FRA_FLOW): the source's in the upper half, which may be none.
func realmsText(v []byte) (string, error) {
	n, err := uint32Of(v)
	switch from, to := n>>16, n&0xffff; {
	case err != nil || n == 0:
		return "", err
	case from == 0:
		return strconv.FormatUint(uint64(to), 10), nil
	default:
		return fmt.Sprintf("%d/%d", from, to), nil
	}
}

func portsText(b []byte) (string, error) {
	if len(b) < 4 {
		return "", tooShort(b)
	}
	return rangeText(uint32(binary.NativeEndian.Uint16(b)), uint32(binary.NativeEndian.Uint16(b[2:]))), nil
}

func rangeText(from, to uint32) string {
	text := strconv.FormatUint(uint64(from), 10)
	if to != from {
		text += "-" + strconv.FormatUint(uint64(to), 10)
	}
	return text
}
