package store

// InterfaceID names a network interface; one that is deleted and made again gets a new index.
type InterfaceID struct {
	NetNS   Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	IfIndex Int    `col:"ifindex" doc:"Index of the interface."`
	Name    string `col:"name" doc:"Name of the interface."`
}

// Interface is what ip link shows of an interface, its counters apart.
type Interface struct {
	Type      string `col:"type,rare" doc:"Kind of link: veth, bridge, vlan …; for those without a kind its hardware type, ether or loopback."`
	MAC       string `col:"mac,rare" doc:"Hardware address."`
	MTU       Int    `col:"mtu,rare" unit:"bytes" doc:"Largest packet it carries."`
	OperState string `col:"operstate,rare" doc:"UP, DOWN, LOWERLAYERDOWN, UNKNOWN … (RFC 2863)."`
	Carrier   Int    `col:"carrier,rare" doc:"1 when the link has a signal, 0 when not; NULL while the link is down."`
	Flags     string `col:"flags,rare" doc:"Flags such as UP,BROADCAST,RUNNING,PROMISC."`
	Speed     Int    `col:"speed_mbps,rare" unit:"Mbit/s" doc:"Speed of the link, where the driver knows it (/sys/class/net/NAME/speed)."`
	Duplex    string `col:"duplex,rare" doc:"full or half, where the driver knows it."`
	Master    string `col:"master,rare" doc:"Bridge or bond it belongs to."`
	Qdisc     string `col:"qdisc,rare" doc:"Queueing discipline at its root."`
	TxQLen    Int    `col:"txqlen,rare" unit:"packets" doc:"Length of its transmit queue."`
	Alias     string `col:"alias,rare" doc:"Alias that the administrator gave it."`
	Link      Int    `col:"link_ifindex,rare" doc:"Index of the interface below it (vlan, macvlan) or at its other end (veth), which may be in another namespace."`
	Promisc   Int    `col:"promiscuity,rare" doc:"How many listen to all packets on it, sniffers and bridges; the flag PROMISC shows only what the administrator set."`
	CarrierUp Int    `col:"carrier_changes,rare" unit:"times" doc:"Times the link got or lost its signal."`
	AltNames  string `col:"altnames,rare" since:"11" doc:"Other names it answers to, parted by commas (Linux 5.5)."`

	VLAN         Int    `col:"vlan_id,rare" since:"17" doc:"Number of the VLAN (802.1Q); link_ifindex is the interface below it."`
	VRFTable     Int    `col:"vrf_table,rare" since:"17" doc:"Routing table of a VRF; its members name it in master."`
	Tunnel       string `col:"tunnel,rare" since:"17" doc:"Ends of a tunnel and what tells it apart, as ip -d link shows it: id 42 remote 10.0.0.2 local 10.0.0.1 dstport 4789; ends that are not set are left out. Of WireGuard nothing."`
	MemberState  string `col:"member_state,rare" since:"17" doc:"State in its master: of a bridge port forwarding, blocking, learning, listening or disabled; of a member of a bond active or backup, with mii down and so on where the bond holds its link not to be up."`
	LinkFailures Int    `col:"link_failures,rare" since:"17" unit:"times" doc:"Times the bond saw the link of this member fail."`

	Driver        string `col:"driver,rare" since:"22" doc:"Driver of the interface, as ethtool -i shows it; of a virtual one its kind. This column and those after it are NULL where the driver does not tell. It is asked when the link changed, and once in 60 samples: a change may be so much older than it is told."`
	DriverVersion string `col:"driver_version,rare" since:"22" doc:"Version of the driver, where it has one other than that of the kernel."`
	Firmware      string `col:"firmware,rare" since:"22" doc:"Version of the firmware of the card."`
	Bus           string `col:"bus,rare" since:"22" doc:"Where the card is, such as 0000:00:03.0 (ethtool's bus-info)."`
	Autoneg       string `col:"autoneg,rare" since:"22" doc:"on or off: whether speed and duplex are negotiated with the other end."`
	RxRing        Int    `col:"rx_ring,rare" since:"22" unit:"entries" doc:"Entries of the ring for received packets, as ethtool -g shows them."`
	RxRingMax     Int    `col:"rx_ring_max,rare" since:"22" unit:"entries" doc:"Most that the ring for received packets may have."`
	TxRing        Int    `col:"tx_ring,rare" since:"22" unit:"entries" doc:"Entries of the ring for packets to be sent."`
	TxRingMax     Int    `col:"tx_ring_max,rare" since:"22" unit:"entries" doc:"Most that the ring for packets to be sent may have."`
	Channels      Int    `col:"channels,rare" since:"22" doc:"Combined channels, pairs of queues, as ethtool -l shows them."`
}

