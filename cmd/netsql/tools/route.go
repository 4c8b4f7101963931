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
			var more int
			var families []string
			f.BoolVarP(&table.numeric, "numeric", "n", false, "addresses, not names")
			f.BoolVarP(&table.symbolic, "symbolic", "N", false, "names of the hardware, which does as -n")
			f.CountVarP(&more, "extend", "e", "the columns of netstat -r; twice all columns")
			familyFlags(f, &families, "family")
			f.BoolVarP(&table.fib, "fib", "F", false, "the forwarding table; it is printed without this as well")
			f.BoolVarP(&table.cache, "cache", "C", false, "the routing cache, which Linux no longer has since 3.6")
			f.BoolVarP(new(bool), "verbose", "v", false, "tell more of errors, which changes nothing here")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				if len(words) > 0 {
					return &UnknownOptionError{Tool: "route", Option: words[0], Instead: "a recording changes no routes; netsql route -n shows them, and SELECT * FROM route_changes when they changed"}
				}
				asked, err := familiesOf(families)
				if err != nil {
					return err
				}
				table.columns = []routeColumns{routeMetric, routeMetrics, routeAll}[min(more, 2)]
				return table.print(ctx, m, asked, w)
			}
		},
		instead: map[string]string{"-V": "netsql version", "--version": "netsql version"},
	}
}

// familyFlags declares the options that name families of addresses. Their order is kept: the tables of routes are printed in it.
func familyFlags(f *pflag.FlagSet, families *[]string, long string) {
	family := func(name string) func(string) error {
		return func(string) error { *families = append(*families, name); return nil }
	}
	f.BoolFuncP("inet", "4", "IPv4", family("inet"))
	f.BoolFunc("ip", "IPv4", family("inet"))
	f.BoolFuncP("inet6", "6", "IPv6", family("inet6"))
	f.FuncP(long, "A", "a `FAMILY`: inet or inet6, parted by commas", func(text string) error { *families = append(*families, text); return nil })
}

// familiesOf are the families that are named, each by one of its names.
func familiesOf(named []string, more ...string) (families []string, err error) {
	for name := range strings.SplitSeq(strings.Join(named, ","), ",") {
		switch {
		case name == "":
		case slices.Contains([]string{"inet", "ip", "ipv4", "tcpip"}, name):
			families = append(families, "inet")
		case slices.Contains([]string{"inet6", "ip6", "ipv6"}, name):
			families = append(families, "inet6")
		case slices.Contains(more, name):
			families = append(families, name)
		default:
			return nil, usagef("-A %s: the families are %s", name, strings.Join(append([]string{"inet", "inet6"}, more...), ", "))
		}
	}
	return families, nil
}

// routeColumns are the columns of a table of IPv4 routes besides where they lead.
type routeColumns int

const (
	routeMetrics routeColumns = iota // MSS, window and RTT: netstat -r
	routeMetric                      // metric: route
	routeAll
)

// columnsOfRoutes are their headings.
var columnsOfRoutes = [...]string{
	"Flags   MSS Window  irtt Iface\n", "Flags Metric Ref    Use Iface\n", "Flags Metric Ref    Use Iface    MSS   Window irtt",
}

// A routeTable is how routes are printed, by route and netstat -r (net-tools, lib/inet_gr.c and inet6_gr.c).
type routeTable struct {
	columns    routeColumns
	numeric    bool // no names of hosts
	symbolic   bool // which does the same
	fib, cache bool
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

func (t routeTable) print(ctx context.Context, m *Moment, families []string, w io.Writer) error {
	if len(families) == 0 {
		families = []string{"inet"}
	}
	t.fib = t.fib || !t.cache
	t.numeric = t.numeric || t.symbolic
	for _, family := range families {
		print, six := t.print4, family == "inet6"
		if six {
			print = t.print6
		}
		if t.fib {
			if err := print(ctx, m, w); err != nil {
				return err
			}
		}
		if t.cache {
			t.printCache(six, w)
		}
	}
	return nil
}

// printCache prints the headings of the cache of routes. Linux has no other lines for it since 3.6.
func (t routeTable) printCache(six bool, w io.Writer) {
	if six {
		fmt.Fprint(w, "Kernel IPv6 routing cache\n", columnsOfRoutes6)
		return
	}
	columns := columnsOfRoutes[t.columns]
	if t.columns == routeAll {
		columns += "  TOS HHRef HHUptod     SpecDst\n"
	}
	fmt.Fprint(w, "Kernel IP routing cache\nSource          Destination     Gateway         ", columns)
}

// print4 prints the main table, of a route with several next hops the first, as /proc/net/route has it.
func (t routeTable) print4(ctx context.Context, m *Moment, w io.Writer) error {
	rows, err := here[routeRow](ctx, m, "routes", "AND family = 4 AND table_id = 254 AND type NOT IN ('broadcast', 'multicast')")
	if err != nil {
		return err
	}
	columns := columnsOfRoutes[t.columns]
	if t.columns == routeAll {
		columns += "\n"
	}
	fmt.Fprint(w, "Kernel IP routing table\nDestination     Gateway         Genmask         ", columns)
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
			fmt.Fprintf(w, "%-6d %-2d %7d %s\n", r.Metric, 0, 0, dev)
		case rejects:
			fmt.Fprintf(w, "%-6d %-3s %6d %-6.6s   %-5s %-6s %s\n", r.Metric, "-", 0, dev, "-", "-", "-")
		default:
			fmt.Fprintf(w, "%-6d %-3d %6d %-6.6s   %-5d %-6d %d\n", r.Metric, 0, 0, dev, r.mss(), r.Window, r.RTT)
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
	case dst.Bits() == 0:
		return "default"
	case dst.Addr().IsUnspecified():
		return addr
	case dst.IsSingleIP():
		return m.Names.Host(ctx, addr)
	default:
		return m.Names.Network(ctx, addr)
	}
}
