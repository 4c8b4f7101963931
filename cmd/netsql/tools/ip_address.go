package tools

import (
	"cmp"
	"database/sql"
	"net/netip"
	"path"
	"slices"
	"strings"
)

type ipAddress struct {
	Dev       string        `col:"dev"`
	Index     int64         `col:"ifindex"`
	Family    int64         `col:"family"`
	Addr      string        `col:"addr"`
	Bits      int64         `col:"prefix_len"`
	Peer      string        `col:"peer"`
	Scope     string        `col:"scope"`
	Flags     string        `col:"flags"`
	Label     string        `col:"label"`
	Broadcast string        `col:"broadcast"`
	Valid     sql.NullInt64 `col:"CAST(round(valid_until - ts) AS INT)"`
	Preferred sql.NullInt64 `col:"CAST(round(preferred_until - ts) AS INT)"`
}

func (a *ipAddress) has(flag string) bool {
	return slices.Contains(strings.Split(a.Flags, ","), flag)
}

func (f *ipFilter) takes(a *ipAddress) bool {
	if f.scope != "" && f.scope != "all" && a.Scope != f.scope {
		return false
	}
	for flag, wanted := range f.flags {
		if (a.has(flag) || flag == "secondary" && a.has("temporary")) != wanted {
			return false
		}
	}
	if f.to.IsValid() {
		addr, err := netip.ParseAddr(cmp.Or(a.Addr, a.Peer))
		if err != nil || !f.to.Masked().Contains(addr.WithZone("")) {
			return false
		}
	}
	if f.label != "" {
		if match, err := path.Match(f.label, cmp.Or(a.Label, a.Dev)); err != nil || !match {
			return false
		}
	}
	return true
}

func (o *ipOut) addresses(words []string) error {
	_, words, err := o.shown("addr", "address_changes", words)
	if err != nil {
		return err
	}
	f, err := o.filter("addr", words)
	if err != nil {
		return err
	}
	withLinks := o.packet || f.label == "" && (!o.oneline || o.brief)
	o.ofIPv6 = o.six
	if !withLinks { // then addresses are shown of those that the kernel takes, which it does where no family is asked for
		if f.up = false; o.four || o.six {
			f.master, f.kind = "", ""
		}
	}
	if withLinks && o.six && (f.master != "" || f.kind != "") { // neither of which IPv6 knows of its links
		return nil
	}
	links, all, err := o.linksOf(f)
	if err != nil {
		return err
	}
	var counters map[int64]ipCounters
	if o.stats > 0 {
		if counters, err = o.counters(); err != nil {
			return err
		}
	}
	rows, err := here[ipAddress](o.ctx, o.m, "addresses", "ORDER BY ifindex, family")
	if err != nil {
		return err
	}
	if f.to.IsValid() && !o.four && !o.six { // a prefix says which family is meant
		o.four, o.six = f.to.Addr().Is4(), f.to.Addr().Is6()
	}
	for i := range links {
		l := &links[i]
		var taken []ipAddress
		any := false
		for _, a := range rows {
			if a.Index == l.Index {
				any = true
				if o.wants(a.Family) && f.takes(&a) {
					taken = append(taken, a)
				}
			}
		}
		switch {
		case o.packet:
			if match, err := path.Match(f.label, l.Name); f.label != "" && (err != nil || !match) {
				continue
			}
			taken = nil
		case len(taken) == 0 && (any || o.four || o.six || f.label != ""):
			continue
		}
		o.open("", '{')
		switch {
		case !withLinks:
		case o.brief:
			o.linkBrief(l, all, o.packet)
		default:
			o.link(l, all, false)
			o.text("\n")
		}
		if !o.packet {
			o.open("addr_info", '[')
			for j := range taken {
				o.open("", '{')
				o.address(&taken[j], o.oneline && !o.brief, true)
				o.close('}')
			}
			o.close(']')
		}
		if c, ok := counters[l.Index]; ok && !o.brief && withLinks {
			o.counted(c)
			o.text("\n")
		}
		if o.brief {
			o.text("\n")
		}
		o.close('}')
	}
	return nil
}

var ipAddressFlags = []string{"secondary", "temporary", "nodad", "optimistic", "dadfailed", "home", "deprecated", "tentative", "dynamic", "mngtmpaddr", "noprefixroute", "autojoin", "stable-privacy"}

// address prints an address, with its interface where that stands not before it, and with the time that it lives, where that is known.
func (o *ipOut) address(a *ipAddress, withDev, withLife bool) {
	if withDev {
		o.put("index", "%d: ", a.Index)
		o.put("dev", "%s", a.Dev)
	}
	family := "inet"
	if a.Family == 6 {
		family = "inet6"
	}
	if o.brief {
		o.put("local", "%s", a.Addr)
		o.some("address", " peer %s", a.Peer)
		o.put("prefixlen", "/%d ", a.Bits)
		return
	}
	o.put("family", "    %s ", family)
	o.put("local", "%s", a.Addr)
	o.some("address", " peer %s", a.Peer)
	o.put("prefixlen", "/%d ", a.Bits)
	o.some("broadcast", "brd %s ", a.Broadcast)
	o.some("scope", "scope %s ", o.number(scopeNumbers, a.Scope))
	for _, flag := range ipAddressFlags {
		if a.has(flag) {
			o.text("%s ", flag)
			o.value(flag, true)
		}
	}
	o.some("label", "%s", a.Label)
	if !withLife {
		o.text("\n")
		return
	}
	// Of an address that was deprecated before it was seen no end is recorded.
	if a.has("deprecated") {
		a.Preferred = sql.NullInt64{Valid: true}
	}
	o.text("%s       ", o.newline)
	o.lifetime("valid_life_time", "valid_lft", a.Valid)
	o.text(" ")
	o.lifetime("preferred_life_time", "preferred_lft", a.Preferred)
	o.text("\n")
}

func (o *ipOut) lifetime(key, word string, left sql.NullInt64) {
	if !left.Valid {
		o.text("%s forever", word)
		o.value(key, uint32(1<<32-1))
		return
	}
	o.text("%s %dsec", word, max(left.Int64, 0))
	o.value(key, max(left.Int64, 0))
}
