package store

// The recorded tables. A table stands after those it refers to.
//
// K is chosen by what a look-up reads and what standing still costs: the spans of K samples, and a row in K samples. At K =
// 50 all of 1,000 sockets are read in six milliseconds; those that move are not cut at any K. Tables that hardly change are
// cheap to read, and a longer one spares them rewriting. K may grow in a later version and must never shrink: recordings
// that were made with the longer spans would lose them from view.
var (
	// A program that several processes run, of which it is not known which one is meant, is a process without a pid: others
	// refer to it.
	Processes = showing("pid IS NOT NULL", resting(define[ProcessID, Process]("processes", "process", 120,
		"Processes while they hold sockets, or have used up 80 % of their file descriptors; the first of each network namespace; and for one sample a program that such a process runs next.")))
	Sockets = withSpans(define[SocketID, Socket]("sockets", "socket", 50,
		"Every tcp, udp, raw, udplite, packet, unix, netlink, mptcp and ping socket, and every vsock, xdp and sctp socket where the kernel has a dump of them (see capabilities): both ends, state, queues, owner, and what TCP knows of the path."))
	SocketOwners = define[SocketOwnerID, SocketOwner]("socket_owners", "socket_owner", 240,
		"Every process that has a socket open, where sockets shows only the first.")
	SocketCounts = resting(define[SocketCountID, SocketCount]("socket_counts", "socket_count", 120,
		"Number of sockets and queued bytes per process, protocol and state."))
	SocketTrends = resting(define[SocketCountID, SocketTrend]("socket_trends", "socket_trend", 240,
		"The numbers of socket_counts by themselves, which leaks reads."))
	TrafficTable = amounts(resting(define[TrafficID, Traffic]("traffic", "traffic_sum", 120,
		"What each process sent and received over TCP since the sample before, by user and interface; nothing in a sample is no row.")))
	Namespaces = define[NamespaceID, Namespace]("namespaces", "namespace", 240,
		"Network namespaces that are recorded: their names, containers and processes.")
	Interfaces = withStretches(define[InterfaceID, Interface]("interfaces", "interface", 240,
		"Network interfaces and their state, as ip link shows them."))
	InterfaceCountersTable = define[InterfaceID, InterfaceCounters]("interface_counters", "interface_counter", 60,
		"Bytes, packets, errors and drops of every interface since it was made.")
	// The driver does not say which of them count, and which go up and down.
	NICCounters = fromZero("from_zero", readBy("nic_counters", define[NICCounterID, NICCounter]("nic_counters", "nic_counter", 240,
		"Statistics of the drivers, as ethtool -S shows them: read once in 30 s, and where sources says kept, as they were last read. A row has what is or was not 0, at most 256 for an interface, errors and drops first (gaps says where there were more); not what one queue did, but for its errors and drops.")))
	// One of another kind that takes the handle of one that went counts from the beginning.
	Qdiscs = recounting(withChanges(define[QdiscID, Qdisc]("qdiscs", "qdisc", 60,
		"Queueing disciplines of the interfaces, and what each sent, holds back and dropped, as tc -s qdisc shows them; not noqueue, which counts nothing.")))
	Addresses = withStretches(define[AddressID, Address]("addresses", "address", 240,
		"IP addresses of the interfaces."))
	MulticastGroups = withChanges(define[MulticastGroupID, MulticastGroup]("multicast_groups", "multicast_group", 240,
		"Multicast groups that the interfaces have joined, as netstat -g and ip maddress show them; not groups of hardware addresses."))
	// An entry ages while it is used and while it is not, and one that cannot be found is looked for again and again.
	Neighbors = withStretches(withAgeing(ageing{
		column: "state",
		as:     "CASE WHEN %[1]s IN ('REACHABLE', 'STALE', 'DELAY', 'PROBE') THEN 'REACHABLE' WHEN %[1]s = 'INCOMPLETE' THEN 'FAILED' ELSE %[1]s END",
		doc:    "not that an entry aged, or was looked for in vain once more",
	}, define[NeighborID, Neighbor]("neighbors", "neighbor", 240,
		"ARP and neighbour discovery: which hardware address an IP address on the link has.")))
	Routes = withStretches(define[RouteID, Route]("routes", "route", 240,
		"Routes of every routing table."))
	RouteExceptions = readBy("routes", withChanges(define[RouteExceptionID, RouteException]("route_exceptions", "route_exception", 240,
		"What the kernel has learnt of the way to single addresses, as ip route show cache shows it: path MTUs that routers told, and redirects (IPv4: Linux 5.3). Only samples see them; where there are more than 10,000 routes, once a minute.")))
	NextHops = define[NextHopID, NextHop]("nexthops", "nexthop", 240,
		"Nexthop objects, which routes name by number (Linux 5.3).")
	Rules = withStretches(define[RuleID, Rule]("rules", "rule", 240,
		"Rules of policy routing: which routing table is looked in, and when."))
	Firewalls = withActor(define[FirewallID, Firewall]("firewall", "firewall_table", 240,
		"Tables of the firewall, as nft list ruleset shows them: what is in each, and a hash of its rules. What the rules say is in firewall_text."))
	FirewallTexts = readBy("firewall", define[FirewallID, FirewallText]("firewall_text", "firewall_rules", 240,
		"What the rules of the firewall say, a row for each table. Recorded with netsql record --firewall only, of the network namespace of the recorder."))
	ProtocolCounters = countersWhere("kind = 'counter'", define[ProtocolCounterID, ProtocolCounter]("protocol_counters", "protocol_counter", 120,
		"Every counter of IP, ICMP, TCP and UDP that netstat -s knows, and the rest."))
	SoftnetCounters = define[SoftnetID, Softnet]("softnet", "softnet_cpu", 60,
		"How each CPU copes with received packets.")
	PacketDrops = amounts(resting(define[PacketDropID, PacketDrop]("packet_drops", "packet_drop", 120,
		"Packets that the kernel threw away since the sample before, by reason; nothing of a kind in a sample is no row.")))
	Conntracks = define[ConntrackID, Conntrack]("conntrack", "conntrack_table", 120,
		"How many connections are tracked, and how many may be.")
	ConntrackFlows = define[FlowID, Flow]("conntrack_flows", "conntrack_flow", 120,
		"Flows that connection tracking knows, with NAT both ways: who talks to whom through this machine. Recorded with netsql record --conntrack only.")
	Settings = withStretches(readBy("settings", withChanges(define[SettingID, Setting]("settings", "setting", 240,
		"The net sysctls that explain the rest; where sources says kept, as they were last read."))))
	Modules = younger(withChanges(define[ModuleID, Module]("modules", "module", 240,
		"Kernel modules that are loaded, as lsmod shows them: connection tracking, tunnels and drivers often come as one. None where the kernel was built without modules.")))
	// Not amounts: some are levels, and what a thinned sample found is still read by the rules, span by span.
	Symptoms = resting(define[SymptomID, Symptom]("symptoms", "symptom", 120,
		"What a sample saw that a fault would show: counters that stand still on a healthy machine and grew, limits that are near, sockets that do not get on. The rules of findings read it; nothing of a kind in a sample is no row."))
	Sources = define[SourceID, SourceOutcome]("sources", "source", 120,
		"How reading each source of the kernel went in each sample.")
)

