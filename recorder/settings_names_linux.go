package recorder

// settingNames are the sysctls that are recorded, as sysctl(8) names them. What a kernel
// does not have is left out.
var settingNames = []string{
	// Limits of the machine.
	"fs.file-max", "fs.nr_open",
	"net.unix.max_dgram_qlen",

	// Queues and buffers of every protocol.
	"net.core.somaxconn", "net.core.netdev_max_backlog", "net.core.netdev_budget", "net.core.netdev_budget_usecs",
	"net.core.dev_weight", "net.core.default_qdisc", "net.core.optmem_max",
	"net.core.rmem_default", "net.core.rmem_max", "net.core.wmem_default", "net.core.wmem_max",
	"net.core.busy_poll", "net.core.busy_read", "net.core.rps_sock_flow_entries",

	// Ports.
	"net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ip_nonlocal_bind", "net.ipv6.ip_nonlocal_bind", "net.ipv6.bindv6only",

	// TCP: memory.
	"net.ipv4.tcp_mem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.tcp_moderate_rcvbuf",
	"net.ipv4.tcp_notsent_lowat", "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_adv_win_scale",

	// TCP: opening.
	"net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_syn_retries", "net.ipv4.tcp_synack_retries",
	"net.ipv4.tcp_abort_on_overflow", "net.ipv4.tcp_fastopen", "net.ipv4.tcp_migrate_req",

	// TCP: closing.
	"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_tw_reuse_delay",
	"net.ipv4.tcp_orphan_retries", "net.ipv4.tcp_rfc1337",

	// TCP: in between.
	"net.ipv4.tcp_retries1", "net.ipv4.tcp_retries2", "net.ipv4.tcp_rto_min_us", "net.ipv4.tcp_rto_max_ms",
	"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_congestion_control", "net.ipv4.tcp_available_congestion_control",
	"net.ipv4.tcp_allowed_congestion_control", "net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_no_metrics_save",
	"net.ipv4.tcp_timestamps", "net.ipv4.tcp_sack", "net.ipv4.tcp_dsack", "net.ipv4.tcp_window_scaling",
	"net.ipv4.tcp_ecn", "net.ipv4.tcp_mtu_probing", "net.ipv4.tcp_base_mss", "net.ipv4.tcp_min_snd_mss",
	"net.ipv4.tcp_reordering", "net.ipv4.tcp_recovery", "net.ipv4.tcp_early_retrans", "net.ipv4.tcp_frto",
	"net.ipv4.tcp_autocorking", "net.ipv4.tcp_limit_output_bytes", "net.ipv4.tcp_challenge_ack_limit",
	"net.ipv4.tcp_invalid_ratelimit", "net.ipv4.tcp_shrink_window",

	// UDP and multicast.
	"net.ipv4.udp_mem", "net.ipv4.udp_rmem_min", "net.ipv4.udp_wmem_min",
	"net.ipv4.igmp_max_memberships", "net.ipv4.igmp_max_msf", "net.ipv6.mld_max_msf",

	// IP: forwarding, fragments, path MTU.
	"net.ipv4.ip_forward", "net.ipv4.ip_default_ttl", "net.ipv4.ip_no_pmtu_disc", "net.ipv4.ip_forward_use_pmtu",
	"net.ipv4.ipfrag_high_thresh", "net.ipv4.ipfrag_time", "net.ipv6.ip6frag_high_thresh", "net.ipv6.ip6frag_time",
	"net.ipv4.icmp_echo_ignore_all", "net.ipv4.icmp_ratelimit", "net.ipv4.icmp_msgs_per_sec", "net.ipv6.icmp.ratelimit",
	"net.ipv4.fib_multipath_hash_policy", "net.ipv6.fib_multipath_hash_policy",
	"net.ipv4.route.min_pmtu", "net.ipv4.route.mtu_expires",
	"net.ipv6.route.max_size", "net.ipv6.route.gc_thresh",

	// Interfaces: what holds for all, and what a new one begins with.
	"net.ipv4.conf.all.forwarding", "net.ipv4.conf.default.forwarding",
	"net.ipv4.conf.all.rp_filter", "net.ipv4.conf.default.rp_filter",
	"net.ipv4.conf.all.accept_local", "net.ipv4.conf.all.route_localnet", "net.ipv4.conf.all.accept_redirects",
	"net.ipv4.conf.all.send_redirects", "net.ipv4.conf.all.log_martians", "net.ipv4.conf.all.src_valid_mark",
	"net.ipv4.conf.all.arp_accept", "net.ipv4.conf.all.arp_announce", "net.ipv4.conf.all.arp_filter",
	"net.ipv4.conf.all.arp_ignore", "net.ipv4.conf.all.arp_notify", "net.ipv4.conf.all.proxy_arp",
	"net.ipv4.conf.all.ignore_routes_with_linkdown", "net.ipv4.conf.default.ignore_routes_with_linkdown",
	"net.ipv6.conf.all.forwarding", "net.ipv6.conf.default.forwarding",
	"net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6",
	"net.ipv6.conf.all.accept_ra", "net.ipv6.conf.default.accept_ra", "net.ipv6.conf.all.proxy_ndp",
	"net.ipv6.conf.all.use_tempaddr", "net.ipv6.conf.default.use_tempaddr",

	// Neighbours.
	"net.ipv4.neigh.default.gc_thresh1", "net.ipv4.neigh.default.gc_thresh2", "net.ipv4.neigh.default.gc_thresh3",
	"net.ipv4.neigh.default.base_reachable_time_ms", "net.ipv4.neigh.default.gc_stale_time",
	"net.ipv4.neigh.default.unres_qlen_bytes",
	"net.ipv6.neigh.default.gc_thresh1", "net.ipv6.neigh.default.gc_thresh2", "net.ipv6.neigh.default.gc_thresh3",
	"net.ipv6.neigh.default.base_reachable_time_ms", "net.ipv6.neigh.default.gc_stale_time",

	// Connection tracking and bridges.
	"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets",
	"net.netfilter.nf_conntrack_expect_max", "net.netfilter.nf_conntrack_acct", "net.netfilter.nf_conntrack_checksum",
	"net.netfilter.nf_conntrack_generic_timeout",
	"net.netfilter.nf_conntrack_icmp_timeout", "net.netfilter.nf_conntrack_icmpv6_timeout",
	"net.netfilter.nf_conntrack_tcp_be_liberal", "net.netfilter.nf_conntrack_tcp_loose",
	"net.netfilter.nf_conntrack_tcp_timeout_established", "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
	"net.netfilter.nf_conntrack_tcp_timeout_close", "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
	"net.netfilter.nf_conntrack_tcp_timeout_fin_wait", "net.netfilter.nf_conntrack_tcp_timeout_last_ack",
	"net.netfilter.nf_conntrack_tcp_timeout_syn_recv", "net.netfilter.nf_conntrack_tcp_timeout_syn_sent",
	"net.netfilter.nf_conntrack_tcp_timeout_max_retrans", "net.netfilter.nf_conntrack_tcp_timeout_unacknowledged",
	"net.netfilter.nf_conntrack_udp_timeout", "net.netfilter.nf_conntrack_udp_timeout_stream",
	"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables", "net.bridge.bridge-nf-call-arptables",

	// MPTCP.
	"net.mptcp.enabled", "net.mptcp.add_addr_timeout", "net.mptcp.blackhole_timeout",
}
