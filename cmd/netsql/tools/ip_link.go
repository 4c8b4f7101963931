package tools

import (
	"cmp"
	"database/sql"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
)

type ipLink struct {
	Index     int64         `col:"ifindex"`
	Name      string        `col:"name"`
	Type      string        `col:"type"`
	MAC       string        `col:"mac"`
	MTU       sql.NullInt64 `col:"mtu"`
	Operstate string        `col:"operstate"`
	Flags     string        `col:"flags"`
	Master    string        `col:"master"`
	Qdisc     string        `col:"qdisc"`
	TxQLen    sql.NullInt64 `col:"txqlen"`
	Alias     string        `col:"alias"`
	Below     sql.NullInt64 `col:"link_ifindex"`
	Promisc   sql.NullInt64 `col:"promiscuity"`
	AltNames  string        `col:"altnames"`
	VLAN      sql.NullInt64 `col:"vlan_id"`
	VRFTable  sql.NullInt64 `col:"vrf_table"`
	Tunnel    string        `col:"tunnel"`
	Changes   sql.NullInt64 `col:"carrier_changes"`
}

func (l *ipLink) has(flag string) bool {
	for f := range flagsOf(l.Flags) {
		if f == flag {
			return true
		}
	}
	return false
}

func (l *ipLink) answersTo(name string) bool {
	return l.Name == name || slices.Contains(strings.Split(l.AltNames, ","), name)
}

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

// ipFilter is what ip address and ip link are asked for (ip/ipaddress.c).
type ipFilter struct {
	dev, scope, label, master, kind string
	up                              bool
	to                              netip.Prefix
	flags, noFlags                  []string
}

func (o *ipOut) filter(object string, words []string) (f ipFilter, err error) {
	w := ipWords{object, words}
	for {
		word, ok := w.next()
		if !ok {
			return f, nil
		}
		switch {
		case word == "up":
			f.up = true
		case word == "dev":
			f.dev, err = w.after(word)
		case word == "master":
			f.master, err = w.after(word)
		case word == "vrf":
			f.master, err = w.after(word)
		case word == "type":
			f.kind, err = w.after(word)
		case word == "group":
			return f, &UnknownOptionError{Tool: "ip", Option: object + " show group", Instead: "groups of links are not recorded"}
		case object == "addr" && word == "scope":
			f.scope, err = w.after(word)
		case object == "addr" && word == "label":
			f.label, err = w.after(word)
		case object == "addr" && word == "to":
			var text string
			if text, err = w.after(word); err == nil {
				f.to, err = ipPrefix(text)
			}
		case object == "addr" && slices.Contains([]string{"dynamic", "permanent"}, word):
			if word == "permanent" {
				f.noFlags = append(f.noFlags, "dynamic")
			} else {
				f.flags = append(f.flags, word)
			}
		case object == "addr" && slices.Contains(ipAddressFlags, word):
			f.flags = append(f.flags, word)
		case object == "addr" && strings.HasPrefix(word, "-") && slices.Contains(ipAddressFlags, word[1:]):
			f.noFlags = append(f.noFlags, word[1:])
		case word == "help":
			return f, usagef("netsql ip --help lists what ip takes")
		case f.dev == "":
			f.dev = word
		default:
			return f, usagef("ip %s show: either %q is a second interface, or no word that is known", object, word)
		}
		if err != nil {
			return f, err
		}
	}
}

// ipPrefix reads a prefix or an address.
func ipPrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr.WithZone(""), addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, usagef("%q is no prefix: write it as 10.0.0.0/8 or fd00::/8", text)
	}
	return p, nil
}

