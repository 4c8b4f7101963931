package tools

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// interfaceTable prints a line for each interface that is up; -a those that are down as well, -e as ifconfig does.
func (o netstatOptions) interfaceTable(ctx context.Context, m *Moment, w io.Writer) error {
	interfaces, err := configured(ctx, m)
	if err != nil {
		return err
	}
	if o.dev != "" {
		interfaces = slices.DeleteFunc(interfaces, func(i configuredInterface) bool { return i.Name != o.dev })
		if len(interfaces) == 0 {
			return noInterface(o.dev)
		}
	}
	fmt.Fprintln(w, "Kernel Interface table")
	if o.extend == 0 {
		fmt.Fprintln(w, "Iface             MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg")
	}
	for _, i := range interfaces {
		switch {
		case !o.all && o.dev == "" && !i.has("UP"):
		case o.extend > 0:
			i.block(w)
		default:
			i.line(w)
		}
	}
	return nil
}

type groupRow struct {
	Dev   string `col:"dev"`
	Users int64  `col:"users"`
	Addr  string `col:"addr"`
}

func (o netstatOptions) groupTable(ctx context.Context, m *Moment, w io.Writer) error {
	families := "4, 6"
	switch {
	case o.four && !o.six:
		families = "4"
	case o.six && !o.four:
		families = "6"
	}
	rows, err := here[groupRow](ctx, m, "multicast_groups", "AND family IN ("+families+") ORDER BY family, ifindex")
	if err != nil {
		return err
	}
	fmt.Fprint(w, "IPv6/IPv4 Group Memberships\nInterface       RefCnt Group\n--------------- ------ ---------------------\n")
	for _, r := range rows {
		addr := r.Addr
		if !o.numericHosts {
			addr = m.Names.Host(ctx, addr)
		}
		fmt.Fprintf(w, "%-15s %-6d %s\n", r.Dev, r.Users, addr)
	}
	return nil
}

// A masqueradedFlow is a connection whose source address is translated. Where its target is translated as well, it is the one that was meant.
type masqueradedFlow struct {
	Proto   string `col:"proto"`
	Src     string `col:"src_addr"`
	SrcPort int64  `col:"coalesce(src_port, 0)"`
	Dst     string `col:"dst_addr"`
	DstPort int64  `col:"coalesce(dst_port, 0)"`
	Port    int64  `col:"coalesce(reply_dst_port, 0)"`
}

// masqueradeTable prints what is masqueraded, of IPv4, as netstat did of kernels that had a file for it (net-tools, lib/masq_info.c). When an entry
// expires and how its sequence numbers are moved is not recorded.
func (o netstatOptions) masqueradeTable(ctx context.Context, m *Moment, w io.Writer) error {
	read, err := here[struct {
		Outcome string `col:"outcome"`
	}](ctx, m, "sources", "AND source = 'conntrack_flows' AND outcome NOT IN ('off', 'failed')")
	switch {
	case err != nil:
		return err
	case len(read) == 0:
		return usagef("netstat -M: connection tracking was not recorded at that moment; netsql record --conntrack records it")
	}
	rows, err := here[masqueradedFlow](ctx, m, "conntrack_flows", "AND family = 4 AND nat LIKE 'snat%'")
	if err != nil || len(rows) == 0 {
		return err
	}
	more := o.extend > 0
	fmt.Fprint(w, "IP masquerading entries\nprot   expire ")
	if more {
		fmt.Fprint(w, "   initseq delta prevd ")
	}
	fmt.Fprintln(w, "source               destination          ports")
	host := func(addr string) string {
		if o.numericHosts {
			return addr
		}
		return m.Names.Host(ctx, addr)
	}
	for _, r := range rows {
		fmt.Fprintf(w, "%-4s%9s ", r.Proto, "-")
		if more {
			fmt.Fprintf(w, "%10s %5s %5s ", "-", "-", "-")
		}
		port := func(n int64) string { return o.port(m, n, r.Proto) }
		fmt.Fprintf(w, "%-20s %-20s %s -> %s (%s)\n", host(r.Src), host(r.Dst), port(r.SrcPort), port(r.DstPort), port(r.Port))
	}
	return nil
}
