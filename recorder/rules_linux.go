package recorder

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// rules records policy routing, IPv4 and IPv6.
type rules struct {
	source  *store.Source
	ns      namespace
	netlink *rtnl.Conn
	memory  dumpMemory[store.RuleID, store.Rule]
}

func newRules(w *store.Writer, ns namespace) source {
	s := &rules{source: w.SourceIn(ns.id, "rules"), ns: ns, netlink: ns.rtnetlink()}
	s.memory = newDumpMemory(w, store.NewSet(s.source, store.Rules), s.netlink)
	return s
}

func (s *rules) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *rules) record(ctx context.Context) error {
	var messages [][]byte
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		got, err := dumpRules(ctx, s.netlink, family)
		if err != nil {
			return err
		}
		messages = append(messages, got...)
	}
	if s.memory.keep(messages, rtnl.SizeofRule, rtnl.NothingTicks) {
		return nil
	}
	nth := map[store.RuleID]int64{}
	for _, msg := range messages {
		r, err := rtnl.ParseRule(msg)
		if err != nil {
			return fmt.Errorf("read rule: %w", err)
		}
		id, v := ruleRow(&r, s.ns.id)
		n := nth[id]
		nth[id]++
		id.Nth = store.Of(n)
		s.memory.put(id, v)
	}
	s.memory.done()
	return nil
}

// dumpRules returns the messages of the rules of a family.
func dumpRules(ctx context.Context, netlink *rtnl.Conn, family uint8) (messages [][]byte, err error) {
	header := [rtnl.SizeofRule]byte{0: family}
	got, err := netlink.Dump(ctx, unix.RTM_GETRULE, unix.RTM_NEWRULE, header[:])
	// A kernel without policy routing for the family has no rules to dump.
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) {
		return nil, fmt.Errorf("dump rules of IPv%d: %w", rtnl.FamilyNumber(family), err)
	}
	for _, msg := range got {
		if len(msg) >= rtnl.SizeofRule && msg[0] == family {
			messages = append(messages, msg)
		}
	}
	return messages, nil
}

var ruleActions = numberNames{
	rtnl.RuleToTable: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit",
}

// ruleFlags are FIB_RULE_* of linux/fib_rules.h that say why a rule matches nothing.
var ruleFlags = []flagName{{4, "unresolved"}, {8, "iif_detached"}, {16, "oif_detached"}}

// ruleRow is the rule as it is recorded, without its ordinal.
func ruleRow(r *rtnl.Rule, netns store.Int) (store.RuleID, store.Rule) {
	id := store.RuleID{NetNS: netns, Family: store.Of(rtnl.FamilyNumber(r.Family)), Priority: store.Of(r.Priority)}
	v := store.Rule{
		IIF: r.IIF, OIF: r.OIF, TOS: store.NonZero(r.TOS), IPProto: r.IPProto,
		SPort: r.SPorts, DPort: r.DPorts, UIDRange: r.UIDs,
		Action: ruleActions.of(uint32(r.Action)), Goto: r.GoTo, Suppress: r.Suppress, Invert: store.Of(r.Flags & rtnl.RuleInverted >> 1),
		TunID: r.TunID, IfGroup: r.IfGroup, Realms: r.Realms, Flags: flagText(r.Flags, ruleFlags), Other: r.Other,
	}
	if r.Dst.IsValid() {
		v.Dst = r.Dst.String()
	}
	if r.Src.IsValid() {
		v.Src = r.Src.String()
	}
	switch {
	case r.FWMark == 0 && r.FWMask == 0:
	case r.FWMask == 1<<32-1:
		v.FWMark = fmt.Sprintf("0x%x", r.FWMark)
	default:
		v.FWMark = fmt.Sprintf("0x%x/0x%x", r.FWMark, r.FWMask)
	}
	switch {
	case r.Action != rtnl.RuleToTable:
	case r.L3MDev:
		v.TableName = "l3mdev" // the table of the VRF that the packet belongs to
	default:
		v.TableID, v.TableName = store.Of(r.Table), tableNames().of(r.Table)
	}
	if protocol, ok := r.Protocol.Get(); ok {
		v.Protocol = protocolNames().of(uint32(protocol))
	}
	return id, v
}
