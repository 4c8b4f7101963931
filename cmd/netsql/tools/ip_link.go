package tools

import (
	"database/sql"
	"fmt"
	"net/netip"
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

// ipFilter is what ip address and ip link are asked for (ip/ipaddress.c).
type ipFilter struct {
	dev, scope, label, master, kind string
	up                              bool
	to                              netip.Prefix
	flags                           map[string]bool // which an address has to have, or not to have
}

func (o *ipOut) filter(object string, words []string) (f ipFilter, err error) {
	f.flags = map[string]bool{}
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
				f.to, err = o.prefix(text)
			}
		case object == "addr" && word == "permanent":
			f.flags["dynamic"] = false
		case object == "addr" && slices.Contains(ipAddressFlags, strings.TrimPrefix(word, "-")):
			name, not := strings.CutPrefix(word, "-")
			if name == "temporary" { // one bit of the kernel with two names
				name = "secondary"
			}
			f.flags[name] = !not
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
			o.linkBrief(&links[i], all, true)
			o.text("\n")
		} else {
			o.link(&links[i], all, true)
			if c, ok := counters[links[i].Index]; ok {
				o.text("%s", o.newline)
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
	if !o.ofIPv6 {
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
	if o.details && !o.ofIPv6 {
		o.detailsOf(l)
	}
	if (linkOnly || o.details) && !o.ofIPv6 {
		if l.Alias != "" {
			o.text("%s    ", o.newline)
			o.put("ifalias", "alias %s", l.Alias)
		}
	}
	if l.AltNames != "" && !o.ofIPv6 {
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
	if l.VLAN.Valid || l.VRFTable.Valid {
		o.open("info_data", '{')
		if l.VLAN.Valid {
			o.put("id", "id %d ", l.VLAN.Int64)
		}
		if l.VRFTable.Valid {
			o.put("table", "table %d ", l.VRFTable.Int64)
		}
		o.close('}')
	}
	if l.Tunnel != "" {
		o.text("%s ", l.Tunnel)
	}
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

func (o *ipOut) linkBrief(l *ipLink, all []ipLink, linkOnly bool) {
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
	if linkOnly {
		o.some("address", "%s ", l.address())
		o.linkFlags(l, all)
	}
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
	for i, part := range []struct {
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
		if i > 0 {
			o.text("%s", o.newline)
		}
		o.text("    %s", part.title)
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