// InterfaceCounters are the fields of rtnl_link_stats64 (linux/if_link.h), each by itself.
type InterfaceCounters struct {
	RxBytes          Int `col:"rx_bytes,counter" unit:"bytes" doc:"Bytes received."`
	TxBytes          Int `col:"tx_bytes,counter" unit:"bytes" doc:"Bytes sent."`
	RxPackets        Int `col:"rx_packets,counter" unit:"packets" doc:"Good packets received."`
	TxPackets        Int `col:"tx_packets,counter" unit:"packets" doc:"Packets sent."`
	RxErrors         Int `col:"rx_errors,counter" unit:"packets" doc:"Bad packets received, all kinds of receive errors together."`
	TxErrors         Int `col:"tx_errors,counter" unit:"packets" doc:"Packets that could not be sent for an error, all kinds together."`
	RxDropped        Int `col:"rx_dropped,counter" unit:"packets" doc:"Packets received but dropped for want of room or of somebody to take them."`
	TxDropped        Int `col:"tx_dropped,counter" unit:"packets" doc:"Packets dropped on their way out, for want of room."`
	Multicast        Int `col:"multicast,counter" unit:"packets" doc:"Multicast packets received."`
	Collisions       Int `col:"collisions,counter" unit:"packets" doc:"Collisions while sending."`
	RxLengthErrors   Int `col:"rx_length_errors,counter" unit:"packets" doc:"Received with a wrong length."`
	RxOverErrors     Int `col:"rx_over_errors,counter" unit:"packets" doc:"Receiver ring overflow."`
	RxCRCErrors      Int `col:"rx_crc_errors,counter" unit:"packets" doc:"Received with a wrong checksum (CRC)."`
	RxFrameErrors    Int `col:"rx_frame_errors,counter" unit:"packets" doc:"Received with a frame alignment error."`
	RxFIFOErrors     Int `col:"rx_fifo_errors,counter" unit:"packets" doc:"Receiver FIFO overrun."`
	RxMissedErrors   Int `col:"rx_missed_errors,counter" unit:"packets" doc:"Missed by the receiver: the host had no buffer free for the device."`
	TxAbortedErrors  Int `col:"tx_aborted_errors,counter" unit:"packets" doc:"Sending was aborted."`
	TxCarrierErrors  Int `col:"tx_carrier_errors,counter" unit:"packets" doc:"Not sent because the carrier was lost."`
	TxFIFOErrors     Int `col:"tx_fifo_errors,counter" unit:"packets" doc:"Transmitter FIFO underrun."`
	TxHeartbeatError Int `col:"tx_heartbeat_errors,counter" unit:"packets" doc:"Heartbeat (SQE test) errors, on old half-duplex Ethernet."`
	TxWindowErrors   Int `col:"tx_window_errors,counter" unit:"packets" doc:"Late collisions."`
	RxCompressed     Int `col:"rx_compressed,counter" unit:"packets" doc:"Compressed packets received."`
	TxCompressed     Int `col:"tx_compressed,counter" unit:"packets" doc:"Compressed packets sent."`
	RxNoHandler      Int `col:"rx_nohandler,counter" unit:"packets" doc:"Received on a device that takes none, such as the inactive slave of a bond (Linux 4.6)."`
	RxOtherHost      Int `col:"rx_otherhost_dropped,counter" unit:"packets" doc:"Dropped because they were for another host (Linux 5.19)."`
}

