package tools

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"
)

// arpOptions are those of arp that show entries.
type arpOptions struct {
	numeric, bsd, linux, verbose bool
	dev, hardware, family        string
}

func arp() Tool {
	return Tool{
		Name: "arp", Args: "[-n] [-a] [-e] [-v] [-i IF] [HOST]", Doc: "the table of IPv4 neighbours, as arp prints it", Like: "net-tools 2.10",
		Examples: []string{"netsql arp -n --at 03:14", "netsql arp -an -i eth0"},
		define: func(f *pflag.FlagSet) printer {
			var o arpOptions
			f.BoolVarP(&o.numeric, "numeric", "n", false, "addresses, not names")
			f.BoolVarP(&o.bsd, "all", "a", false, "a sentence for each, as BSD has it")
			f.BoolVarP(&o.linux, "linux", "e", false, "a line for each, in columns, even with -a")
			f.BoolVarP(&o.verbose, "verbose", "v", false, "how many entries there are")
			f.StringVarP(&o.dev, "device", "i", "", "only those of an `INTERFACE`")
			f.StringVarP(&o.hardware, "hw-type", "H", "", "only those of a `KIND` of hardware: ether")
			f.StringVarP(&o.family, "protocol", "A", "", "the `FAMILY`: inet")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				return o.print(ctx, m, words, w)
			}
		},
		rewrite: func(words []string) []string {
			out := make([]string, len(words))
			for i, word := range words {
				switch word { // the other names of the two
				case "-t":
					word = "-H"
				case "-p":
					word = "-A"
				}
				out[i] = word
			}
			return out
		},
		instead: map[string]string{
			"-d": "a recording changes nothing; SELECT * FROM neighbor_changes tells when entries went", "--delete": "a recording changes nothing; SELECT * FROM neighbor_changes tells when entries went",
			"-s": "a recording changes nothing; SELECT * FROM neighbor_changes tells when entries came", "--set": "a recording changes nothing; SELECT * FROM neighbor_changes tells when entries came",
			"-f": "a recording changes nothing; netsql arp prints the entries", "--file": "a recording changes nothing; netsql arp prints the entries",
			"-D": "it is for entries that are set, and a recording changes nothing", "--use-device": "it is for entries that are set, and a recording changes nothing",
			"-V": "netsql version", "--version": "netsql version",
		},
	}
}

func (o arpOptions) print(ctx context.Context, m *Moment, words []string, w io.Writer) error {
	switch {
	case len(words) > 1:
		return usagef("arp takes one host, not %q: netsql arp prints all", strings.Join(words, " "))
	case o.family != "" && o.family != "inet":
		return usagef("arp -A %s: it has IPv4 only, inet; netsql ip -6 neigh has the neighbours of IPv6", o.family)
	}
	host, addr := "", netip.Addr{}
	if len(words) == 1 {
		host = words[0]
		var err error
		if addr, err = netip.ParseAddr(host); err != nil {
			if addr, err = m.Names.addressOf(ctx, host); err != nil {
				return err
			}
		}
	}
	out := &ipOut{ctx: ctx, m: m}
	_, links, err := out.linksOf(ipFilter{})
	if err != nil {
		return err
	}
	kinds := map[string]string{}
	for i := range links {
		if kinds[links[i].Name] = links[i].hardware(); links[i].Type == "loopback" {
			kinds[links[i].Name] = "loop"
		}
	}
	// The kernel lists those of NOARP not at all (arp_seq_start of net/ipv4/arp.c).
	rows, err := here[ipNeighbor](ctx, m, "neighbors", "AND family = 4 AND (proxy = 1 OR state NOT IN ('NOARP', 'NONE')) ORDER BY proxy, ifindex")
	if err != nil {
		return err
	}
	shown := 0
	for _, n := range rows {
		if o.dev != "" && n.Dev != o.dev || addr.IsValid() && n.Addr != addr.String() || o.hardware != "" && kinds[n.Dev] != o.hardware {
			continue
		}
		if shown++; shown == 1 && (!o.bsd || o.linux) {
			fmt.Fprint(w, "Address                  HWtype  HWaddress           Flags Mask            Iface\n")
		}
		name := n.Addr
		if !o.numeric {
			name = m.Names.Host(ctx, n.Addr)
		}
		if o.bsd && !o.linux {
			fmt.Fprintln(w, n.sentence(name, kinds[n.Dev]))
		} else {
			fmt.Fprintln(w, n.line(name, kinds[n.Dev]))
		}
	}
	if o.verbose {
		fmt.Fprintf(w, "Entries: %d\tSkipped: %d\tFound: %d\n", len(rows), len(rows)-shown, shown)
	}
	switch {
	case shown > 0:
	case host != "" && !o.bsd:
		fmt.Fprintf(w, "%s (%s) -- no entry\n", host, addr)
	case host != "" || o.dev != "" || o.hardware != "":
		fmt.Fprintf(w, "arp: in %d entries no match found.\n", len(rows))
	}
	return nil
}

func (n *ipNeighbor) complete() bool {
	return !n.Proxy && n.MAC != "" && n.State != "INCOMPLETE" && n.State != "FAILED"
}

// line is that of arp_disp_2 (net-tools, arp.c).
func (n *ipNeighbor) line(name, kind string) string {
	flags := ""
	switch {
	case n.Proxy:
		kind, n.MAC, flags = "*", "<from_interface>", "MP"
	case !n.complete():
		kind, n.MAC = "", "(incomplete)"
	case n.State == "PERMANENT":
		flags = "CM"
	default:
		flags = "C"
	}
	return fmt.Sprintf("%-23.23s  %-8.8s%-20.20s%-22s%s", name, kind, n.MAC, flags, n.Dev)
}

// sentence is that of arp_disp_2 with -a.
func (n *ipNeighbor) sentence(name, kind string) string {
	if name == n.Addr {
		name = "?"
	}
	text := fmt.Sprintf("%s (%s) at ", name, n.Addr)
	switch {
	case n.Proxy:
		text += "<from_interface> PERM PUB "
	case !n.complete():
		text += "<incomplete> "
	case n.State == "PERMANENT":
		text += n.MAC + " [" + kind + "] PERM "
	default:
		text += n.MAC + " [" + kind + "] "
	}
	return text + "on " + n.Dev
}
