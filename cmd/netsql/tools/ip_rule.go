package tools

import (
	"cmp"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

type ipRule struct {
	Family   int64         `col:"family"`
	Priority int64         `col:"priority"`
	Nth      int64         `col:"nth"`
	Src      string        `col:"src"`
	Dst      string        `col:"dst"`
	IIF      string        `col:"iif"`
	OIF      string        `col:"oif"`
	Mark     string        `col:"fwmark"`
	TOS      sql.NullInt64 `col:"tos"`
	Proto    sql.NullInt64 `col:"ipproto"`
	SPort    string        `col:"sport"`
	DPort    string        `col:"dport"`
	UIDs     string        `col:"uid_range"`
	Action   string        `col:"action"`
	TableID  sql.NullInt64 `col:"table_id"`
	Table    string        `col:"table_name"`
	Goto     sql.NullInt64 `col:"goto_priority"`
	Invert   bool          `col:"coalesce(invert, 0)"`
	Suppress sql.NullInt64 `col:"suppress_prefix_len"`
	Protocol string        `col:"protocol"`
	TunID    sql.NullInt64 `col:"tun_id"`
	IfGroup  sql.NullInt64 `col:"suppress_ifgroup"`
	Realms   string        `col:"realms"`
	Flags    string        `col:"flags"`
	Other    string        `col:"other"`
}

func (r *ipRule) has(flag string) bool { return slices.Contains(strings.Split(r.Flags, ","), flag) }

func (o *ipOut) rulesOf(family int64) ([]ipRule, error) {
	return here[ipRule](o.ctx, o.m, "rules", fmt.Sprintf("AND family = %d ORDER BY priority, nth", family))
}

func (o *ipOut) rules(words []string) error {
	_, words, err := o.shown("rule", "rule_changes", words)
	if err != nil {
		return err
	}
	var table, priority string
	w := ipWords{"rule", words}
	for {
		word, ok := w.next()
		if !ok {
			break
		}
		switch {
		case word == "table", word == "lookup":
			table, err = w.after(word)
		case len(word) > 1 && strings.HasPrefix("preference", word), len(word) > 1 && strings.HasPrefix("order", word), len(word) > 1 && strings.HasPrefix("priority", word):
			priority, err = w.after(word)
		default:
			return &UnknownOptionError{Tool: "ip", Option: "rule show " + word, Instead: "netsql ip rule shows them all, and SELECT * FROM rules_now WHERE … some"}
		}
		if err != nil {
			return err
		}
	}
	family := int64(4)
	if o.six {
		family = 6
	}
	rules, err := o.rulesOf(family)
	if err != nil {
		return err
	}
	_, links, err := o.linksOf(ipFilter{})
	if err != nil {
		return err
	}
	for i := range rules {
		r := &rules[i]
		if table != "" && table != r.Table && table != fmt.Sprint(r.TableID.Int64) || priority != "" && priority != fmt.Sprint(r.Priority) {
			continue
		}
		o.open("", '{')
		o.rule(r, links)
		o.close('}')
	}
	return nil
}

// rule prints a rule as print_rule does (ip/iprule.c).
func (o *ipOut) rule(r *ipRule, links []ipLink) {
	o.put("priority", "%d:\t", r.Priority)
	if r.Invert {
		o.text("not ")
		o.value("not", nil)
	}
	o.ruleNet("src", "srclen", "from", r.Src)
	if r.Dst != "" {
		o.ruleNet("dst", "dstlen", "to", r.Dst)
	}
	if r.TOS.Valid {
		o.put("tos", "tos %s ", o.tos(r.TOS.Int64))
	}
	if r.Mark != "" {
		mark, mask, masked := strings.Cut(r.Mark, "/")
		o.put("fwmark", "fwmark %s", mark)
		if masked {
			o.put("fwmask", "/%s", mask)
		}
		o.text(" ")
	}
	for _, end := range []struct{ word, dev string }{{"iif", r.IIF}, {"oif", r.OIF}} {
		o.some(end.word, end.word+" %s ", end.dev)
		detached := r.has(end.word + "_detached")
		if r.has("detached") { // of an older recording, which does not tell which of two it is: the one that is not there
			detached = !slices.ContainsFunc(links, func(l ipLink) bool { return l.Name == end.dev })
		}
		if end.dev != "" && detached {
			o.text("[detached] ")
			o.value(end.word+"_detached", nil)
		}
	}
	if r.Table == "l3mdev" && r.Action == "lookup" {
		o.text("lookup [l3mdev-table]")
		o.value("l3mdev", nil)
	}
	if from, to, ok := strings.Cut(r.UIDs, "-"); ok || r.UIDs != "" {
		a, _ := strconv.ParseInt(from, 10, 64)
		b, _ := strconv.ParseInt(cmp.Or(to, from), 10, 64)
		o.text("uidrange %d-%d ", a, b)
		o.value("uid_start", a)
		o.value("uid_end", b)
	}
	if r.Proto.Valid {
		o.put("ipproto", "ipproto %s ", o.protocol(r.Proto.Int64))
	}
	o.rulePorts("sport", r.SPort)
	o.rulePorts("dport", r.DPort)
	if r.TunID.Valid {
		o.put("tun_id", "tun_id %d ", r.TunID.Int64)
	}
	if r.TableID.Valid && r.TableID.Int64 != 0 {
		o.put("table", "lookup %s", o.tableName(r.TableID.Int64, r.Table))
		if r.Suppress.Valid {
			o.put("suppress_prefixlen", " suppress_prefixlength %d", r.Suppress.Int64)
		}
		if r.IfGroup.Valid {
			o.put("suppress_ifgroup", " suppress_ifgroup %s", fmt.Sprint(r.IfGroup.Int64))
		}
	}
	if r.Realms != "" {
		from, to, two := strings.Cut(r.Realms, "/")
		o.text(" realms ")
		if two {
			o.put("flow_from", "%s/", from)
		} else {
			to = r.Realms
		}
		o.put("flow_to", "%s", to)
	}
	switch {
	case r.Action == "goto":
		if r.Goto.Valid {
			o.put("goto", "goto %d", r.Goto.Int64)
		} else {
			o.text("goto none")
			o.value("goto", "none")
		}
		if r.has("unresolved") {
			o.text(" [unresolved]")
			o.value("unresolved", nil)
		}
	case r.Action == "nop":
		o.text("nop")
		o.value("nop", nil)
	case r.Action != "lookup":
		o.put("action", "%s", o.number(typeNumbers, r.Action))
	}
	if r.Protocol != "" && (r.Protocol != "kernel" && r.Protocol != "unspec" || o.details) {
		o.put("protocol", " proto %s", o.number(protocolNumbers, r.Protocol))
	}
	o.text("\n")
}

func (o *ipOut) tos(tos int64) string { return fmt.Sprintf("0x%02x", tos) }

// protocol is the name of an IP protocol.
func (o *ipOut) protocol(n int64) string {
	number := strconv.FormatInt(n, 10)
	if o.numeric {
		return "ipproto-" + number
	}
	o.m.Names.read()
	return cmp.Or(o.m.Names.protocols[number], "ipproto-"+number)
}

func (o *ipOut) ruleNet(key, keyLen, word, net string) {
	if net == "" {
		o.put(key, word+" %s ", "all")
		return
	}
	p, err := netip.ParsePrefix(net)
	if err != nil {
		return
	}
	o.put(key, word+" %s", p.Addr().String())
	if !p.IsSingleIP() {
		o.put(keyLen, "/%d", p.Bits())
	}
	o.text(" ")
}

func (o *ipOut) rulePorts(word, ports string) {
	from, to, isRange := strings.Cut(ports, "-")
	if ports == "" {
		return
	}
	a, _ := strconv.ParseInt(from, 10, 64)
	b, _ := strconv.ParseInt(to, 10, 64)
	if !isRange || a == b {
		o.put(word, word+" %d ", a)
		return
	}
	o.text("%s %d-%d ", word, a, b)
	o.value(word+"_start", a)
	o.value(word+"_end", b)
}
