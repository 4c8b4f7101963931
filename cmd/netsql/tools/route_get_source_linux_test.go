package tools

import (
	"os"
	"strings"
	"testing"

	"netsql/recorder/kerneltest"
)

// A route that leads elsewhere may change how the kernel looks at the source of what comes in: one with a realm, or a local one that was made by hand.
func TestRouteGetLooksAtTheSource(t *testing.T) {
	for name, route := range map[string]string{"none": "", "realm": "198.18.0.0/15 via 10.1.2.9 realm 5", "local": "local 198.51.100.1 dev lo"} {
		t.Run(name, func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, 1)
			p.link("eth0", "10.1.2.3/24")
			p.link("wlan0", "10.200.0.1/16")
			for setting, value := range map[string]string{"all/forwarding": "1", "all/rp_filter": "0", "eth0/rp_filter": "0"} {
				if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+setting, []byte(value), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if route != "" && !p.may("route add "+route) {
				kerneltest.NeedKernel(t, "this kernel has no realms")
			}
			words := strings.Fields("route get 10.200.3.4 from 10.1.2.255 iif eth0")
			want := realRoute(t, words...)
			if got := printed(t, recorded(t), "ip", words...); forgetGot(got) != gotRealm.ReplaceAllString(forgetGot(want), "") {
				t.Errorf("- %q\n+ %q", want, got)
			}
			if refused := strings.Contains(want, "Invalid"); refused != (route != "") {
				t.Errorf("it does not tell them apart: %q", want)
			}
		})
	}
}
