package tools

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

func ifconfig() Tool {
	return Tool{
		Name: "ifconfig", Args: "[-a] [-s] [IF]", Doc: "interfaces with their addresses and counters, as ifconfig prints them", Like: "net-tools 2.10",
		Examples: []string{"netsql ifconfig -a --at 03:14", "netsql ifconfig -s --live"},
		define: func(f *pflag.FlagSet) printer {
			var all, short bool
			f.BoolVarP(&all, "all", "a", false, "those that are down as well")
			f.BoolVarP(&short, "short", "s", false, "a line for each interface")
			f.BoolVarP(new(bool), "verbose", "v", false, "tell more of errors, which changes nothing here")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				if len(words) > 1 {
					return &UnknownOptionError{Tool: "ifconfig", Option: strings.Join(words, " "),
						Instead: "a recording changes no interfaces; SELECT * FROM interface_changes has when they were changed"}
				}
				interfaces, err := configured(ctx, m)
				if err != nil {
					return err
				}
				shown := slices.DeleteFunc(interfaces, func(i configuredInterface) bool {
					if len(words) == 1 {
						return i.Name != words[0]
					}
					return !all && !i.has("UP")
				})
				if len(words) == 1 && len(shown) == 0 {
					return noInterface(words[0])
				}
				if short {
					fmt.Fprintln(w, "Iface      MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg")
				}
				for _, i := range shown {
					if short {
						i.line(w)
					} else {
						i.block(w)
					}
				}
				return nil
			}
		},
	}
}

func noInterface(name string) error {
	return usagef("no interface %s at that moment: netsql ifconfig -a -s lists them", name)
}

type ifconfigRow struct {
	Name       string          `col:"i.name"`
	IfIndex    int64           `col:"i.ifindex"`
	Type       string          `col:"type"`
	MAC        string          `col:"mac"`
	MTU        int64           `col:"mtu"`
	Flags      string          `col:"flags"`
	TxQLen     sql.Null[int64] `col:"txqlen"`
	RxPackets  sql.Null[int64] `col:"rx_packets"` // NULL: no counters were recorded
	RxBytes    int64           `col:"coalesce(rx_bytes, 0)"`
	RxErrors   int64           `col:"coalesce(rx_errors, 0)"`
	RxDropped  int64           `col:"coalesce(rx_dropped, 0) + coalesce(rx_missed_errors, 0)"`
	RxFIFO     int64           `col:"coalesce(rx_fifo_errors, 0)"`
	RxFrame    int64           `col:"coalesce(rx_length_errors, 0) + coalesce(rx_over_errors, 0) + coalesce(rx_crc_errors, 0) + coalesce(rx_frame_errors, 0)"`
	TxPackets  int64           `col:"coalesce(tx_packets, 0)"`
	TxBytes    int64           `col:"coalesce(tx_bytes, 0)"`
	TxErrors   int64           `col:"coalesce(tx_errors, 0)"`
	TxDropped  int64           `col:"coalesce(tx_dropped, 0)"`
	TxFIFO     int64           `col:"coalesce(tx_fifo_errors, 0)"`
	Collisions int64           `col:"coalesce(collisions, 0)"`
	TxCarrier  int64           `col:"coalesce(tx_carrier_errors, 0) + coalesce(tx_aborted_errors, 0) + coalesce(tx_window_errors, 0) + coalesce(tx_heartbeat_errors, 0)"`
}

type ifconfigAddress struct {
	IfIndex   int64  `col:"ifindex"`
	Family    int64  `col:"family"`
	Addr      string `col:"addr"`
	PrefixLen int64  `col:"prefix_len"`
	Peer      string `col:"peer"`
	Label     string `col:"label"`
	Broadcast string `col:"broadcast"`
}

// A configuredInterface is an interface with its addresses, or an alias of one, which is the label of an IPv4 address. An alias has no counters.
type configuredInterface struct {
	ifconfigRow
	alias     bool
	addresses []ifconfigAddress
}

func (i *configuredInterface) has(flag string) bool {
	for f := range flagsOf(i.Flags) {
		if f == flag {
			return true
		}
	}
	return false
}

