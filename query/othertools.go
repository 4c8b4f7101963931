package query

import (
	"fmt"
	"regexp"
	"strings"
)

// replayed are the tools that a shell may have by ShellConfig.Tool: a line that begins with one is no SQL.
var replayed = []string{"netstat", "ss", "ifconfig", "route", "lsof", "ip", "arp", "nstat", "tc", "why"}

// otherTools are the commands that fingers type, as far as the first words tell what they show, with the question that shows the same.
var otherTools = []struct {
	words   *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`^netstat\b.*(-\w*r|--route)`), "SELECT * FROM routes_now"},
	{regexp.MustCompile(`^netstat\b.*(-\w*i\b|--interfaces)`), "SELECT * FROM interface_counters_now"},
	{regexp.MustCompile(`^netstat\b.*(\s-\w*g|--groups)`), "SELECT dev, users, addr FROM multicast_groups_now"},
	{regexp.MustCompile(`^netstat\b.*(-\w*s\b|--statistics)`), "SELECT proto, name, value FROM protocol_counters_now WHERE value > 0"},
	{regexp.MustCompile(`^(netstat|ss)\b.*(-\w*x|--unix)`), "SELECT state, path, pid, comm FROM sockets_now WHERE proto = 'unix'"},
	{regexp.MustCompile(`^ss\b.*(-f\s*netlink|--family=netlink)`), "SELECT local_addr, local_port, netlink_groups, recv_q, drops, pid, comm FROM sockets_now WHERE proto = 'netlink'"},
	{regexp.MustCompile(`^ss\b.*(-f\s*vsock|--family=vsock|--vsock)`), "SELECT state, local_addr, local_port, remote_addr, remote_port, pid, comm FROM sockets_now WHERE proto = 'vsock'"},
	{regexp.MustCompile(`^ss\b.*(--mptcp|--sctp|--xdp)`), "SELECT proto, state, local_addr, local_port, remote_addr, remote_port, pid, comm FROM sockets_now WHERE proto IN ('mptcp', 'sctp', 'xdp')"},
	{regexp.MustCompile(`^(netstat|ss)\b.*(-\w*l|--listen)`), "SELECT proto, local_addr, local_port, pid, comm FROM sockets_now WHERE state = 'LISTEN' OR proto = 'udp'"},
	{regexp.MustCompile(`^(netstat|ss)\b`), "SELECT proto, recv_q, send_q, local_addr, local_port, remote_addr, remote_port, state, pid, comm FROM sockets_now WHERE proto NOT IN ('unix', 'netlink')"},
	{regexp.MustCompile(`^lsof\b`), "SELECT comm, pid, user, proto, local_addr, local_port, remote_addr, remote_port, state FROM sockets_now WHERE proto NOT IN ('unix', 'netlink')"},
	{regexp.MustCompile(`^ip\s+(-\S+\s+)*r(o|ou|out|oute)?\s.*\bcache\b`), "SELECT dst, gateway, dev, mtu, expires FROM route_exceptions_now"},
	{regexp.MustCompile(`^(ip\s+(-\S+\s+)*r(o|ou|out|oute)?|route)\b`), "SELECT dst, gateway, dev, metric, src, protocol FROM routes_now WHERE table_name = 'main'"},
	{regexp.MustCompile(`^ip\s+(-\S+\s+)*rule?\b`), "SELECT * FROM rules_now"},
	{regexp.MustCompile(`^ip\s+(-\S+\s+)*nexthop\b`), "SELECT * FROM nexthops_now"},
	{regexp.MustCompile(`^(ip\s+(-\S+\s+)*n\w*|arp)\b`), "SELECT addr, mac, dev, state FROM neighbors_now"},
	{regexp.MustCompile(`^ip\s+(-\S+\s+)*(m|ma\w*)\b`), "SELECT dev, users, addr FROM multicast_groups_now"},
	{regexp.MustCompile(`^ip\s+(-\S+\s+)*(a|addr|address)\b`), "SELECT dev, addr, prefix_len, scope FROM addresses_now"},
	{regexp.MustCompile(`^ethtool\b.*(\s-s\b|--statistics)`), "SELECT interface, name, value FROM nic_counters_now"},
	{regexp.MustCompile(`^ethtool\b.*(\s-[gl]\b|--show-(ring|channels))`), "SELECT name, rx_ring, rx_ring_max, tx_ring, tx_ring_max, channels FROM interfaces_now"},
	{regexp.MustCompile(`^ethtool\b.*(\s-i\b|--driver)`), "SELECT name, driver, driver_version, firmware, bus FROM interfaces_now"},
	{regexp.MustCompile(`^ethtool\b`), "SELECT name, speed_mbps, duplex, autoneg, carrier, driver FROM interfaces_now"},
	{regexp.MustCompile(`^(ip\s+(-\S+\s+)*l(i|in|ink)?|ifconfig)\b`), "SELECT name, operstate, mtu, mac FROM interfaces_now"},
	{regexp.MustCompile(`^tc\b`), "SELECT dev, kind, handle, parent, bytes_sent, dropped, overlimits, backlog_bytes FROM qdiscs_now"},
	{regexp.MustCompile(`^conntrack\s+(-l|--dump)\b`), "SELECT proto, src_addr, dst_addr, dst_port, nat, reply_src_addr, reply_dst_addr, state FROM conntrack_flows_now"},
	{regexp.MustCompile(`^(nft|iptables|ip6tables|ufw|firewall-cmd)\b`), "SELECT family, table_name, chains, rules, base_chains FROM firewall_now"},
	{regexp.MustCompile(`^nstat\b`), "SELECT name, value FROM protocol_deltas WHERE ts = at() AND value > 0"},
	{regexp.MustCompile(`^conntrack\b`), "SELECT * FROM conntrack_now"},
	{regexp.MustCompile(`^sysctl\b`), "SELECT name, value FROM settings_now"},
	{regexp.MustCompile(`^(lsmod|modinfo)\b`), "SELECT name, size, taints FROM modules_now"},
	{regexp.MustCompile(`^(ps|top)\b`), "SELECT pid, comm, user, fds, fd_limit FROM processes_now"},
	{regexp.MustCompile(`^show\s+tables\b`), ".tables"},
	{regexp.MustCompile(`^desc(ribe)?\s+(\w+)`), ".describe $2"},
	{regexp.MustCompile(`^use\s`), "nothing: every table is there"},
}

// otherTool says what to ask instead of a command of another tool; "": the text is none.
func otherTool(text string) string {
	text = strings.ToLower(strings.TrimRight(strings.TrimSpace(text), "; "))
	for _, tool := range otherTools {
		if at := tool.words.FindStringSubmatchIndex(text); at != nil {
			instead := string(tool.words.ExpandString(nil, tool.instead, text, at))
			name, _, _ := strings.Cut(text, " ")
			return fmt.Sprintf("%s is no SQL; here it is %s", name, instead)
		}
	}
	return ""
}
