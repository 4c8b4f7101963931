package tools

import (
	"bufio"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// host reads an address with a port, either of which may be missing, as ss does.
func (p *ssParser) host(word, value string) (hostCondition, error) {
	c := hostCondition{remote: word == "dst" || word == "dport", port: -1}
	isPort := word == "sport" || word == "dport"
	family := p.prefer
	for _, f := range []struct {
		prefix string
		family ssFamily
	}{{"unix:", ssFamilyUnix}, {"link:", ssFamilyPacket}, {"netlink:", ssFamilyNetlink}, {"vsock:", ssFamilyVsock}, {"inet:", ssFamily4}, {"inet6:", ssFamily6}} {
		if rest, ok := strings.CutPrefix(value, f.prefix); ok {
			value, family = rest, f.family
			break
		}
	}
	if family != 0 {
		p.only, p.prefer = family, family
	}
	wrong := func() (hostCondition, error) {
		return c, usagef("%s %s is no address or port: such are 10.0.0.0/8, 10.0.0.1:443, [fd00::1]:443, fd00::/8 and :443", word, value)
	}
	addr, port := value, ""
	switch family {
	case ssFamilyUnix:
		c.pattern = &value
		return c, nil
	case ssFamilyPacket, ssFamilyNetlink, ssFamilyVsock:
		if isPort {
			port = strings.TrimPrefix(value, ":")
			addr = ""
		} else {
			addr, port, _ = strings.Cut(value, ":")
		}
		if port != "" && port != "*" {
			number, err := strconv.ParseInt(port, 0, 32)
			switch {
			case err == nil:
			case family == ssFamilyPacket:
				var ok bool
				if number, ok = p.device(port); !ok {
					return wrong()
				}
			case family == ssFamilyNetlink && port == "kernel":
			default:
				return wrong()
			}
			c.port = number
		}
		if addr != "" && addr != "*" {
			number, err := strconv.ParseInt(addr, 0, 64)
			switch {
			case err == nil:
			case family == ssFamilyPacket:
				if number = ethernetProtocol(addr); number < 0 {
					return wrong()
				}
			case family == ssFamilyNetlink:
				if number = netlinkProtocol(addr); number < 0 {
					return wrong()
				}
			default:
				return wrong()
			}
			prefix := ssPrefix{bits: 32}
			littleEndian(&prefix.bytes, number)
			c.prefix = []ssPrefix{prefix}
		}
		return c, nil
	}
	switch {
	case isPort:
		addr, port = "", value
	case strings.HasPrefix(value, "["):
		inside, rest, ok := strings.Cut(value[1:], "]")
		if !ok {
			return wrong()
		}
		addr, port = inside, rest
	case strings.HasPrefix(value, "*"):
		addr, port = "", value[1:]
	default:
		from := max(strings.IndexByte(value, '/'), 0)
		if i := strings.LastIndexByte(value[from:], ':'); i >= 0 {
			addr, port = value[:from+i], value[from+i:]
		}
	}
	if port = strings.TrimPrefix(port, ":"); port != "" && port[0] != '*' {
		number, err := strconv.ParseInt(port, 0, 32)
		if err != nil {
			if number, err = p.service(port); err != nil {
				return c, err
			}
		}
		c.port = number
	}
	if isPort || addr == "" || addr[0] == '*' {
		return c, nil
	}
	switch addr {
	case "default", "any", "all":
		c.family = family & (ssFamily4 | ssFamily6)
		return c, nil
	}
	if family == ssFamilyTIPC || family == ssFamilyXDP { // of which ss reads addresses as it reads those of hosts
		ip, ok := addressOf(addr)
		if !ok || strings.Trim(addr, "0123456789.") != "" {
			return wrong()
		}
		c.prefix = []ssPrefix{prefixOf(ip, ip.BitLen())}
		return c, nil
	}
	text, bits, has := strings.Cut(addr, "/")
	ip, ok := addressOf(text)
	if !ok {
		found := p.hosts(addr)
		for _, ip := range found {
			if f := familyOf(ip); family == 0 || f == family {
				c.family, c.prefix = f, append(c.prefix, prefixOf(ip, ip.BitLen()))
			}
		}
		if len(c.prefix) == 0 {
			return c, usagef("%s %s: %q is no address, and no name of one in /etc/hosts; an IPv6 address stands in brackets, [fd00::1]", word, value, addr)
		}
		return c, nil
	}
	if c.family = familyOf(ip); family != 0 && family != c.family {
		return wrong()
	}
	length := ip.BitLen()
	if has {
		if length, ok = maskBits(bits, ip.BitLen()); !ok {
			return wrong()
		}
	}
	if length > 0 {
		c.prefix = []ssPrefix{prefixOf(ip, length)}
	}
	return c, nil
}

func familyOf(ip netip.Addr) ssFamily {
	if ip.Is4() {
		return ssFamily4
	}
	return ssFamily6
}

func prefixOf(ip netip.Addr, bits int) ssPrefix {
	p := ssPrefix{bits: bits}
	copy(p.bytes[:], ip.AsSlice())
	return p
}

// addressOf reads an address; of an IPv4 one the last numbers may be missing.
func addressOf(text string) (netip.Addr, bool) {
	if strings.Contains(text, ":") {
		ip, err := netip.ParseAddr(text)
		return ip, err == nil && ip.Zone() == ""
	}
	var four [4]byte
	i := 0
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 0, 8)
		if err != nil || i == 4 {
			return netip.Addr{}, false
		}
		four[i] = byte(n)
		i++
	}
	return netip.AddrFrom4(four), true
}