// configured are the interfaces and their aliases, in the order of ifconfig.
func configured(ctx context.Context, m *Moment) ([]configuredInterface, error) {
	rows, err := rowsOf[ifconfigRow](ctx, m, fmt.Sprintf("SELECT %s FROM interfaces i LEFT JOIN interface_counters c USING (ts, netns, ifindex) WHERE ts = at() AND netns = %d",
		strings.Join(columnsOf[ifconfigRow](), ", "), m.NetNS))
	if err != nil {
		return nil, err
	}
	addresses, err := here[ifconfigAddress](ctx, m, "addresses", "AND family IN (4, 6)")
	if err != nil {
		return nil, err
	}
	var all []configuredInterface
	for _, row := range rows {
		all = append(all, configuredInterface{ifconfigRow: row})
		own := len(all) - 1
		aliases := map[string]bool{row.Name: true}
		for _, a := range addresses {
			switch {
			case a.IfIndex != row.IfIndex:
			case a.Family == 6 || cmp.Or(a.Label, row.Name) == row.Name:
				all[own].addresses = append(all[own].addresses, a)
			case strings.HasPrefix(a.Label, row.Name+":") && !aliases[a.Label]:
				aliases[a.Label] = true
				alias := configuredInterface{ifconfigRow: row, alias: true, addresses: []ifconfigAddress{a}}
				alias.Name = a.Label
				all = append(all, alias)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b configuredInterface) int { return compareNames(a.Name, b.Name) })
	return all, nil
}

// compareNames puts eth2 before eth10.
func compareNames(a, b string) int {
	stemA, stemB := strings.TrimRight(a, "0123456789"), strings.TrimRight(b, "0123456789")
	return cmp.Or(strings.Compare(stemA, stemB), cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// ifconfigFlags are IFF_* in the order in which ifconfig names them, with its letters in ifconfig -s. It names those of the first 16 bits.
var ifconfigFlags = []struct {
	name string
	bit  int
}{
	{"UP", 1 << 0}, {"BROADCAST", 1 << 1}, {"DEBUG", 1 << 2}, {"LOOPBACK", 1 << 3}, {"POINTOPOINT", 1 << 4}, {"NOTRAILERS", 1 << 5}, {"RUNNING", 1 << 6},
	{"NOARP", 1 << 7}, {"PROMISC", 1 << 8}, {"ALLMULTI", 1 << 9}, {"SLAVE", 1 << 11}, {"MASTER", 1 << 10}, {"MULTICAST", 1 << 12}, {"DYNAMIC", 1 << 15},
}

// unnamedFlags count in the number of the flags only.
var unnamedFlags = map[string]int{"PORTSEL": 1 << 13, "AUTOMEDIA": 1 << 14}

func (i *configuredInterface) flagText() string {
	number := 0
	var names []string
	for _, f := range ifconfigFlags {
		if i.has(f.name) {
			number |= f.bit
			names = append(names, f.name)
		}
	}
	for name, bit := range unnamedFlags {
		if i.has(name) {
			number |= bit
		}
	}
	return fmt.Sprintf("flags=%d<%s>", number, strings.Join(names, ","))
}

// letters are the flags in netstat -i and ifconfig -s.
func (i *configuredInterface) letters() string {
	var text strings.Builder
	for _, flag := range []struct{ name, letter string }{
		{"ALLMULTI", "A"}, {"BROADCAST", "B"}, {"DEBUG", "D"}, {"LOOPBACK", "L"}, {"MULTICAST", "M"}, {"PROMISC", "P"}, {"NOTRAILERS", "N"}, {"NOARP", "O"},
		{"POINTOPOINT", "P"}, {"SLAVE", "s"}, {"MASTER", "m"}, {"RUNNING", "R"}, {"UP", "U"},
	} {
		if i.has(flag.name) {
			text.WriteString(flag.letter)
		}
	}
	return text.String()
}

// line prints an interface as netstat -i and ifconfig -s do.
func (i *configuredInterface) line(w io.Writer) {
	fmt.Fprintf(w, "%-15.15s %5d ", i.Name, i.MTU)
	switch {
	case i.alias:
		fmt.Fprintf(w, "%-56s", "     - no statistics available -")
	case !i.RxPackets.Valid:
		fmt.Fprintf(w, "%8s %6s %6s %-6s %8s %6s %6s %6s ", "-", "-", "-", "-", "-", "-", "-", "-")
	default:
		fmt.Fprintf(w, "%8d %6d %6d %-6d %8d %6d %6d %6d ", i.RxPackets.V, i.RxErrors, i.RxDropped, i.RxFIFO, i.TxPackets, i.TxErrors, i.TxDropped, i.TxFIFO)
	}
	fmt.Fprintln(w, i.letters())
}

// block prints an interface as ifconfig does. The interrupt and the memory of a card are not recorded: that line is left out.
func (i *configuredInterface) block(w io.Writer) {
	fmt.Fprintf(w, "%s: %s  mtu %d\n", i.Name, i.flagText(), i.MTU)
	i.addressLines(w)
	fmt.Fprintf(w, "        %s", i.hardware())
	if i.TxQLen.Valid {
		fmt.Fprintf(w, "  txqueuelen %d", i.TxQLen.V)
	}
	fmt.Fprintf(w, "  (%s)\n", i.hardwareTitle())
	if !i.alias && i.RxPackets.Valid {
		fmt.Fprintf(w, "        RX packets %d  bytes %d (%s)\n", i.RxPackets.V, i.RxBytes, binarySize(i.RxBytes))
		fmt.Fprintf(w, "        RX errors %d  dropped %d  overruns %d  frame %d\n", i.RxErrors, i.RxDropped, i.RxFIFO, i.RxFrame)
		fmt.Fprintf(w, "        TX packets %d  bytes %d (%s)\n", i.TxPackets, i.TxBytes, binarySize(i.TxBytes))
		fmt.Fprintf(w, "        TX errors %d  dropped %d overruns %d  carrier %d  collisions %d\n", i.TxErrors, i.TxDropped, i.TxFIFO, i.TxCarrier, i.Collisions)
	}
	fmt.Fprintln(w)
}

// addressLines prints the first IPv4 address, as the kernel tells no other to who asks for the one of an interface, and all of IPv6.
func (i *configuredInterface) addressLines(w io.Writer) {
	for _, a := range i.addresses {
		if a.Family != 4 {
			continue
		}
		fmt.Fprintf(w, "        inet %s  netmask %s", a.Addr, mask4(int(a.PrefixLen)))
		if i.has("BROADCAST") {
			fmt.Fprintf(w, "  broadcast %s", cmp.Or(a.Broadcast, "0.0.0.0"))
		}
		if i.has("POINTOPOINT") {
			fmt.Fprintf(w, "  destination %s", cmp.Or(a.Peer, a.Addr))
		}
		fmt.Fprintln(w)
		break
	}
	for _, a := range i.addresses {
		if a.Family == 6 {
			scope, word := wordOfScope6(a.Addr)
			fmt.Fprintf(w, "        inet6 %s  prefixlen %d  scopeid 0x%x<%s>\n", text6(a.Addr), a.PrefixLen, scope, word)
		}
	}
}

// wordOfScope6 is the scope of an IPv6 address as the kernel gives it in /proc/net/if_inet6, which is worked out from the address alone.
func wordOfScope6(text string) (int, string) {
	addr, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return 0, "global"
	case addr.IsLoopback():
		return 0x10, "host"
	case addr.IsLinkLocalUnicast():
		return 0x20, "link"
	case netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfe, 0xc0}), 10).Contains(addr):
		return 0x40, "site"
	case compatible4(addr):
		return 0x80, "compat,global"
	}
	return 0, "global"
}

