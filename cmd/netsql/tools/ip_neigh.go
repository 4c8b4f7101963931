package tools

import (
	"net/netip"
	"slices"
	"strings"
)

// groups prints the multicast groups. Those of hardware addresses are not recorded.
func (o *ipOut) groups(words []string) error {
	_, words, err := o.shown("maddr", "multicast_group_changes", words)
	if err != nil {
		return err
	}
	if o.packet {
		return &UnknownOptionError{Tool: "ip", Option: "-0 maddr", Instead: "groups of hardware addresses are not recorded; netsql ip maddr has those of IPv4 and IPv6"}
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
	if err != nil {
		return err
	}
	for _, l := range links {
		first := true
		end := func() {
			if !first {
				o.close(']')
				o.close('}')
			}
		}
		for _, g := range rows {
			if g.Index != l.Index || !o.wants(g.Family) {
				continue
			}
			if o.oneline { // each has a line of its own
				end()
				first = true
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
		end()
	}
	return nil
}

// namespaces are those with a name. Their numbers for each other are not recorded.
func (o *ipOut) namespaces(words []string) error {
	if len(words) > 0 && monitorsNames(words[0]) {
		return o.namesMonitored()
	}
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
			to, err = o.prefix(word)
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
	members, err := o.membersOf(master)
	if err != nil {
		return err
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
		o.neighbor(&n, dev)
		o.close('}')
	}
	return nil
}

// membersOf are the names of the interfaces that belong to a bridge, a bond or a VRF.
func (o *ipOut) membersOf(master string) (map[string]bool, error) {
	members := map[string]bool{}
	if master == "" {
		return members, nil
	}
	if _, _, err := o.linksOf(ipFilter{dev: master}); err != nil { // it is there
		return nil, err
	}
	taken, _, err := o.linksOf(ipFilter{master: master})
	for _, l := range taken {
		members[l.Name] = true
	}
	return members, err
}

// neighbor prints a neighbour, without the interface where that was asked for.
func (o *ipOut) neighbor(n *ipNeighbor, dev string) {
	if o.brief {
		o.put("dst", "%-39s ", n.Addr)
		if dev == "" {
			o.put("dev", "%-16s ", n.Dev)
		}
		o.some("lladdr", "%s", n.MAC)
		o.text("\n")
		return
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
}