// NICCounterID names a statistic that the driver of an interface keeps.
type NICCounterID struct {
	NetNS     Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	IfIndex   Int    `col:"ifindex" doc:"Index of the interface."`
	Interface string `col:"interface" doc:"Interface whose driver counts it."`
	Name      string `col:"name" doc:"The driver's own name of it. The second of the same name is name#2."`
}

// NICCounter is its value.
type NICCounter struct {
	FromZero Int `col:"from_zero,rare" doc:"1 where it was 0 when it was read before its first row, so that all of that is growth; 0 where it was not 0 when it was first read."`
	Value    Int `col:"value,counter" doc:"The number when it was last read. Some are gauges: the driver does not say which."`
}

// AddressID names an address of an interface.
type AddressID struct {
	NetNS     Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Dev       string `col:"dev" doc:"Interface that has the address."`
	IfIndex   Int    `col:"ifindex" doc:"Index of that interface."`
	Family    Int    `col:"family" doc:"4 for IPv4, 6 for IPv6."`
	Addr      string `col:"addr" doc:"The address."`
	PrefixLen Int    `col:"prefix_len" doc:"Length of its network prefix, in bits."`
	Peer      string `col:"peer" doc:"Address of the other end of a point-to-point link."`
}

// Address is what else ip address shows.
type Address struct {
	Scope          string  `col:"scope,rare" doc:"global, site, link, host or a number."`
	Flags          string  `col:"flags,rare" doc:"Flags such as permanent, dynamic, tentative, dadfailed, deprecated, secondary."`
	Label          string  `col:"label,rare" doc:"Label, such as eth0:1."`
	Broadcast      string  `col:"broadcast,rare" doc:"Broadcast address."`
	ValidUntil     float64 `col:"valid_until,value" since:"11" unit:"unix s" doc:"When it is removed, to 2 s; NULL for one that stays. That a router or a DHCP server put it off is no change."`
	PreferredUntil float64 `col:"preferred_until,value" since:"11" unit:"unix s" doc:"When it is deprecated, to 2 s: no new connection takes it then; NULL for one that stays, and for one that was deprecated before it was seen."`
}

// MulticastGroupID names a multicast group that an interface has joined.
type MulticastGroupID struct {
	NetNS   Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Dev     string `col:"dev" doc:"Interface that joined the group."`
	IfIndex Int    `col:"ifindex" doc:"Index of that interface."`
	Family  Int    `col:"family" doc:"4 for IPv4 (IGMP), 6 for IPv6 (MLD)."`
	Addr    string `col:"addr" doc:"Address of the group."`
}

// MulticastGroup is what netstat -g shows of it.
type MulticastGroup struct {
	Users Int `col:"users,rare" doc:"How many use the group on this interface: sockets that joined it, and the kernel itself. Which sockets they are the kernel does not tell."`
}

// NeighborID names an entry of the ARP and neighbour discovery tables.
type NeighborID struct {
	NetNS   Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Dev     string `col:"dev" doc:"Interface over which the neighbour is reached."`
	IfIndex Int    `col:"ifindex" doc:"Index of that interface."`
	Family  Int    `col:"family" doc:"4 for IPv4 (ARP), 6 for IPv6 (neighbour discovery)."`
	Addr    string `col:"addr" doc:"Address of the neighbour."`
	Proxy   Int    `col:"proxy" doc:"1 for an address that this machine answers for (proxy ARP), 0 otherwise."`
}

// Neighbor is what ip neighbor shows of it.
type Neighbor struct {
	MAC   string `col:"mac,rare" doc:"Hardware address of the neighbour; NULL while it is not known."`
	State string `col:"state,rare" doc:"REACHABLE, STALE, DELAY, PROBE, FAILED, INCOMPLETE, PERMANENT or NOARP."`
	Flags string `col:"flags,rare" doc:"Flags such as router, extern_learn."`
}
