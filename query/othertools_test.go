package query

import (
	"strings"
	"testing"
)

// Who types what another tool wants is told what to ask, and that can be asked.
func TestOtherTools(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	for text, want := range map[string]string{
		"netstat -an": "sockets_now", "netstat -tulpn;": "LISTEN", "netstat -rn": "routes_now", "netstat -gn": "multicast_groups_now", "ip maddress show": "multicast_groups_now", "netstat -i": "interface_counters_now", "netstat -s": "protocol_counters_now",
		"ss -tan": "sockets_now", "ss -ltnp": "LISTEN", "ss -xl": "unix", "ip -6 route show cache": "route_exceptions_now", "ss -f netlink -a": "netlink_groups", "ss --vsock": "vsock", "ss --mptcp": "mptcp", "lsof -i :443": "sockets_now", "ip route": "routes_now", "ip -6 r": "routes_now", "route -n": "routes_now",
		"ip rule": "rules_now", "ip neigh": "neighbors_now", "arp -an": "neighbors_now", "ip a": "addresses_now", "ip -br addr": "addresses_now", "ip link": "interfaces_now", "ifconfig": "interfaces_now",
		"ethtool eth0": "autoneg", "ethtool -S eth0": "nic_counters_now", "ethtool --statistics eth0": "nic_counters_now", "ethtool -i eth0": "firmware", "ethtool -g eth0": "rx_ring", "ethtool -l eth0": "channels",
		"nstat -az": "protocol_deltas", "conntrack -S": "conntrack_now", "conntrack -L -n": "conntrack_flows_now", "sysctl -a": "settings_now", "tc -s qdisc show dev eth0": "qdiscs_now", "SHOW TABLES": ".tables", "DESCRIBE sockets": ".describe sockets", "ps aux": "processes_now",
	} {
		got := otherTool(text)
		if !strings.Contains(got, want) || !Finished(text) {
			t.Errorf("%s: %q, finished %v", text, got, Finished(text))
		}
		_, instead, _ := strings.Cut(got, "; here it is ")
		screened(t, r, 80, 24, instead)
		s, err := NewShell(r, ShellConfig{Out: &strings.Builder{}, Err: &strings.Builder{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Script(t.Context(), text); err == nil || err.Error() != got {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"SELECT 1", "", "routes", "ips", "WITH ss AS (SELECT 1) SELECT * FROM ss"} {
		if got := otherTool(text); got != "" {
			t.Errorf("%q: %s", text, got)
		}
	}
}
