package recorder

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// numberNames are the words that iproute2 prints for the numbers of routing.
type numberNames map[uint32]string

func (n numberNames) of(number uint32) string {
	if name, ok := n[number]; ok {
		return name
	}
	return strconv.FormatUint(uint64(number), 10)
}

// The names an administrator may add to, as they were when first needed.
var (
	tableNames = sync.OnceValue(func() numberNames {
		return readNames("rt_tables", numberNames{0: "unspec", 253: "default", 254: "main", 255: "local"})
	})
	scopeNames = sync.OnceValue(func() numberNames {
		return readNames("rt_scopes", numberNames{0: "global", 200: "site", 253: "link", 254: "host", 255: "nowhere"})
	})
	protocolNames = sync.OnceValue(func() numberNames {
		return readNames("rt_protos", numberNames{
			0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt",
			11: "zebra", 12: "bird", 13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 18: "keepalived", 42: "babel",
			99: "openr", 186: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
		})
	})
)

// routeTypes are not to be renamed.
var routeTypes = numberNames{
	0: "none", 1: "unicast", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole",
	7: "unreachable", 8: "prohibit", 9: "throw", 10: "nat", 11: "xresolve",
}

// readNames adds to names what the files of iproute2 say, the administrator's last.
func readNames(file string, names numberNames) numberNames {
	for _, dir := range []string{"/usr/lib/iproute2", "/usr/share/iproute2", "/etc/iproute2"} {
		paths, _ := filepath.Glob(filepath.Join(dir, file+".d", "*.conf"))
		slices.Sort(paths)
		for _, path := range append([]string{filepath.Join(dir, file)}, paths...) {
			f, err := os.Open(path)
			if err != nil {
				continue
			}
			parseNames(f, names)
			f.Close()
		}
	}
	return names
}

// parseNames adds the lines "number name" of r, the number being decimal or 0x….
func parseNames(r io.Reader, names numberNames) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) != 2 {
			continue
		}
		if number, err := strconv.ParseUint(words[0], 0, 32); err == nil {
			names[uint32(number)] = words[1]
		}
	}
}

// addrText is the address, or nothing when there is none.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// hardwareAddr writes a link-layer address as ip does: that of a tunnel is an IP address.
func hardwareAddr(b []byte) string {
	if len(b) == 4 || len(b) == 16 {
		addr, _ := netip.AddrFromSlice(b)
		return addr.String()
	}
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			text = append(text, ':')
		}
		text = append(text, digits[c>>4], digits[c&15])
	}
	return string(text)
}

// A flagName is a bit and the word for it.
type flagName struct {
	bit  uint32
	name string
}

// flagText joins the words of the bits that are set.
func flagText(flags uint32, names []flagName) string {
	text := ""
	for _, f := range names {
		if flags&f.bit != 0 {
			if text != "" {
				text += ","
			}
			text += f.name
		}
	}
	return text
}
