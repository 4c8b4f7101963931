package tools

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

func route() Tool {
	return Tool{
		Name: "route", Args: "[-n] [-e|-ee] [-6]", Doc: "the routing table, as route prints it", Like: "net-tools 2.10",
		Examples: []string{"netsql route -n --at 03:14", "netsql route -6 -n"},
		define: func(f *pflag.FlagSet) printer {
			var table routeTable
			var six, four, cache bool
			var more int
			var family string
			f.BoolVarP(&table.numeric, "numeric", "n", false, "addresses, not names")
			f.CountVarP(&more, "extend", "e", "the columns of netstat -r; twice all columns")
			f.BoolVarP(&four, "inet", "4", false, "IPv4")
			f.BoolVarP(&six, "inet6", "6", false, "IPv6")
			f.StringVarP(&family, "family", "A", "", "a `FAMILY`: inet or inet6")
			f.BoolVarP(new(bool), "fib", "F", false, "the forwarding table, which it prints anyway")
			f.BoolVarP(&cache, "cache", "C", false, "the routing cache, which Linux no longer has since 3.6")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				if len(words) > 0 {
					return &UnknownOptionError{Tool: "route", Option: words[0], Instead: "a recording changes no routes; netsql route -n shows them, and SELECT * FROM route_changes when they changed"}
				}
				if err := oneFamily(family, &four, &six); err != nil {
					return err
				}
				table.columns = []routeColumns{routeMetric, routeMetrics, routeAll}[min(more, 2)]
				if cache {
					_, err := io.WriteString(w, "Kernel IP routing cache\nSource          Destination     Gateway         Flags Metric Ref    Use Iface\n")
					return err
				}
				return table.print(ctx, m, four || !six, six, w)
			}
		},
		instead: map[string]string{"-v": "it says nothing more of routes", "--version": "netsql version"},
	}
}

// oneFamily reads the name of a family of addresses.
func oneFamily(family string, four, six *bool) error {
	for name := range strings.SplitSeq(family, ",") {
		switch name {
		case "":
		case "inet", "ip", "ipv4":
			*four = true
		case "inet6", "ipv6":
			*six = true
		default:
			return usagef("-A %s: the families are inet and inet6", name)
		}
	}
	return nil
}

// routeColumns are the columns of a table of IPv4 routes besides where they lead.
type routeColumns int

const (
	routeMetrics routeColumns = iota // MSS, window and RTT: netstat -r
	routeMetric                      // metric: route
	routeAll
)

// A routeTable is how routes are printed, by route and netstat -r (net-tools, lib/inet_gr.c and inet6_gr.c).
type routeTable struct {
	columns routeColumns
	numeric bool
}

type routeRow struct {
	Dst      string `col:"dst"`
	Gateway  string `col:"gateway"`
	Dev      string `col:"dev"`
	Type     string `col:"type"`
	Protocol string `col:"protocol"`
	Flags    string `col:"flags"`
	NextHops string `col:"nexthops"`
	Metric   int64  `col:"metric"`
	TableID  int64  `col:"table_id"`
	MSS      int64  `col:"coalesce(advmss, 0)"`
	Window   int64  `col:"coalesce(window, 0)"`
	RTT      int64  `col:"coalesce(irtt_ms, 0)"`
	Expires  bool   `col:"expires IS NOT NULL"`
}

func (t routeTable) print(ctx context.Context, m *Moment, four, six bool, w io.Writer) error {
	if four {
		if err := t.print4(ctx, m, w); err != nil {
			return err
		}
	}
	if six {
		return t.print6(ctx, m, w)
	}
	return nil
}

