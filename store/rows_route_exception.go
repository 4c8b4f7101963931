package store

// RouteExceptionID names what the kernel has learnt of the way to one address.
type RouteExceptionID struct {
	NetNS   Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Family  Int    `col:"family" doc:"4 for IPv4, 6 for IPv6."`
	TableID Int    `col:"table_id" doc:"Number of the routing table whose route it is an exception to: 254 main, 255 local, 253 default."`
	Dst     string `col:"dst" doc:"Address it is for."`
	Gateway string `col:"gateway" doc:"Router it goes through; NULL when the address is on the link."`
	Dev     string `col:"dev" doc:"Interface it leaves by."`
}

// RouteException is what is otherwise than the route says.
type RouteException struct {
	MTU     Int     `col:"mtu,rare" unit:"bytes" doc:"Path MTU that a router on the way told (fragmentation needed, packet too big); NULL for a redirect."`
	Locked  Int     `col:"locked,rare" doc:"1 where what was told is below net.ipv4.route.min_pmtu: packets of that size are then sent in fragments; else NULL."`
	Expires float64 `col:"expires,value" unit:"unix s" doc:"When the kernel forgets it, to 2 s; NULL for one that stays."`
}