// compatible4 tells an IPv6 address that is an IPv4 address behind 96 zeros.
func compatible4(addr netip.Addr) bool {
	b := addr.As16()
	return [12]byte(b[:12]) == [12]byte{} && (b[12] != 0 || b[13] != 0 || b[14] != 0 || b[15] > 1)
}

// text6 is an IPv6 address as the C library writes it, and ifconfig of one that stands for an IPv4 address only that.
func text6(text string) string {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return text
	}
	b := addr.As16()
	switch {
	case addr.Is4In6():
		return addr.Unmap().String()
	case compatible4(addr) && (b[12] != 0 || b[13] != 0):
		return "::" + netip.AddrFrom4([4]byte(b[12:])).String()
	}
	return text
}

// hardware is the address of the hardware behind the name of its kind, as ifconfig knows it. Tunnels have addresses of IP: ifconfig shows the bytes.
func (i *configuredInterface) hardware() string {
	switch i.Type {
	case "loopback":
		return "loop"
	case "ppp", "sit":
		return i.Type
	case "ipip", "vti":
		return "tunnel "
	}
	if strings.Count(i.MAC, ":") == 5 && len(i.MAC) == 17 {
		return "ether " + i.MAC
	}
	var bytes [16]byte
	if addr, err := netip.ParseAddr(i.MAC); err == nil {
		copy(bytes[:], addr.AsSlice())
	} else if raw, err := hex.DecodeString(strings.ReplaceAll(i.MAC, ":", "")); err == nil {
		copy(bytes[:], raw)
	}
	var text []string
	for _, b := range bytes {
		text = append(text, fmt.Sprintf("%02X", b))
	}
	return "unspec " + strings.Join(text, "-")
}

func (i *configuredInterface) hardwareTitle() string {
	kind, _, _ := strings.Cut(i.hardware(), " ")
	return map[string]string{
		"loop": "Local Loopback", "ether": "Ethernet", "ppp": "Point-to-Point Protocol", "sit": "IPv6-in-IPv4", "tunnel": "IPIP Tunnel", "unspec": "UNSPEC",
	}[kind]
}

// binarySize is a number of bytes with one digit behind the point that is cut off, not rounded. Of an EiB ifconfig takes a tenth as a whole number of bytes.
func binarySize(n int64) string {
	if n > 1<<60 {
		tenths := n / (1 << 60 / 10)
		return fmt.Sprintf("%d.%d EiB", tenths/10, tenths%10)
	}
	for i, unit := range []string{"PiB", "TiB", "GiB", "MiB", "KiB"} {
		if size := int64(1) << (50 - 10*i); n > size {
			return fmt.Sprintf("%d.%d %s", n/size, n%size*10/size, unit)
		}
	}
	return fmt.Sprintf("%d.0 B", n)
}
