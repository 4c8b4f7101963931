package store

// RouteID names a route by the kernel's full key.
type RouteID struct {
	NetNS   Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Family  Int    `col:"family" doc:"4 for IPv4, 6 for IPv6."`
	TableID Int    `col:"table_id" doc:"Number of the routing table: 254 main, 255 local, 253 default."`
	Dst     string `col:"dst" doc:"Destination network; the default route is 0.0.0.0/0 or ::/0."`
	SrcNet  string `col:"src_net" doc:"Source network, for source-specific routes."`
	TOS     Int    `col:"tos" doc:"Type of service it is for; 0 for all."`
	Metric  Int    `col:"metric" doc:"Priority: the lowest wins."`
	Dev     string `col:"dev" doc:"Interface it leaves by; NULL for several next hops, and for blackhole and the like of IPv4."`
	Nth     Int    `col:"nth" doc:"Tells routes with the same key apart: 0 for the first, 1 for the second and so on."`
}

// Route is what ip route shows besides.
type Route struct {
	TableName  string  `col:"table_name,rare" doc:"Name of the routing table (main, local, default or the number)."`
	Gateway    string  `col:"gateway,rare" doc:"Router it goes through; NULL when the destination is on the link."`
	Src        string  `col:"src,rare" doc:"Source address that new connections take (prefsrc)."`
	Protocol   string  `col:"protocol,rare" doc:"Who made the route: kernel, boot, static, dhcp, ra, bird and so on."`
	Scope      string  `col:"scope,rare" doc:"global, link, host and so on."`
	Type       string  `col:"type,rare" doc:"unicast, local, broadcast, multicast, blackhole, unreachable, prohibit and so on."`
	Flags      string  `col:"flags,rare" doc:"Flags such as onlink, linkdown, dead."`
	MTU        Int     `col:"mtu,rare" unit:"bytes" doc:"MTU set on the route."`
	Window     Int     `col:"window,rare" unit:"bytes" doc:"Largest TCP window to advertise."`
	IRTT       Int     `col:"irtt_ms,rare" unit:"ms" doc:"Initial round-trip time for TCP."`
	NextHops   string  `col:"nexthops,rare" doc:"Next hops of a multipath route: via GATEWAY dev NAME weight N, parted by semicolons; route_hops has a row for each."`
	Weight     Int     `col:"weight,rare" since:"11" doc:"Weight among the IPv6 routes that share the traffic, where it is more than 1."`
	NextHopID  Int     `col:"nhid,rare" since:"11" doc:"Number of the nexthop object it goes by; see nexthops."`
	Encap      string  `col:"encap,rare" since:"11" doc:"How it wraps packets: ip id 100 dst 10.99.0.1, mpls 100/200, seg6 mode encap segs fc00::1."`
	Realm      string  `col:"realm,rare" since:"11" doc:"Realm it belongs to, after that of its source and a slash, if it has one."`
	Pref       string  `col:"pref,rare" since:"11" doc:"Router preference of IPv6 (RFC 4191): high or low; NULL for medium."`
	Lock       string  `col:"locked,rare" since:"11" doc:"Metrics that path MTU discovery and TCP must not change, such as mtu."`
	AdvMSS     Int     `col:"advmss,rare" since:"11" unit:"bytes" doc:"Largest segment that TCP advertises."`
	HopLimit   Int     `col:"hoplimit,rare" since:"11" doc:"Hop limit, or TTL, of packets."`
	InitCwnd   Int     `col:"initcwnd,rare" since:"11" unit:"segments" doc:"Initial congestion window of TCP."`
	InitRwnd   Int     `col:"initrwnd,rare" since:"11" unit:"segments" doc:"Initial receive window of TCP."`
	RTOMin     Int     `col:"rto_min_ms,rare" since:"11" unit:"ms" doc:"Shortest time after which TCP sends again."`
	QuickAck   Int     `col:"quickack,rare" since:"11" doc:"1 when TCP acknowledges at once."`
	Congestion string  `col:"congestion,rare" since:"11" doc:"Congestion control algorithm for connections through it."`
	Metrics    string  `col:"metrics,rare" since:"11" doc:"What other metrics are set: rttvar, ssthresh, cwnd, reordering, features, fastopen_no_cookie."`
	Expires    float64 `col:"expires,value" since:"11" unit:"unix s" doc:"When an IPv6 route expires, to 2 s; NULL for one that does not. An expired one may stay in the table, with the flag expired: look-ups pass it over. That a router put it off is no change."`
}

