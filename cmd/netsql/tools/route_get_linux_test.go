package tools

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"netsql/recorder/kerneltest"
)

// What the real ip says of a packet and the recording does not have: the user who asks, what was learnt of the path, and whether the router would say
// that there is a shorter way; of what comes in the realm, which is that of the way back as well. Which of several next hops is taken a hash tells: of those the weight is printed and any is right.
var (
	gotUID      = regexp.MustCompile(`uid \d+ `)
	gotRedirect = regexp.MustCompile(`<redirect> ?`)
	gotRealm    = regexp.MustCompile(`realms? \S+ `)
	gotWeight   = regexp.MustCompile(`weight \d+ `)
	gotSrc      = regexp.MustCompile(` src \S+|,"prefsrc":"[^"]*"`)
)

func forgetGot(text string) string {
	text = gotUID.ReplaceAllString(text, "")
	text = gotRedirect.ReplaceAllString(text, "")
	text = ipSeconds.ReplaceAllStringFunc(text, nearSeconds)
	return strings.TrimRight(gotWeight.ReplaceAllString(text, ""), "\n")
}

// gotJSON are the answers of -j, each written so that equal ones are alike.
func gotJSON(t *testing.T, text string) (all []string) {
	t.Helper()
	var answers []map[string]any
	if err := json.Unmarshal([]byte(text), &answers); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	for _, a := range answers {
		delete(a, "uid")
		if a["iif"] != nil && a["cache"] != nil {
			delete(a, "flow")
		}
		delete(a, "weight")
		if flags, ok := a["cache"].([]any); ok {
			a["cache"] = slices.DeleteFunc(flags, func(flag any) bool { return flag == "redirect" })
		}
		all = append(all, canonical(a))
	}
	return all
}

// answersOf are the answers of ours, of which each may be of several lines.
func answersOf(text string) []string {
	var all []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) && len(all) > 0 {
			all[len(all)-1] += "\n" + line
			continue
		}
		all = append(all, line)
	}
	return all
}

// flows are packets of every kind.
func (p *population) flows(n int) (lines []string) {
	four := func() string {
		switch p.rand.IntN(8) {
		case 0:
			return p.pick("10.1.2.3", "10.1.2.255", "192.0.2.200", "127.0.0.1", "127.3.4.5", "10.1.2.1", "10.200.0.1", "10.200.3.4")
		case 1:
			return fmt.Sprintf("%d.%d.%d.%d", 1+p.rand.IntN(223), p.rand.IntN(256), p.rand.IntN(256), p.rand.IntN(256))
		case 2:
			return p.pick("224.0.0.1", "239.1.2.3", "255.255.255.255", "0.0.0.0")
		}
		return fmt.Sprintf("10.%d.%d.%d", 20+p.rand.IntN(15), p.pick2(0, p.rand.IntN(256)), p.pick2(0, p.rand.IntN(256)))
	}
	six := func() string {
		switch p.rand.IntN(8) {
		case 0:
			return p.pick("fd00::5", "fd00::99", "2001:db8::7", "2001:db8:0:5::1", "::1", "fd20::1", "fd20::77")
		case 1:
			return fmt.Sprintf("2001:%x::%x", p.rand.IntN(65536), p.rand.IntN(65536))
		case 2:
			return p.pick("fe80::1", "ff02::1", "ff05::2")
		}
		return fmt.Sprintf("fd%02x:%x::%x", 16+p.rand.IntN(15), p.pick2(0, p.rand.IntN(65536)), p.rand.IntN(65536))
	}
	for range n {
		line, isFour := six(), false
		if p.sometimes(2) {
			line, isFour = four(), true
		}
		from := ""
		switch p.rand.IntN(4) {
		case 0:
			if isFour {
				from = p.pick("10.1.2.3", "192.0.2.200", "10.200.0.1", "127.0.0.1", "10.9.9.9")
			} else {
				from = p.pick("fd00::5", "2001:db8::7", "fd07::1", "fd07:0:1::5", "fd20::1")
			}
			line += " from " + from
		}
		switch p.rand.IntN(5) {
		case 0:
			line += " oif " + p.pick("eth0", "wlan0", "d0", "eth0p", "lo")
		case 1:
			if strings.HasPrefix(line, "ff") { // multicast of IPv6 that comes in is not answered for
				break
			}
			if isFour && from == "" {
				line += " from " + p.pick("10.1.2.77", "192.0.2.222", "10.25.1.1", "8.8.8.8", "10.1.2.3", "10.200.1.1", "10.1.2.255")
			}
			line += " iif " + p.pick("eth0", "wlan0", "eth0p")
		}
		if p.sometimes(3) {
			line += " mark " + p.pick("1", "2", "3", "0x10", "0x13")
		}
		if p.sometimes(4) {
			line += " ipproto " + p.pick("tcp", "udp") + p.pick("", " dport 443", " sport 80", " sport 1500 dport 99")
		}
		if p.sometimes(8) {
			line += " tos 0x10"
		}
		if p.sometimes(8) {
			line = "fibmatch " + line
		}
		if p.sometimes(8) {
			line += " uid " + p.pick("0", "5", "2000")
		}
		lines = append(lines, line)
	}
	return lines
}

