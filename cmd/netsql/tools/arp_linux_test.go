package tools

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"netsql/recorder/kerneltest"
)

func TestArpIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			compare(t, comparison{tool: "arp", lines: []string{"", "-n", "-a", "10.1.1.1", "-v -n"}})
			p.arpEntries()
			compare(t, comparison{tool: "arp", lines: []string{
				"", "-n", "-a", "-e", "-an", "-a -n", "-e -n", "-v", "-v -n", "-a -v", "-i eth0", "-n -i wlan0", "-an -i wlan0", "-i lo", "-an -i nothing", "10.1.2.215", "-n 10.1.2.211", "-a 10.1.2.212", "10.9.9.9", "-a 10.9.9.9",
				"localhost", "-n localhost", "-a localhost", "-H ether -n", "-t ether", "-A inet -n", "-n -i eth0 192.0.2.215", "-v 10.1.2.213",
			}})
		})
	}
}

// arpLine is a line of arp with options that are drawn.
func (p *population) arpLine() string {
	var words []string
	for _, option := range [][]string{{"-n", "--numeric"}, {"-a", "--all"}, {"-e"}, {"-v", "--verbose"}, {"-i eth0", "-i wlan0", "-i lo", "-i nothing", "--device eth0"}, {"-H ether", "-t ether", "--hw-type ether"}, {"-A inet", "-p inet", "--protocol inet"}} {
		if p.sometimes(3) {
			words = append(words, p.pick(option...))
		}
	}
	if p.sometimes(4) {
		words = append(words, p.pick("10.1.2.210", "10.1.2.213", "10.1.2.217", "192.0.2.212", "10.9.9.9", "localhost", "127.0.0.1"))
	}
	p.rand.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	return strings.Join(words, " ")
}

func TestArpWithAnyOptionsIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			p.arpEntries()
			r := recorded(t)
			var c comparison
			equal := 0
			for range 40 {
				line := p.arpLine()
				words := strings.Fields(line)
				want, takes := tried(t, "arp", words...)
				got, err := run(t, r, "arp", words)
				if !takes || err != nil {
					t.Errorf("arp %s: the real one takes it: %v %q; ours: %v %q", line, takes, want, err, got)
					continue
				}
				if a, b := c.linesOf(want), c.linesOf(got); !slices.Equal(a, b) {
					t.Errorf("arp %s differs (- the real one, + netsql):\n%s", line, differing(a, b))
					continue
				}
				equal++
			}
			t.Log("equal: arp", equal)
		})
	}
}

// arpEntries are neighbours of every state that does not pass within the time of a test.
func (p *population) arpEntries() {
	p.link("eth0", "10.1.2.3/24", "fd00::5/64")
	p.link("wlan0", "192.0.2.200/26")
	p.ip("neigh add 127.0.0.1 lladdr 02:00:00:00:00:99 dev eth0")
	p.ip("neigh add fd00::77 lladdr 02:00:00:00:00:98 dev eth0")
	for i := range 20 {
		mac, state := fmt.Sprintf(" lladdr 02:00:00:00:00:%02x", i), p.pick("permanent", "stale", "noarp", "failed", "none")
		more := p.pick("", "extern_learn")
		if state == "failed" || state == "none" {
			mac, more = "", "extern_learn" // of which the kernel forgets none
		}
		dev, net := "eth0", "10.1.2"
		if p.sometimes(3) {
			dev, net = "wlan0", "192.0.2"
		}
		if p.sometimes(5) {
			p.ip(fmt.Sprintf("neigh add proxy %s.%d dev %s", net, 210+i, dev))
			continue
		}
		p.ip(fmt.Sprintf("neigh add %s.%d%s dev %s nud %s %s", net, 210+i, mac, dev, state, more))
	}
}
