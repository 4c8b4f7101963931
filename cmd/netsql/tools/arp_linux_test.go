package tools

import (
	"fmt"
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
			p.link("eth0", "10.1.2.3/24", "fd00::5/64")
			p.link("wlan0", "192.0.2.200/26")
			p.ip("neigh add 127.0.0.1 lladdr 02:00:00:00:00:99 dev eth0")
			p.ip("neigh add fd00::77 lladdr 02:00:00:00:00:98 dev eth0")
			for i := range 20 {
				// None of these states passes within the time of a test.
				mac, state := fmt.Sprintf(" lladdr 02:00:00:00:00:%02x", i), p.pick("permanent", "stale", "noarp", "failed", "none")
				if state == "failed" || state == "none" {
					mac = ""
				}
				dev, net := "eth0", "10.1.2"
				if p.sometimes(3) {
					dev, net = "wlan0", "192.0.2"
				}
				if p.sometimes(5) {
					p.ip(fmt.Sprintf("neigh add proxy %s.%d dev %s", net, 210+i, dev))
					continue
				}
				p.ip(fmt.Sprintf("neigh add %s.%d%s dev %s nud %s %s", net, 210+i, mac, dev, state, p.pick("", "extern_learn")))
			}
			compare(t, comparison{tool: "arp", lines: []string{
				"", "-n", "-a", "-e", "-an", "-a -n", "-e -n", "-v", "-v -n", "-a -v", "-i eth0", "-n -i wlan0", "-an -i wlan0", "-i lo", "-an -i nothing", "10.1.2.215", "-n 10.1.2.211", "-a 10.1.2.212", "10.9.9.9", "-a 10.9.9.9",
				"localhost", "-n localhost", "-a localhost", "-H ether -n", "-t ether", "-A inet -n", "-n -i eth0 192.0.2.215", "-v 10.1.2.213",
			}})
		})
	}
}