func (f *ipFilter) takes(a *ipAddress) bool {
	if f.scope != "" && f.scope != "all" && a.Scope != f.scope {
		return false
	}
	for _, flag := range f.flags {
		if !a.has(flag) {
			return false
		}
	}
	for _, flag := range f.noFlags {
		if a.has(flag) {
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

// linksOf reads the links that a filter takes, and all.
func (o *ipOut) linksOf(f ipFilter) (taken, all []ipLink, err error) {
	if all, err = here[ipLink](o.ctx, o.m, "interfaces", "ORDER BY ifindex"); err != nil {
		return nil, nil, err
	}
	known := f.dev == ""
	for i := range all {
		l := &all[i]
		match := f.dev == "" || l.answersTo(f.dev)
		known = known || match
		if match && (!f.up || l.has("UP")) && (f.master == "" || l.Master == f.master) && (f.kind == "" || l.Type == f.kind) {
			taken = append(taken, *l)
		}
	}
	if !known {
		return nil, nil, usagef("Device %q does not exist at that moment: netsql ip -br link lists those that do", f.dev)
	}
	return taken, all, nil
}

func (o *ipOut) links(words []string) error {
	_, words, err := o.shown("link", "interface_changes", words)
	if err != nil {
		return err
	}
	f, err := o.filter("link", words)
	if err != nil {
		return err
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
	for i := range links {
		o.open("", '{')
		if o.brief {
			o.linkBrief(&links[i], all)
			o.some("address", "%s ", links[i].address())
			o.linkFlags(&links[i], all)
			o.text("\n")
		} else {
			o.link(&links[i], all, true)
			if c, ok := counters[links[i].Index]; ok {
				o.counted(c)
			}
			o.text("\n")
		}
		o.close('}')
	}
	return nil
}

// below is the link under a link, as its name where it is in this namespace. Two ends of a veth name each other: the number of a link is that of
// another one in another namespace.
func (l *ipLink) below(all []ipLink) (name string, link *ipLink) {
	switch {
	case !l.Below.Valid:
		return "", nil
	case l.Below.Int64 == 0:
		return "NONE", nil
	}
	for i := range all {
		other := &all[i]
		if other.Index == l.Below.Int64 && (l.Type != "veth" || other.Type == "veth" && other.Below.Int64 == l.Index) {
			return other.Name, other
		}
	}
	return fmt.Sprintf("if%d", l.Below.Int64), nil
}

// link prints what ip link and ip address say of a link. The recording has no group and no mode of a link, nor its broadcast address: they are
// left out, as ip does where the kernel does not tell them.
func (o *ipOut) link(l *ipLink, all []ipLink, linkOnly bool) {
	o.put("ifindex", "%d: ", l.Index)
	if o.json {
		o.belowValue(l, all)
	}
	o.put("ifname", "%s", l.Name)
	if below, _ := l.below(all); below != "" {
		o.text("@%s", below)
	}
	o.text(": ")
	o.linkFlags(l, all)
	if l.MTU.Valid {
		o.put("mtu", "mtu %d ", l.MTU.Int64)
	}
	six := o.six && !o.four && !linkOnly // then the kernel tells of a link what IPv6 knows of it (inet6_fill_ifinfo)
	if !six {
		o.some("qdisc", "qdisc %s ", l.Qdisc)
		o.some("master", "master %s ", l.Master)
	}
	o.some("operstate", "state %s ", l.Operstate)
	if l.TxQLen.Valid && l.TxQLen.Int64 != 0 {
		o.put("txqlen", "qlen %d", l.TxQLen.Int64)
	}
	if linkOnly || !o.four && !o.six || o.details {
		o.text("%s", o.newline)
		hardware := l.hardware()
		if n, ok := hardwareNumbers[hardware]; o.numeric && ok {
			hardware = fmt.Sprintf("[%d]", n)
		}
		o.put("link_type", "    link/%s ", hardware)
		o.some("address", "%s", l.address())
		if l.MAC != "" && l.has("POINTOPOINT") {
			o.value("link_pointtopoint", true)
		}
	}
	if o.details {
		o.detailsOf(l)
	}
	if linkOnly || o.details {
		if l.Alias != "" {
			o.text("%s    ", o.newline)
			o.put("ifalias", "alias %s", l.Alias)
		}
	}
	if l.AltNames != "" && !six {
		o.value("altnames", strings.Split(l.AltNames, ","))
		for name := range strings.SplitSeq(l.AltNames, ",") {
			o.text("%s    altname %s", o.newline, name)
		}
	}
}

func (o *ipOut) belowValue(l *ipLink, all []ipLink) {
	switch below, link := l.below(all); {
	case below == "":
	case below == "NONE":
		o.value("link", nil)
	case link == nil:
		o.value("link_index", l.Below.Int64)
	default:
		o.value("link", below)
	}
}

// detailsOf is what was recorded of them.
func (o *ipOut) detailsOf(l *ipLink) {
	if l.Promisc.Valid {
		o.put("promiscuity", " promiscuity %d ", l.Promisc.Int64)
	}
	if l.Type == "ether" || l.Type == "loopback" || l.Type == "none" || l.Type == "" {
		return
	}
	o.open("linkinfo", '{')
	o.text("%s    ", o.newline)
	o.put("info_kind", "%s ", l.Type)
	o.open("info_data", '{')
	if l.VLAN.Valid {
		o.put("id", "id %d ", l.VLAN.Int64)
	}
	if l.VRFTable.Valid {
		o.put("table", "table %d ", l.VRFTable.Int64)
	}
	if l.Tunnel != "" {
		o.text("%s ", l.Tunnel)
	}
	o.close('}')
	o.close('}')
}

// linkFlags are the flags, in the order of ip.
func (o *ipOut) linkFlags(l *ipLink, all []ipLink) {
	has := map[string]bool{}
	for flag := range flagsOf(l.Flags) {
		has[flag] = true
	}
	flags := []string{}
	if has["UP"] && !has["RUNNING"] {
		flags = append(flags, "NO-CARRIER")
	}
	for _, flag := range []string{
		"LOOPBACK", "BROADCAST", "POINTOPOINT", "MULTICAST", "NOARP", "ALLMULTI", "PROMISC", "MASTER", "SLAVE", "DEBUG", "DYNAMIC", "AUTOMEDIA", "PORTSEL",
		"NOTRAILERS", "UP", "LOWER_UP", "DORMANT", "ECHO",
	} {
		if has[flag] {
			flags = append(flags, flag)
		}
	}
	if _, below := l.below(all); below != nil && !below.has("UP") {
		flags = append(flags, "M-DOWN")
	}
	o.value("flags", flags)
	o.text("<%s> ", strings.Join(flags, ","))
}

// hardwareNumbers are ARPHRD_* of linux/if_arp.h.
var hardwareNumbers = map[string]int{
	"ether": 1, "loopback": 772, "none": 65534, "ipip": 768, "tunnel6": 769, "sit": 776, "gre": 778, "gre6": 823, "can": 280, "netlink": 824,
}

// hardware is the kind of its addresses, which follows from the kind of the link.
func (l *ipLink) hardware() string {
	switch l.Type {
	case "ipip", "sit", "gre":
		return l.Type
	case "vti":
		return "ipip"
	case "ip6tnl", "vti6":
		return "tunnel6"
	case "ip6gre":
		return "gre6"
	case "wireguard", "xfrm", "bareudp":
		return "none"
	case "can", "vcan", "vxcan":
		return "can"
	case "nlmon":
		return "netlink"
	case "tun":
		if l.MAC == "" {
			return "none"
		}
		return "ether"
	case "veth", "bridge", "bond", "dummy", "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "vxlan", "geneve", "gretap", "ip6gretap", "erspan", "ip6erspan", "vrf", "team", "ifb", "macsec":
		return "ether"
	case "":
		return "-"
	}
	if len(l.MAC) == len("00:00:00:00:00:00") && l.Type != "loopback" {
		return "ether"
	}
	return l.Type
}

// address is the hardware address; that of a tunnel is written as the IP address that it is.
func (l *ipLink) address() string {
	switch l.hardware() {
	case "ipip", "sit", "gre", "tunnel6", "gre6":
		var b []byte
		for part := range strings.SplitSeq(l.MAC, ":") {
			var n byte
			if _, err := fmt.Sscanf(part, "%02x", &n); err != nil {
				return l.MAC
			}
			b = append(b, n)
		}
		if addr, ok := netip.AddrFromSlice(b); ok {
			return addr.String()
		}
	}
	return l.MAC
}

func (o *ipOut) linkBrief(l *ipLink, all []ipLink) {
	name := l.Name
	if below, _ := l.below(all); below != "" {
		name += "@" + below
	}
	if o.json {
		o.belowValue(l, all)
	}
	o.text("%-16s ", name)
	o.value("ifname", l.Name)
	o.some("operstate", "%-14s ", l.Operstate)
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
	links, all, err := o.linksOf(f)
	if err != nil {
		return err
	}
	rows, err := here[ipAddress](o.ctx, o.m, "addresses", "ORDER BY ifindex, family")
	if err != nil {
		return err
	}
	if o.packet {
		return o.links(nil)
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
		if len(taken) == 0 && (any || o.four || o.six || f.label != "") {
			continue
		}
		o.open("", '{')
		switch {
		case o.brief:
			o.linkBrief(l, all)
		case !o.oneline && f.label == "":
			o.link(l, all, false)
			o.text("\n")
		}
		o.open("addr_info", '[')
		for j := range taken {
			o.open("", '{')
			o.address(l, &taken[j])
			o.close('}')
		}
		o.close(']')
		if o.brief {
			o.text("\n")
		}
		o.close('}')
	}
	return nil
}

var ipAddressFlags = []string{"secondary", "temporary", "nodad", "optimistic", "dadfailed", "home", "deprecated", "tentative", "dynamic", "mngtmpaddr", "noprefixroute", "autojoin", "stable-privacy"}

func (o *ipOut) address(l *ipLink, a *ipAddress) {
	if o.oneline && !o.brief {
		o.put("index", "%d: ", l.Index)
		o.put("dev", "%s", l.Name)
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

type ipCounters struct {
	Index      int64 `col:"ifindex"`
	RxBytes    int64 `col:"coalesce(rx_bytes, 0)"`
	RxPackets  int64 `col:"coalesce(rx_packets, 0)"`
	RxErrors   int64 `col:"coalesce(rx_errors, 0)"`
	RxDropped  int64 `col:"coalesce(rx_dropped, 0)"`
	RxMissed   int64 `col:"coalesce(rx_missed_errors, 0)"`
	Multicast  int64 `col:"coalesce(multicast, 0)"`
	RxPacked   int64 `col:"coalesce(rx_compressed, 0)"`
	RxLength   int64 `col:"coalesce(rx_length_errors, 0)"`
	RxCRC      int64 `col:"coalesce(rx_crc_errors, 0)"`
	RxFrame    int64 `col:"coalesce(rx_frame_errors, 0)"`
	RxFIFO     int64 `col:"coalesce(rx_fifo_errors, 0)"`
	RxOver     int64 `col:"coalesce(rx_over_errors, 0)"`
	RxNobody   int64 `col:"coalesce(rx_nohandler, 0)"`
	RxOther    int64 `col:"coalesce(rx_otherhost_dropped, 0)"`
	TxBytes    int64 `col:"coalesce(tx_bytes, 0)"`
	TxPackets  int64 `col:"coalesce(tx_packets, 0)"`
	TxErrors   int64 `col:"coalesce(tx_errors, 0)"`
	TxDropped  int64 `col:"coalesce(tx_dropped, 0)"`
	TxCarrier  int64 `col:"coalesce(tx_carrier_errors, 0)"`
	Collisions int64 `col:"coalesce(collisions, 0)"`
	TxPacked   int64 `col:"coalesce(tx_compressed, 0)"`
}

func (o *ipOut) counters() (map[int64]ipCounters, error) {
	if o.stats > 1 {
		return nil, &UnknownOptionError{Tool: "ip", Option: "-s -s", Instead: "SELECT * FROM interface_counters_now has every counter"}
	}
	rows, err := here[ipCounters](o.ctx, o.m, "interface_counters", "")
	counters := map[int64]ipCounters{}
	for _, c := range rows {
		counters[c.Index] = c
	}
	return counters, err
}

// counted prints the counters of a link, in columns as wide as they need be.
func (o *ipOut) counted(c ipCounters) {
	if o.json {
		o.open("stats64", '{')
		o.open("rx", '{')
		o.value("bytes", c.RxBytes)
		o.value("packets", c.RxPackets)
		o.value("errors", c.RxErrors)
		o.value("dropped", c.RxDropped)
		o.value("over_errors", c.RxOver)
		o.value("multicast", c.Multicast)
		if c.RxPacked > 0 {
			o.value("compressed", c.RxPacked)
		}
		o.close('}')
		o.open("tx", '{')
		o.value("bytes", c.TxBytes)
		o.value("packets", c.TxPackets)
		o.value("errors", c.TxErrors)
		o.value("dropped", c.TxDropped)
		o.value("carrier_errors", c.TxCarrier)
		o.value("collisions", c.Collisions)
		if c.TxPacked > 0 {
			o.value("compressed", c.TxPacked)
		}
		o.close('}')
		o.close('}')
		return
	}
	rx := []int64{c.RxBytes, c.RxPackets, c.RxErrors, c.RxDropped, c.RxMissed, c.Multicast, c.RxPacked}
	tx := []int64{c.TxBytes, c.TxPackets, c.TxErrors, c.TxDropped, c.TxCarrier, c.Collisions, c.TxPacked}
	widths := []int{10, 7, 6, 7, 7, 7, 10}
	for i := range widths {
		widths[i] = max(widths[i], len(fmt.Sprint(rx[i])), len(fmt.Sprint(tx[i])))
	}
	for _, part := range []struct {
		title string
		words []string
		of    []int64
	}{
		{"RX:", []string{"bytes", "packets", "errors", "dropped", "missed", "mcast", "compressed"}, rx},
		{"TX:", []string{"bytes", "packets", "errors", "dropped", "carrier", "collsns", "compressed"}, tx},
	} {
		if part.of[6] == 0 {
			part.words[6] = ""
		}
		o.text("%s    %s", o.newline, part.title)
		for i, word := range part.words {
			width := widths[i]
			if i == 0 {
				width -= 4
			}
			o.text(" %*s", width, word)
		}
		o.text("%s    ", o.newline)
		for i, n := range part.of {
			if i < 6 || n > 0 {
				o.text("%*d ", widths[i], n)
			}
		}
	}
}

// groups prints the multicast groups. Those of hardware addresses are not recorded.
func (o *ipOut) groups(words []string) error {
	_, words, err := o.shown("maddr", "multicast_group_changes", words)
	if err != nil {
		return err
	}
	f, err := o.filter("maddr", words)
	if err != nil {
		return err
	}
	links, _, err := o.linksOf(f)
	if err != nil {
		return err
	}
	type group struct {
		Index  int64  `col:"ifindex"`
		Family int64  `col:"family"`
		Addr   string `col:"addr"`
		Users  int64  `col:"coalesce(users, 1)"`
	}
	rows, err := here[group](o.ctx, o.m, "multicast_groups", "ORDER BY ifindex, family")
	if err != nil || o.packet {
		return err
	}
	for _, l := range links {
		first := true
		for _, g := range rows {
			if g.Index != l.Index || !o.wants(g.Family) {
				continue
			}
			if first {
				o.open("", '{')
				o.put("ifindex", "%d:", l.Index)
				o.put("ifname", "\t%s", l.Name)
				o.text("%s", o.newline)
				o.open("maddr", '[')
				first = false
			}
			family, word := "inet", "inet "
			if g.Family == 6 {
				family, word = "inet6", "inet6"
			}
			o.open("", '{')
			o.text("\t%s ", word)
			o.value("family", family)
			o.put("address", "%s", g.Addr)
			if g.Users != 1 {
				o.put("users", " users %d", g.Users)
			}
			o.text("\n")
			o.close('}')
		}
		if !first {
			o.close(']')
			o.close('}')
		}
	}
	return nil
}

// namespaces are those with a name. Their numbers for each other are not recorded.
func (o *ipOut) namespaces(words []string) error {
	if len(words) > 0 && !strings.HasPrefix("list", words[0]) && !strings.HasPrefix("show", words[0]) {
		return &UnknownOptionError{Tool: "ip", Option: "netns " + words[0], Instead: "netsql ip netns lists the names, --netns NAME prints another namespace, and SELECT * FROM namespaces_now has their processes"}
	}
	rows, err := rowsOf[string](o.ctx, o.m, "SELECT name FROM namespaces WHERE ts = at() AND name IS NOT NULL ORDER BY name")
	if err != nil {
		return err
	}
	for _, names := range rows {
		for name := range strings.SplitSeq(names, ",") {
			o.open("", '{')
			o.put("name", "%s", name)
			o.text("\n")
			o.close('}')
		}
	}
	return nil
}

type ipNeighbor struct {
	Dev    string `col:"dev"`
	Family int64  `col:"family"`
	Addr   string `col:"addr"`
	Proxy  bool   `col:"coalesce(proxy, 0)"`
	MAC    string `col:"mac"`
	State  string `col:"state"`
	Flags  string `col:"flags"`
}

func (n *ipNeighbor) has(flag string) bool { return slices.Contains(strings.Split(n.Flags, ","), flag) }

func (o *ipOut) neighbors(words []string) error {
	_, words, err := o.shown("neigh", "neighbor_changes", words)
	if err != nil {
		return err
	}
	var dev, master string
	var to netip.Prefix
	var proxy, unused, anyState bool
	var states []string
	w := ipWords{"neigh", words}
	for {
		word, ok := w.next()
		if !ok {
			break
		}
		switch {
		case word == "dev":
			dev, err = w.after(word)
		case word == "master" || word == "vrf":
			master, err = w.after(word)
		case word == "proxy":
			proxy = true
		case word == "router", word == "extern_learn", word == "managed":
			states = append(states, word)
		case word == "unused":
			unused = true
		case word == "nud":
			var state string
			if state, err = w.after(word); err == nil && state == "all" {
				anyState = true
			} else if err == nil {
				states = append(states, strings.ToUpper(state))
			}
		default:
			if word == "to" {
				if word, err = w.after(word); err != nil {
					return err
				}
			}
			to, err = ipPrefix(word)
		}
		if err != nil {
			return err
		}
	}
	if unused || o.stats > 0 {
		option := "-s neigh"
		if unused {
			option = "neigh show unused"
		}
		return &UnknownOptionError{Tool: "ip", Option: option, Instead: "when an entry was used last is not recorded; netsql ip neigh has its state"}
	}
	if _, _, err := o.linksOf(ipFilter{dev: dev}); err != nil {
		return err
	}
	members := map[string]bool{}
	if master != "" {
		taken, _, err := o.linksOf(ipFilter{master: master})
		if err != nil {
			return err
		}
		for _, l := range taken {
			members[l.Name] = true
		}
	}
	rows, err := here[ipNeighbor](o.ctx, o.m, "neighbors", "ORDER BY family, ifindex")
	if err != nil {
		return err
	}
	for _, n := range rows {
		addr, err := netip.ParseAddr(n.Addr)
		if err != nil {
			return err
		}
		if !o.wants(n.Family) || n.Proxy != proxy || dev != "" && n.Dev != dev || master != "" && !members[n.Dev] || to.IsValid() && !to.Masked().Contains(addr) {
			continue
		}
		if !proxy && !anyState && !n.has("extern_learn") && (len(states) == 0 && (n.State == "NOARP" || n.State == "NONE") ||
			len(states) > 0 && !slices.ContainsFunc(states, func(s string) bool { return s == n.State || n.has(s) })) {
			continue
		}
		o.open("", '{')
		if o.brief {
			o.put("dst", "%-39s ", n.Addr)
			if dev == "" {
				o.put("dev", "%-16s ", n.Dev)
			}
			o.some("lladdr", "%s", n.MAC)
			o.text("\n")
			o.close('}')
			continue
		}
		o.put("dst", "%s ", n.Addr)
		if dev == "" && n.Dev != "" {
			o.put("dev", "dev %s ", n.Dev)
		}
		o.some("lladdr", "lladdr %s ", n.MAC)
		for _, flag := range []string{"router", "proxy", "managed", "extern_learn", "offload"} {
			if n.has(flag) || flag == "proxy" && n.Proxy {
				o.text("%s ", flag)
				o.value(flag, nil)
			}
		}
		if n.State != "" {
			o.text("%s ", n.State)
			o.value("state", []string{n.State})
		}
		o.text("\n")
		o.close('}')
	}
	return nil
}
