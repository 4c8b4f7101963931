package recorder

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// rules records policy routing, IPv4 and IPv6.
type rules struct {
	source  *store.Source
	ns      namespace
	netlink *rtnetlink
	memory  dumpMemory[store.RuleID, store.Rule]
}

func newRules(w *store.Writer, ns namespace) source {
	s := &rules{source: w.SourceIn(ns.id, "rules"), ns: ns, netlink: ns.rtnetlink()}
	s.memory = newDumpMemory(store.NewSet(s.source, store.Rules), s.netlink)
	return s
}

func (s *rules) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *rules) record(ctx context.Context) error {
	var messages [][]byte
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := [sizeofRule]byte{0: family}
		got, err := s.netlink.dump(ctx, unix.RTM_GETRULE, unix.RTM_NEWRULE, header[:])
		// A kernel without policy routing for the family has no rules to dump.
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) {
			return fmt.Errorf("dump rules of IPv%d: %w", familyNumber(family), err)
		}
		for _, msg := range got {
			if len(msg) >= sizeofRule && msg[0] == family {
				messages = append(messages, msg)
			}
		}
	}
	if s.memory.keep(messages, sizeofRule, nothingTicks) {
		return nil
	}
	nth := map[store.RuleID]int64{}
	for _, msg := range messages {
		r, err := parseRule(msg)
		if err != nil {
			return fmt.Errorf("read rule: %w", err)
		}
		id, v := r.row(s.ns.id)
		n := nth[id]
		nth[id]++
		id.Nth = store.Of(n)
		s.memory.put(id, v)
	}
	s.memory.done()
	return nil
}

func nothingTicks(uint16) bool { return false }

// sizeofRule is the size of struct fib_rule_hdr (linux/fib_rules.h), from where the
// numbers below come too.
const sizeofRule = 12

const (
	fraDst       = 1
	fraSrc       = 2
	fraIIF       = 3
	fraGoto      = 4
	fraPriority  = 6
	fraFWMark    = 10
	fraSuppress  = 14
	fraTable     = 15
	fraFWMask    = 16
	fraOIF       = 17
	fraL3MDev    = 19
	fraUIDRange  = 20
	fraProtocol  = 21
	fraIPProto   = 22
	fraSPorts    = 23
	fraDPorts    = 24
	fraDSCP      = 25 // Linux 6.13
	ruleToTable  = 1
	ruleInverted = 2
)

var ruleActions = numberNames{
	ruleToTable: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit",
}

// A rule is an RTM_NEWRULE message.
type rule struct {
	family, tos, action  uint8
	flags                uint32
	table, priority      uint32
	dst, src             netip.Prefix
	iif, oif             string
	fwmark, fwmask       uint32
	goTo, suppress       store.Int
	l3mdev               bool
	uids, sports, dports string
	ipproto, protocol    store.Int
}

// parseRule decodes struct fib_rule_hdr and its attributes.
func parseRule(msg []byte) (rule, error) {
	if len(msg) < sizeofRule {
		return rule{}, errShort
	}
	r := rule{
		family: msg[0], tos: msg[3], table: uint32(msg[4]), action: msg[7],
		flags: binary.NativeEndian.Uint32(msg[8:]),
	}
	var dst, src []byte
	err := attributes(msg[sizeofRule:], func(kind uint16, v []byte) {
		switch kind {
		case fraDst:
			dst = v
		case fraSrc:
			src = v
		case fraIIF:
			r.iif = string(textOf(v))
		case fraOIF:
			r.oif = string(textOf(v))
		case fraGoto:
			r.goTo = store.Of(uint32Of(v))
		case fraPriority:
			r.priority = uint32Of(v)
		case fraSuppress:
			if n := uint32Of(v); n != 1<<32-1 {
				r.suppress = store.Of(n)
			}
		case fraFWMark:
			r.fwmark = uint32Of(v)
		case fraFWMask:
			r.fwmask = uint32Of(v)
		case fraTable:
			r.table = uint32Of(v)
		case fraL3MDev:
			r.l3mdev = uint8Of(v) != 0
		case fraUIDRange:
			if len(v) >= 8 {
				r.uids = rangeText(uint32Of(v), uint32Of(v[4:]))
			}
		case fraProtocol:
			r.protocol = store.Of(uint8Of(v))
		case fraIPProto:
			r.ipproto = store.NonZero(uint8Of(v))
		case fraSPorts:
			r.sports = portsText(v)
		case fraDPorts:
			r.dports = portsText(v)
		case fraDSCP:
			// The upper six bits of what tos is for.
			r.tos = uint8Of(v) << 2
		}
	})
	if err == nil && (dst != nil || msg[1] != 0) {
		r.dst, err = prefixOf(r.family, dst, msg[1])
	}
	if err == nil && (src != nil || msg[2] != 0) {
		r.src, err = prefixOf(r.family, src, msg[2])
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

// row is the rule as it is recorded, without its ordinal.
func (r *rule) row(netns store.Int) (store.RuleID, store.Rule) {
	id := store.RuleID{NetNS: netns, Family: store.Of(familyNumber(r.family)), Priority: store.Of(r.priority)}
	v := store.Rule{
		IIF: r.iif, OIF: r.oif, TOS: store.NonZero(r.tos), IPProto: r.ipproto,
		SPort: r.sports, DPort: r.dports, UIDRange: r.uids,
		Action: ruleActions.of(uint32(r.action)), Goto: r.goTo, Suppress: r.suppress, Invert: store.Of(r.flags & ruleInverted >> 1),
	}
	if r.dst.IsValid() {
		v.Dst = r.dst.String()
	}
	if r.src.IsValid() {
		v.Src = r.src.String()
	}
	switch {
	case r.fwmark == 0 && r.fwmask == 0:
	case r.fwmask == 1<<32-1:
		v.FWMark = fmt.Sprintf("0x%x", r.fwmark)
	default:
		v.FWMark = fmt.Sprintf("0x%x/0x%x", r.fwmark, r.fwmask)
	}
	switch {
	case r.action != ruleToTable:
	case r.l3mdev:
		v.TableName = "l3mdev" // the table of the VRF that the packet belongs to
	default:
		v.TableID, v.TableName = store.Of(r.table), tableNames().of(r.table)
	}
	if protocol, ok := r.protocol.Get(); ok {
		v.Protocol = protocolNames().of(uint32(protocol))
	}
	return id, v
}
