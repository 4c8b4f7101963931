package query

import "strings"

// synonyms maps what netstat, ss, ip, tcpdump and habit call a thing to our
// names for it, the likeliest first. Suggest takes the first that exists where
// it looks.
var synonyms = parseSynonyms(`
local_port: sport src_port source_port lport port localport
remote_port: dport dst_port dest_port peer_port foreign_port rport remoteport destination_port port
local_addr: saddr src_addr source_addr src_ip source_ip laddr local_ip local_address local_host localaddr src source address addr ip
remote_addr: daddr dst_addr dest_addr dst_ip dest_ip raddr remote_ip remote_address remote_host remoteaddr foreign_address foreign_addr peer_addr peer_ip peer_address peer ip
recv_q: recvq recv_queue rx_queue rxq receive_queue
send_q: sendq send_queue tx_queue txq
proto: protocol netid
state: status st tcp_state
comm: command process_name program prog process name proc_name executable
cmdline: command_line cmd args argv cmd_line commandline
exe: binary path executable
user: username owner user_name
uid: user_id userid
pid: process_id tgid
ppid: parent parent_pid
ts: time timestamp when datetime date t now
dev: iface interface ifname nic device link oif netdev
dst: destination dest prefix network
gateway: gw via nexthop next_hop router
netns: ns namespace net_ns
inode: ino
bytes_sent: bytes_out tx sent bytes_acked
bytes_received: bytes_in rx received bytes_recv bytes_rcvd
tx_bytes: bytes_sent bytes_out tx
rx_bytes: bytes_received bytes_in rx
retransmits: retrans retransmissions retransmit retransmitted
rtt_ms: rtt latency ping
cwnd: snd_cwnd congestion_window
pmtu: mtu path_mtu
drops: dropped drop
rx_dropped: rx_drops rx_drop
tx_dropped: tx_drops tx_drop
autoneg: auto_negotiation autonegotiation negotiated
firmware: firmware_version fw fw_version
bus: bus_info businfo pci
operstate: oper_state status state up
connections: connection conns conn
conntrack_flows: flows flow nat masquerade snat dnat nf_conntrack netflow
sockets: socket connections connection conns conn netstat ss tcp udp sock inet_diag established lsof
processes: process procs proc ps tasks task pids programs
routes: route ip_route routing routing_table fib
interfaces: interface links link nics nic devices ifconfig ip_link netdev
interface_counters: counters net_dev interface_stats traffic stats
nic_counters: ethtool nic_stats nic_statistics driver_stats ethtool_s
qdiscs: qdisc tc queueing_disciplines traffic_control shaping shaper
packet_drops: dropwatch kfree_skb drop_reasons dropped_packets packet_drop packetdrops
addresses: address addrs addr ips ifaddr ip_addr ip_addresses
route_exceptions: route_exception exception exceptions pmtu path_mtu path_mtus pathmtu route_cache redirect redirects
multicast_groups: multicast group groups mcast igmp mld igmp6 maddr maddress ip_maddress memberships
neighbors: neighbours neighbor neighbour neigh arp ndp arp_table
rules: rule ip_rule
firewall: firewalls nft nftables nf_tables iptables ip6tables ruleset rule_set netfilter ufw firewalld
nexthops: nexthop nhid nexthop_objects nexthop_groups
route_hops: hops hop multipath ecmp
protocol_counters: snmp nstat protocol_stats protocols counters statistics
closed_sockets: closed closes
modules: module lsmod kernel_modules kmod modprobe
settings: sysctl sysctls setting
gaps: gap
events: event log changes history timeline journal happenings
notes: note remark remarks annotation annotations comments
capabilities: capability caps privileges
namespaces: namespace netns nets
object: kind thing subject
what: description text detail summary
leaks: leak
median: med
percentile: quantile perc pct
.tables: .table .show
.describe: .desc .columns .d
.help: .h .?
.quit: .q .exit .bye
.mode: .format .output_mode
.around: .near .when .at_time .context .happened
.diff: .compare .changed .changes .differences .delta
.note: .remark .comment .annotate
`)

func parseSynonyms(table string) map[string][]string {
	meant := make(map[string][]string)
	for line := range strings.Lines(strings.TrimSpace(table)) {
		ours, theirs, _ := strings.Cut(line, ":")
		for _, word := range strings.Fields(theirs) {
			meant[word] = append(meant[word], ours)
		}
	}
	return meant
}
