package tools

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

const columnsOfRoutes6 = "Destination                    Next Hop                   Flag Met Ref  Use If\n"

// print6 prints the tables main and local, as /proc/net/ipv6_route has them, but for the empty entries that the kernel keeps for itself. How many
// use a route the kernel tells nobody but that file.
func (t routeTable) print6(ctx context.Context, m *Moment, w io.Writer) error {
	rows, err := here[routeRow](ctx, m, "routes", "AND family = 6")
	if err != nil {
		return err
	}
	known, err := aboutRoutes6(ctx, m)
	if err != nil {
		return err
	}
	fmt.Fprint(w, "Kernel IPv6 routing table\n", columnsOfRoutes6)
	for _, r := range rows {
		for _, hop := range r.hops() {
			flags := known.flags(&r, hop)
			dst, gateway := r.Dst, "::"
			if hop.Gateway != "" {
				gateway = hop.Gateway
			}
			if !t.numeric {
				dst, gateway = t.names6(ctx, m, dst), t.names6(ctx, m, gateway)
			}
			fmt.Fprintf(w, "%-30s %-26s %-4s %-3d %-3s %4s %s\n", dst, gateway, flags, r.Metric, "-", "-", hop.Dev)
		}
	}
	return nil
}

// hops are the routes of a route with several next hops, one for each.
func (r routeRow) hops() []routeRow {
	if r.NextHops == "" {
		return []routeRow{r}
	}
	var all []routeRow
	for hop := range strings.SplitSeq(r.NextHops, ";") {
		one := r
		one.NextHops, one.Gateway = hop, ""
		one.firstHop()
		all = append(all, one)
	}
	return all
}

func (t routeTable) names6(ctx context.Context, m *Moment, text string) string {
	addr, bits, _ := strings.Cut(text, "/")
	name := m.Names.Host(ctx, addr)
	if addr == "::" {
		name = "[::]"
	}
	if bits != "" {
		name += "/" + bits
	}
	return name
}

// knownRoutes6 is what tells the flags of IPv6 routes, of which netlink tells less than /proc/net/ipv6_route.
type knownRoutes6 struct {
	loopback  map[string]bool // interfaces that are one
	advertise map[string]bool // interfaces on which the kernel itself obeys router advertisements
	addresses []addressOfRoute6
}

type addressOfRoute6 struct {
	Dev   string `col:"dev"`
	Addr  string `col:"addr"`
	Flags string `col:"flags"`
}

func aboutRoutes6(ctx context.Context, m *Moment) (*knownRoutes6, error) {
	links, err := here[struct {
		Dev   string `col:"name"`
		Flags string `col:"flags"`
	}](ctx, m, "interfaces", "")
	if err != nil {
		return nil, err
	}
	settings, err := settingsOfLinks(ctx, m)
	if err != nil {
		return nil, err
	}
	k := &knownRoutes6{loopback: map[string]bool{}, advertise: map[string]bool{}}
	for _, link := range links {
		k.loopback[link.Dev] = slices.Contains(strings.Split(link.Flags, ","), "LOOPBACK")
		of := "net.ipv6.conf." + link.Dev
		// Unless the machine forwards; 2 is even then.
		k.advertise[link.Dev] = settings[of+".accept_ra"] != "0" && (settings[of+".accept_ra"] == "2" || settings[of+".forwarding"] != "1")
	}
	k.addresses, err = here[addressOfRoute6](ctx, m, "addresses", "AND family = 6")
	return k, err
}

// flags are the letters of a route through one of its next hops.
func (k *knownRoutes6) flags(r *routeRow, hop routeRow) string {
	dst, _ := netip.ParsePrefix(r.Dst)
	// The kernel takes a route to elsewhere through the loopback interface for one that rejects.
	rejects := slices.Contains([]string{"unreachable", "prohibit", "blackhole", "throw"}, r.Type) ||
		k.loopback[hop.Dev] && r.Type == "unicast" && !dst.Addr().IsLoopback()
	flags := "U"
	if rejects {
		flags = "!"
	}
	if hop.Gateway != "" {
		flags += "G"
	}
	advertised := k.advertised(r, hop.Dev, dst)
	if advertised && r.Protocol == "ra" && dst.Bits() == 0 {
		flags += "D"
	}
	if advertised {
		flags += "A"
	}
	if r.Expires {
		flags += "e"
	}
	if rejects || (r.Type == "local" || r.Type == "anycast") && r.Protocol == "kernel" {
		flags += "n"
	}
	return flags
}

// advertised tells whether the kernel made a route because a router advertised it. Where a program does that in its place, the kernel is told to obey no
// advertisements. The prefix of an address that was made by hand with a time to live looks like one that was advertised, but for that address.
func (k *knownRoutes6) advertised(r *routeRow, dev string, dst netip.Prefix) bool {
	if !k.advertise[dev] || r.Protocol != "ra" && (r.Protocol != "kernel" || !r.Expires) {
		return false
	}
	if r.Protocol == "ra" {
		return true
	}
	given := false
	for _, a := range k.addresses {
		if addr, err := netip.ParseAddr(a.Addr); err == nil && a.Dev == dev && dst.Contains(addr) {
			if strings.Contains(a.Flags, "mngtmpaddr") { // which the kernel makes of an advertised prefix
				return true
			}
			given = true
		}
	}
	return !given
}