func maskBits(text string, most int) (int, bool) {
	if n, err := strconv.ParseUint(text, 0, 8); err == nil {
		return int(n), int(n) <= most
	}
	mask, err := netip.ParseAddr(text)
	if err != nil || !mask.Is4() {
		return 0, false
	}
	bits, ended := 0, false
	for _, b := range mask.AsSlice() {
		for bit := 7; bit >= 0; bit-- {
			one := b>>bit&1 == 1
			if one && ended {
				return 0, false
			}
			ended = !one
			if one {
				bits++
			}
		}
	}
	return bits, true
}

func littleEndian(into *[16]byte, n int64) {
	for i := range 4 {
		into[i] = byte(n >> (8 * i))
	}
}

// service is the port of a name in /etc/services.
func (p *ssParser) service(name string) (int64, error) {
	ports := map[string]int64{}
	if f, err := os.Open("/etc/services"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			line, _, _ := strings.Cut(lines.Text(), "#")
			words := strings.Fields(line)
			for i, word := range words {
				if i == 1 || word != name {
					continue
				}
				number, proto, _ := strings.Cut(words[1], "/")
				port, err := strconv.ParseInt(number, 10, 32)
				if _, is := ports[proto]; !is && err == nil {
					ports[proto] = port
				}
			}
		}
	}
	udp, isUDP := ports["udp"]
	tcp, isTCP := ports["tcp"]
	isUDP, isTCP = isUDP && p.kinds&ssUDP != 0, isTCP && p.kinds&ssTCP != 0
	switch {
	case isUDP && isTCP && udp != tcp:
		return 0, usagef("the port %s is another of tcp than of udp: say -t or -u, or its number", name)
	case isUDP:
		return udp, nil
	case isTCP:
		return tcp, nil
	}
	return 0, usagef("%s is no port, and no name of one in /etc/services: dport = :443", name)
}

// hostsNamed are the addresses of a name in /etc/hosts.
func hostsNamed(n *Names, name string) (found []netip.Addr) {
	n.read()
	for addr, is := range n.hosts {
		if is != name {
			continue
		}
		if ip, err := netip.ParseAddr(addr); err == nil {
			found = append(found, ip)
		}
	}
	return found
}
