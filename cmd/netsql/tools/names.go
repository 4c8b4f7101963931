package tools

import (
	"cmp"
	"context"
	"iter"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Names are what addresses, ports and networks are called in the files of this machine, as the tools find them without -n. Name servers are asked
// only where that is wanted: they may answer otherwise than they would have then.
type Names struct {
	resolve   bool
	files     sync.Once
	hosts     map[string]string // by address
	networks  map[string]string // by address, without zeros at the end
	services  map[string]string // by port and protocol, such as 22/tcp
	protocols map[string]string // by number
	users     map[string]string // by number
	asked     map[string]string // what name servers said
}

func localNames(resolve bool) *Names { return &Names{resolve: resolve, asked: map[string]string{}} }

func (n *Names) read() {
	n.files.Do(func() {
		n.hosts, n.networks, n.services = map[string]string{}, map[string]string{}, map[string]string{}
		n.protocols, n.users = map[string]string{}, map[string]string{}
		each := func(path string, of map[string]string, key, name int) {
			for words := range wordsOf(path) {
				if len(words) > max(key, name) {
					if _, is := of[words[key]]; !is {
						of[words[key]] = words[name]
					}
				}
			}
		}
		each("/etc/hosts", n.hosts, 0, 1)
		each("/etc/networks", n.networks, 1, 0)
		each("/etc/services", n.services, 1, 0)
		each("/etc/protocols", n.protocols, 1, 0)
		each("/etc/passwd", n.users, 2, 0)
	})
}

// Host is the name of an address, or the address.
func (n *Names) Host(ctx context.Context, addr string) string {
	n.read()
	if name, ok := n.hosts[addr]; ok {
		return name
	}
	if !n.resolve || net.ParseIP(addr) == nil || net.ParseIP(addr).IsUnspecified() {
		return addr
	}
	name, ok := n.asked[addr]
	if !ok {
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		name = addr
		if names, err := net.DefaultResolver.LookupAddr(within, addr); err == nil && len(names) > 0 {
			name = strings.TrimSuffix(names[0], ".")
		}
		n.asked[addr] = name
	}
	return name
}

// Network is the name of a network, or its address.
func (n *Names) Network(ctx context.Context, addr string) string {
	n.read()
	short := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(addr, ".0"), ".0"), ".0")
	return cmp.Or(n.networks[addr], n.networks[short], addr)
}

// Port is the name of a port of tcp or udp, or its number.
func (n *Names) Port(port int64, proto string) string {
	n.read()
	number := strconv.FormatInt(port, 10)
	return cmp.Or(n.services[number+"/"+proto], number)
}

// Protocol is the name of a protocol of IP, or its number.
func (n *Names) Protocol(protocol int64) string { return n.ofNumber(protocol, &n.protocols) }

// User is the name of a user, or the number.
func (n *Names) User(uid int64) string { return n.ofNumber(uid, &n.users) }

func (n *Names) ofNumber(number int64, names *map[string]string) string {
	n.read()
	text := strconv.FormatInt(number, 10)
	return cmp.Or((*names)[text], text)
}

// UID is the number of a user, by the name or the number itself.
func (n *Names) UID(name string) (int64, bool) {
	if uid, err := strconv.ParseUint(name, 10, 32); err == nil {
		return int64(uid), true
	}
	n.read()
	for number, user := range n.users {
		if uid, err := strconv.ParseInt(number, 10, 64); err == nil && user == name {
			return uid, true
		}
	}
	return 0, false
}

// Service is the port that a name, or another name, of a service has with tcp or udp.
func (n *Names) Service(name, proto string) (int64, bool) {
	for words := range wordsOf("/etc/services") {
		if len(words) > 1 && slices.Contains(append(words[2:], words[0]), name) {
			if number, found := strings.CutSuffix(words[1], "/"+proto); found {
				port, err := strconv.ParseUint(number, 10, 16)
				return int64(port), err == nil
			}
		}
	}
	return 0, false
}

// Addrs are the addresses of a host: of a name those in the files, or what name servers say where that is wanted.
func (n *Names) Addrs(ctx context.Context, host string) (addrs []netip.Addr) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}
	}
	isHost := func(name string) bool { return strings.EqualFold(name, host) }
	for words := range wordsOf("/etc/hosts") {
		if addr, err := netip.ParseAddr(words[0]); err == nil && slices.ContainsFunc(words[1:], isHost) {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 && n.resolve {
		within, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		addrs, _ = net.DefaultResolver.LookupNetIP(within, "ip", host)
	}
	return addrs
}

// wordsOf are the words of each line of a file, without comments; in /etc/passwd they are parted by colons. A file that cannot be read has none.
func wordsOf(path string) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		text, _ := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "#")
			words := strings.Fields(line)
			if path == "/etc/passwd" {
				words = strings.Split(strings.TrimSuffix(line, "\n"), ":")
			}
			if len(words) > 0 && !yield(words) {
				return
			}
		}
	}
}

// addressOf is the IPv4 address of a host.
func (n *Names) addressOf(ctx context.Context, host string) (netip.Addr, error) {
	for _, addr := range n.Addrs(ctx, host) {
		if addr.Is4() {
			return addr, nil
		}
	}
	return netip.Addr{}, usagef("no address of %q is in /etc/hosts: give its address", host)
}
