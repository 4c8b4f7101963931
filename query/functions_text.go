package query

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
)

// spanText gives a span in its two largest units, cut like a clock's: 3h12m,
// 2d3h, 45s; with decimals below ten seconds.
func spanText(seconds float64, between string) string {
	if math.IsNaN(seconds) || math.IsInf(seconds, 0) {
		return ""
	}
	sign := ""
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	decimal := func(n float64, unit string) string {
		return sign + strconv.FormatFloat(math.Floor(n*10)/10, 'f', -1, 64) + unit
	}
	switch {
	case seconds < 1e-6:
		return "0s"
	case seconds < 1e-3:
		return decimal(seconds*1e6, "µs")
	case seconds < 1:
		return decimal(seconds*1e3, "ms")
	case seconds < 10:
		return decimal(seconds, "s")
	}
	units := []struct {
		seconds float64
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}}
	for i, u := range units {
		if seconds < u.seconds && u.seconds > 1 {
			continue
		}
		text := fmt.Sprintf("%s%.0f%s", sign, math.Floor(seconds/u.seconds), u.name)
		if i+1 < len(units) {
			next := units[i+1]
			if n := math.Floor(math.Mod(seconds, u.seconds) / next.seconds); n > 0 {
				text += fmt.Sprintf("%s%.0f%s", between, n, next.name)
			}
		}
		return text
	}
	panic("unreachable: the last unit takes everything")
}

// bytesText gives a size in the unit that leaves one to four digits before the
// point.
func bytesText(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	// What would be printed as 1024.0 belongs to the next unit.
	for ; math.Abs(n) >= 1023.95 && i < len(units)-1 && (i > 0 || math.Abs(n) >= 1024); i++ {
		n /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}

// A netSet is a list of networks, all in unmapped form.
type netSet []netip.Prefix

var netWords = map[string]string{
	"private":   "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7",
	"loopback":  "127.0.0.0/8, ::1/128",
	"linklocal": "169.254.0.0/16, fe80::/10",
	"multicast": "224.0.0.0/4, ff00::/8",
	"any":       "0.0.0.0/32, ::/128",
}

func parseNets(list string) (netSet, error) {
	var set netSet
	for word := range strings.SplitSeq(list, ",") {
		word = strings.TrimSpace(word)
		if nets, ok := netWords[strings.ReplaceAll(strings.ToLower(word), "-", "")]; ok {
			more, _ := parseNets(nets)
			set = append(set, more...)
			continue
		}
		p, err := parseNet(word)
		if err != nil {
			return nil, fmt.Errorf("no network %s: try 10.0.0.0/8, fe80::/10, 192.0.2.7, private, loopback, linklocal, multicast or any",
				quoteWords(word))
		}
		set = append(set, p)
	}
	return set, nil
}

func parseNet(word string) (netip.Prefix, error) {
	if !strings.Contains(word, "/") {
		addr, err := netip.ParseAddr(word)
		if err != nil {
			return netip.Prefix{}, err
		}
		addr = addr.WithZone("").Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(word)
	if err != nil {
		return p, err
	}
	// ::ffff:10.0.0.0/104 is 10.0.0.0/8, since addresses are compared unmapped.
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return p, errors.New("a v4-mapped network is at least 96 bits long")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// contains reports whether an address lies in the set; not ok if it is no
// address. A zone (fe80::1%eth0) and the v4-mapped form make no difference.
func (s netSet) contains(text string) (in, ok bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return false, false
	}
	addr = addr.WithZone("").Unmap()
	for _, p := range s {
		if p.Contains(addr) {
			return true, true
		}
	}
	return false, true
}

func parsePattern(pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(pattern)
	var bad *syntax.Error
	if errors.As(err, &bad) {
		return nil, fmt.Errorf("no regular expression %s: %s", quoteWords(pattern), bad.Code)
	}
	return re, err
}

var (
	netSets  = parsed[netSet]{parse: parseNets}
	patterns = parsed[*regexp.Regexp]{parse: parsePattern}
)

// parsed remembers what was parsed: the same constant comes with every row.
type parsed[T any] struct {
	parse func(string) (T, error)
	mu    sync.Mutex
	known map[string]T
}

func (p *parsed[T]) get(text string) (T, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if v, ok := p.known[text]; ok {
		return v, nil
	}
	v, err := p.parse(text)
	if err != nil {
		return v, err
	}
	// A pattern taken from a column would fill the memory.
	if p.known == nil || len(p.known) >= 64 {
		p.known = make(map[string]T)
	}
	p.known[text] = v
	return v, nil
}