func (p *population) pick2(a, b int) int {
	if p.sometimes(2) {
		return a
	}
	return b
}

// realRoute is what the real ip says, be it an error.
func realRoute(t *testing.T, words ...string) string {
	t.Helper()
	out, err := exec.Command("ip", words...).CombinedOutput()
	if _, isExit := err.(*exec.ExitError); err != nil && !isExit {
		t.Fatal(err)
	}
	return string(out)
}

func TestRouteGetIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			p.settled()
			p.policy()
			if seed%4 != 3 {
				p.rules()
			}
			for _, setting := range []string{"ipv4/conf/all/forwarding", "ipv6/conf/all/forwarding", "ipv4/conf/eth0/rp_filter", "ipv4/conf/all/rp_filter"} {
				value := p.pick("0", "1")
				if strings.HasSuffix(setting, "rp_filter") {
					value = p.pick("0", "0", "1", "2")
				}
				if err := os.WriteFile("/proc/sys/net/"+setting, []byte(value), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if p.sometimes(3) {
				p.ip("link set wlan0p down")
			}
			p.ip("neigh replace fd00::9 dev eth0 nud failed")
			r := recorded(t)
			kinds, vague := map[string]int{}, 0
			for _, line := range p.flows(150) {
				options := p.pick("", "", "", "-o ", "-d ", "-N ")
				words := strings.Fields(options + "route get " + line)
				if strings.Contains(line, ":") {
					p.ip("neigh replace fd00::9 dev eth0 nud failed") // the kernel forgets one that failed after a while
				}
				want := forgetGot(realRoute(t, words...))
				if strings.Contains(line, "iif") && !strings.Contains(line, "fibmatch") {
					want = gotRealm.ReplaceAllString(want, "")
				}
				got := answersOf(forgetGot(printed(t, r, "ip", words...)))
				if want == "RTNETLINK answers: Invalid argument" && got[0] == "RTNETLINK answers: Invalid cross-device link" {
					got[0] = want // since Linux 6.14 the kernel says no longer that rp_filter refused it
				}
				real, asJSON := want, false
				if p.sometimes(4) && !strings.Contains(want, "RTNETLINK") {
					words = append([]string{"-j"}, words...)
					real, got, asJSON = gotJSON(t, realRoute(t, words...))[0], gotJSON(t, printed(t, r, "ip", words...)), true
				}
				if !slices.ContainsFunc(got, func(one string) bool { return one == real }) {
					if strings.Contains(line, "iif") {
						t.Errorf("ip %s\n- %q\n+ %q", strings.Join(words, " "), real, got)
						continue
					}
					// Where the order of addresses tells the source, there is none.
					real = gotSrc.ReplaceAllString(real, "")
					vague++
					if gotSrc.MatchString(strings.Join(got, "")) || !slices.Contains(got, real) {
						t.Errorf("ip %s\n- %q\n+ %q", strings.Join(words, " "), real, got)
					}
				}
				kind := strings.Fields(want)[0]
				switch {
				case asJSON:
					kind = "json"
				case len(got) > 1:
					kind = "several"
				case strings.Contains(want, "RTNETLINK"):
					kind = want[len("RTNETLINK answers: "):]
				case strings.ContainsAny(kind, ".:"):
					kind = "unicast"
				}
				kinds[kind]++
			}
			t.Log(kinds, vague, "without a source address")
			if t.Failed() {
				t.Log(kerneltest.Command(t, "ip", "rule"), kerneltest.Command(t, "ip", "-6", "rule"), kerneltest.Command(t, "ip", "route", "show", "table", "all"))
			}
		})
	}
}