// The roll-ups: what lasts longer than the samples.
var (
	_ = rollUp("socket_counts", "socket_count", SocketTrends.Table, gauge,
		[]string{"netns", "comm", "exe", "proto", "family", "state"}, []string{"count"},
		"Number of sockets of each program, protocol and state")
	_ = rollUp("interface_rates", "interface_rate", InterfaceCountersTable.Table, counter,
		[]string{"netns", "name"},
		[]string{"rx_bytes", "tx_bytes", "rx_packets", "tx_packets", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped"},
		"Traffic of each interface")
	_ = rollUp("qdisc_rates", "qdisc_rate", Qdiscs.Table, counter,
		[]string{"netns", "dev", "parent"}, []string{"bytes_sent", "packets_sent", "dropped"},
		"What each queueing discipline sent and dropped")
	_ = rollUp("traffic_rates", "traffic_rate", TrafficTable.Table, amount,
		[]string{"netns", "comm", "exe", "uid", "user", "interface"}, []string{"bytes_sent", "bytes_received", "retransmits", "closed", "closed_unknown"},
		"What each program moved over TCP, by user and interface")
	_ = rollUp("packet_drop_rates", "packet_drop_rate", PacketDrops.Table, amount,
		[]string{"reason", "protocol"}, []string{"packets", "estimated"},
		"Packets that the kernel threw away, by reason")
	_ = rollUpPeers()
)

// The sums: what spares a question about a long time the spans.
var _ = sumUp(SocketTrends.Table, "count")

// The logs: what happened between samples, each row with its own exact time. Their views are written by hand.
var (
	Closes      = interned(defineLog[Close]("close"), (*Close).varies, closesVary)
	CloseCounts = defineLog[CloseCount]("close_count")

	InterfaceEvents = eventsOf(Interfaces)
	AddressEvents   = eventsOf(Addresses)
	NeighborEvents  = eventsOf(Neighbors)
	RouteEvents     = eventsOf(Routes)
	RuleEvents      = eventsOf(Rules)
	NextHopEvents   = eventsOf(NextHops)
	FirewallEvents  = eventsOf(Firewalls)
)