// print4 prints the main table, of a route with several next hops the first, as /proc/net/route has it.
func (t routeTable) print4(ctx context.Context, m *Moment, w io.Writer) error {
	rows, err := here[routeRow](ctx, m, "routes", "AND family = 4 AND table_id = 254 AND type NOT IN ('broadcast', 'multicast')")
	if err != nil {
		return err
	}
	fmt.Fprint(w, "Kernel IP routing table\nDestination     Gateway         Genmask         ", []string{
		"Flags   MSS Window  irtt Iface\n", "Flags Metric Ref    Use Iface\n", "Flags Metric Ref    Use Iface    MSS   Window irtt\n"}[t.columns])
	for _, r := range rows {
		dst, err := netip.ParsePrefix(r.Dst)
		if err != nil {
			return err
		}
		r.firstHop()
		mask := mask4(dst.Bits())
		target, gateway, dev, flags := dst.Addr().String(), "0.0.0.0", r.Dev, "U"
		if !t.numeric {
			target = t.nameOf(ctx, m, dst)
		}
		if r.Gateway != "" {
			flags, gateway = "UG", r.Gateway
			if !t.numeric {
				gateway = m.Names.Host(ctx, r.Gateway)
			}
		}
		rejects := r.Type == "unreachable" || r.Type == "prohibit"
		if rejects {
			flags, gateway, dev = "!", "-", "-"
		}
		if dev == "" {
			dev = "*"
		}
		if dst.IsSingleIP() {
			flags += "H"
		}
		fmt.Fprintf(w, "%-15.15s %-15.15s %-15.15s %-5s ", target, gateway, mask, flags)
		switch {
		case t.columns == routeMetrics && rejects:
			fmt.Fprintf(w, "%5s %-5s %6s %s\n", "-", "-", "-", dev)
		case t.columns == routeMetrics:
			fmt.Fprintf(w, "%5d %-5d %6d %s\n", r.mss(), r.Window, r.RTT, dev)
		case t.columns == routeMetric && rejects:
			fmt.Fprintf(w, "%-6d %-2s %7d %s\n", r.Metric, "-", 0, dev)
		case t.columns == routeMetric:
			fmt.Fprintf(w, "%-6d %-2d %7d %s\n", r.shownMetric(), 0, 0, dev)
		case rejects:
			fmt.Fprintf(w, "%-6d %-3s %6d %-8.8s %-5s %-6s %s\n", r.Metric, "-", 0, dev, "-", "-", "-")
		default:
			fmt.Fprintf(w, "%-6d %-3d %6d %-8.8s %-5d %-6d %d\n", r.shownMetric(), 0, 0, dev, r.mss(), r.Window, r.RTT)
		}
	}
	return nil
}

// firstHop takes the first of several next hops: via GATEWAY dev NAME weight N; via …
func (r *routeRow) firstHop() {
	first, _, _ := strings.Cut(r.NextHops, ";")
	words := strings.Fields(first)
	for i := 0; i+1 < len(words); i++ {
		switch words[i] {
		case "via":
			r.Gateway = words[i+1]
		case "dev":
			r.Dev = words[i+1]
		}
	}
}

// mss is the largest segment with its headers, as the kernel prints it.
func (r *routeRow) mss() int64 {
	if r.MSS == 0 {
		return 0
	}
	return r.MSS + 40
}

// shownMetric is 0 of a route without an interface, whatever it has: the kernel prints no metric there.
func (r *routeRow) shownMetric() int64 { return r.Metric }

func mask4(bits int) string {
	mask := uint32(0xffffffff) << (32 - bits)
	if bits == 0 {
		mask = 0
	}
	return netip.AddrFrom4([4]byte{byte(mask >> 24), byte(mask >> 16), byte(mask >> 8), byte(mask)}).String()
}

// nameOf is the name of a destination: of a network, or of a host where the address is one.
func (t routeTable) nameOf(ctx context.Context, m *Moment, dst netip.Prefix) string {
	switch addr := dst.Addr().String(); {
	case dst.Bits() == 0 || addr == "0.0.0.0":
		return "default"
	case dst.IsSingleIP():
		return m.Names.Host(ctx, addr)
	default:
		return m.Names.Network(ctx, addr)
	}
}

// print6 prints the tables main and local, as /proc/net/ipv6_route has them, but for the empty entries that the kernel keeps for itself. How many
// use a route the kernel tells nobody but that file.
func (t routeTable) print6(ctx context.Context, m *Moment, w io.Writer) error {
	rows, err := here[routeRow](ctx, m, "routes", "AND family = 6")
	if err != nil {
		return err
	}
	fmt.Fprint(w, "Kernel IPv6 routing table\nDestination                    Next Hop                   Flag Met Ref  Use If\n")
	for _, r := range rows {
		for _, hop := range r.hops() {
			rejects := slices.Contains([]string{"unreachable", "prohibit", "blackhole", "throw"}, r.Type)
			flags := "U"
			if rejects {
				flags = "!"
			}
			if hop.Gateway != "" {
				flags += "G"
			}
			if r.Protocol == "ra" && strings.HasSuffix(r.Dst, "/0") {
				flags += "D"
			}
			if r.Protocol == "ra" || r.Protocol == "kernel" && r.Expires {
				flags += "A"
			}
			if r.Expires {
				flags += "e"
			}
			if rejects || r.Type == "local" || r.Type == "anycast" {
				flags += "n"
			}
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