// NextHopID names a nexthop object by its number.
type NextHopID struct {
	NetNS Int `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	ID    Int `col:"nhid" doc:"Number of the object."`
}

// NextHop is what ip nexthop shows of it.
type NextHop struct {
	Type     string `col:"type,rare" doc:"nexthop, blackhole, or group, of several others; fdb or fdb group for those of VXLAN."`
	Family   Int    `col:"family,rare" doc:"4 for IPv4, 6 for IPv6; NULL for a group."`
	Gateway  string `col:"gateway,rare" doc:"Router it goes through; NULL when there is none."`
	Dev      string `col:"dev,rare" doc:"Interface it leaves by."`
	Members  string `col:"members,rare" doc:"Numbers of the members of a group, each with its weight: 10*1,20*3."`
	Encap    string `col:"encap,rare" doc:"How it wraps packets, as routes has it."`
	Scope    string `col:"scope,rare" doc:"global, link, host and so on."`
	Protocol string `col:"protocol,rare" doc:"Who made it: kernel, static, zebra and so on."`
	Flags    string `col:"flags,rare" doc:"Flags such as onlink, linkdown, dead; resilient for a group that keeps connections on their way."`
}

// RuleID names a rule of policy routing.
type RuleID struct {
	NetNS    Int `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Family   Int `col:"family" doc:"4 for IPv4, 6 for IPv6."`
	Priority Int `col:"priority" doc:"Order in which rules are tried, lowest first."`
	Nth      Int `col:"nth" doc:"Tells rules of the same priority apart: 0 for the first, 1 for the second and so on."`
}

// Rule is what ip rule shows of it.
type Rule struct {
	Src       string `col:"src,rare" doc:"Source network it is for; NULL for all."`
	Dst       string `col:"dst,rare" doc:"Destination network it is for; NULL for all."`
	IIF       string `col:"iif,rare" doc:"Interface the packet came in by; lo for packets of this machine."`
	OIF       string `col:"oif,rare" doc:"Interface that the socket is bound to."`
	FWMark    string `col:"fwmark,rare" doc:"Firewall mark, with its mask when that is not all ones."`
	TOS       Int    `col:"tos,rare" doc:"Type of service it is for; NULL for all."`
	IPProto   Int    `col:"ipproto,rare" doc:"IP protocol number it is for; NULL for all."`
	SPort     string `col:"sport,rare" doc:"Source port or ports."`
	DPort     string `col:"dport,rare" doc:"Destination port or ports."`
	UIDRange  string `col:"uid_range,rare" doc:"Users it is for."`
	Action    string `col:"action,rare" doc:"lookup, goto, nop, blackhole, unreachable or prohibit."`
	TableID   Int    `col:"table_id,rare" doc:"Number of the routing table to look in."`
	TableName string `col:"table_name,rare" doc:"Name of that table (main, local, default or the number)."`
	Goto      Int    `col:"goto_priority,rare" doc:"Priority of the rule to go on with, for goto."`
	Invert    Int    `col:"invert,rare" doc:"1 when the rule is for all that does not match."`
	Suppress  Int    `col:"suppress_prefix_len,rare" doc:"Routes found by the rule with a prefix this short or shorter are passed over; wg-quick uses 0."`
	Protocol  string `col:"protocol,rare" doc:"Who made the rule: kernel, static and so on."`
	TunID     Int    `col:"tun_id,rare" since:"11" doc:"Tunnel key it is for; NULL for all."`
	IfGroup   Int    `col:"suppress_ifgroup,rare" since:"11" doc:"Routes found by the rule through interfaces of this group are passed over."`
	Realms    string `col:"realms,rare" since:"11" doc:"Realms it gives to packets: FROM/TO, or TO."`
	Flags     string `col:"flags,rare" since:"11" doc:"iif_detached, oif_detached: there is no interface of that name, so that it matches nothing (detached in older recordings, of either); unresolved: there is no rule to go on with."`
	Other     string `col:"other,rare" since:"11" doc:"Conditions without a column, as the kernel says them: NAME=0xBYTES. While there is one, the rule is for less than the columns say."`
}
