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
	TableName string `col:"table_name,rare" doc:"Name of the routing table (main, local, default or the number)."`
	Gateway   string `col:"gateway,rare" doc:"Router it goes through; NULL when the destination is on the link."`
	Src       string `col:"src,rare" doc:"Source address that new connections take (prefsrc)."`
	Protocol  string `col:"protocol,rare" doc:"Who made the route: kernel, boot, static, dhcp, ra, bird and so on."`
	Scope     string `col:"scope,rare" doc:"global, link, host and so on."`
	Type      string `col:"type,rare" doc:"unicast, local, broadcast, multicast, blackhole, unreachable, prohibit and so on."`
	Flags     string `col:"flags,rare" doc:"Flags such as onlink, linkdown, dead."`
	MTU       Int    `col:"mtu,rare" unit:"bytes" doc:"MTU set on the route."`
	Window    Int    `col:"window,rare" unit:"bytes" doc:"Largest TCP window to advertise."`
	IRTT      Int    `col:"irtt_ms,rare" unit:"ms" doc:"Initial round-trip time for TCP."`
	NextHops  string `col:"nexthops,rare" doc:"Next hops of a multipath route: via GATEWAY dev NAME weight N, parted by semicolons."`
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
}
