package store

// SocketID names a socket for as long as it keeps both ends.
type SocketID struct {
	NetNS      Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Proto      string `col:"proto" doc:"tcp, udp, raw, udplite, packet, unix, netlink, vsock, xdp, mptcp, sctp or ping."`
	Family     Int    `col:"family" doc:"4 for IPv4, 6 for IPv6, NULL for unix, packet, netlink, vsock and xdp sockets. An IPv6 socket that speaks IPv4 has 6 and IPv4 addresses, as the other end of its connection has them."`
	Type       string `col:"type" doc:"stream, dgram, seqpacket or raw, as in socket(2); NULL where the kernel does not tell it (sctp)."`
	LocalAddr  string `col:"local_addr" doc:"Local address; 0.0.0.0 or :: when bound to every address. Of a netlink socket its protocol: route, generic, audit and so on; of a vsock socket its CID, * for any."`
	LocalPort  Int    `col:"local_port" doc:"Local port; of a raw socket, the IP protocol number; of a packet socket, the Ethernet protocol number (3: every packet); of a netlink socket, the port id; of an xdp socket, the queue of the interface; of a ping socket, the number in its echo requests."`
	RemoteAddr string `col:"remote_addr" doc:"Address of the other end; 0.0.0.0 or :: when not connected. Of a vsock socket its CID, * when not connected."`
	RemotePort Int    `col:"remote_port" doc:"Port of the other end; 0 when not connected. Of a netlink socket its port id; 0 is the kernel."`
	Path       string `col:"path" doc:"Path of a unix socket; an abstract name begins with @."`
	Peer       Int    `col:"peer_inode" doc:"Inode of the unix socket at the other end."`
	IfIndex    Int    `col:"ifindex" doc:"Interface the socket is bound to (SO_BINDTODEVICE, or a packet or xdp socket by bind); of a link-local address (fe80::) the one whose address it is."`
	Inode      Int    `col:"inode" doc:"Inode, as in /proc/PID/fd; in TIME_WAIT the one it had."`
	Cookie     Int    `col:"cookie" doc:"The kernel's number for this socket (SO_COOKIE), unique until the next boot."`
}

// Socket is what changes in the life of a socket.
type Socket struct {
	State      string `col:"state,rare" doc:"LISTEN, ESTABLISHED, TIME_WAIT, CLOSE_WAIT …, as netstat prints them; CLOSE for an unconnected udp, udplite, raw, netlink or ping socket, for every packet and xdp socket, and for a tcp socket that is not connected (any more) while a process holds it, which ss does not show."`
	Process    Ref    `col:"process,rare" ref:"processes:pid,comm,exe,cmdline" doc:"The process that holds the socket, the one with the lowest pid when several do; see owner_how."`
	UID        Int    `col:"uid,rare" doc:"User id of the socket's creator."`
	User       string `col:"user,rare" doc:"Name of that user."`
	CGroup     string `col:"cgroup,rare" doc:"Control group (v2) in which the socket was made."`
	Mark       Int    `col:"mark,rare" doc:"SO_MARK; needs CAP_NET_ADMIN to see."`
	Timer      string `col:"timer,rare" doc:"Timer that runs: retransmit, keepalive, timewait or probe; off when none does."`
	Congestion string `col:"congestion,rare" doc:"Congestion control algorithm."`
	MSS        Int    `col:"mss,rare" unit:"bytes" doc:"Sending maximum segment size (tcpi_snd_mss)."`
	PMTU       Int    `col:"pmtu,rare" unit:"bytes" doc:"Path MTU."`

	RecvQ         Int `col:"recv_q,value" stored:"queues,high" unit:"bytes" doc:"Bytes not yet read by the process; on a listener, connections waiting to be accepted; of a packet or netlink socket, memory that waiting packets and messages take."`
	SendQ         Int `col:"send_q,value" stored:"queues,low" unit:"bytes" doc:"Bytes not yet acknowledged by the other end; on a listener, the backlog that accept may queue."`
	BytesSent     Int `col:"bytes_sent,counter" unit:"bytes" doc:"Payload sent, retransmits included (tcpi_bytes_sent, Linux 4.19; before that, what was acknowledged); in TIME_WAIT what it was when last seen."`
	BytesReceived Int `col:"bytes_received,counter" unit:"bytes" doc:"Payload received (tcpi_bytes_received). The kernel counts the other end's FIN as a byte; where the state shows that it came (CLOSE_WAIT, LAST_ACK, CLOSING) it is left out. In TIME_WAIT what it was when last seen."`
	SegsOut       Int `col:"segs_out,counter" unit:"segments" doc:"Segments sent (tcpi_segs_out)."`
	SegsIn        Int `col:"segs_in,counter" unit:"segments" doc:"Segments received (tcpi_segs_in)."`
	Retransmits   Int `col:"retransmits,rare counter" unit:"segments" doc:"Segments sent again (tcpi_total_retrans)."`
	RTT           Int `col:"rtt_ms,value" stored:"us" unit:"ms" doc:"Smoothed round-trip time (tcpi_rtt)."`
	RTTVar        Int `col:"rttvar_ms,value" stored:"us" unit:"ms" doc:"How much the round-trip time varies (tcpi_rttvar)."`
	Cwnd          Int `col:"cwnd,value" unit:"segments" doc:"Congestion window (tcpi_snd_cwnd)."`
	Drops         Int `col:"drops,rare counter" unit:"packets" doc:"Packets dropped at this socket: full receive buffer, or a listener's full queue (sk_drops). Of a netlink socket, messages that found no room."`

	OwnerHow string `col:"owner_how,rare" doc:"How the process is known: fd (seen in /proc/PID/fd, with a thread that has descriptors of its own, or among the files registered with io_uring), cookie (it held the socket until it closed it), trace (it opened the connection or closed it, and nobody was seen to hold it), listener (it listens on the local port, and nobody holds the socket itself; with owner_candidates above 1 it is not known which process does), none."`

	Ended      float64 `col:"ended,rare" doc:"When the connection ended, where the process still has its descriptor: the first sample that saw it in TIME_WAIT or dead (CLOSE); NULL while it lives."`
	Candidates Int     `col:"owner_candidates,rare" unit:"processes" doc:"How many processes listen on the local port, where owner_how is listener: with more than one, pid is NULL."`

	RwndLimited Int `col:"rwnd_limited_ms,counter" stored:"busy,high" since:"18" unit:"ms" doc:"Of busy_ms, time in which the other end's receive window held the sending back (tcpi_rwnd_limited, Linux 4.10)."`
	Busy        Int `col:"busy_ms,counter" stored:"busy,low" since:"18" unit:"ms" doc:"Time in which there was data to send or to be acknowledged (tcpi_busy_time, Linux 4.10)."`

	SndbufLimited Int `col:"sndbuf_limited_ms,rare counter" since:"18" unit:"ms" doc:"Of busy_ms, time in which a full send buffer held the sending back (tcpi_sndbuf_limited, Linux 4.10)."`
	NotSent       Int `col:"notsent,rare" since:"18" unit:"bytes" doc:"Of send_q, bytes not sent even once (tcpi_notsent_bytes, Linux 4.6), down to the next of 1, 2, 3, 4, 6, 8, 12, 16 and so on; the others are on their way."`

	MinRTT     Int     `col:"min_rtt_ms,rare" stored:"us" since:"18" unit:"ms" doc:"Shortest round-trip time of late (tcpi_min_rtt, Linux 4.6), down to the next of 1, 2, 3, 4, 6, 8, 12, 16 … µs: what rtt_ms is above it, the path's queues add."`
	Lost       Int     `col:"lost,rare" since:"18" unit:"segments" doc:"Segments that TCP takes for lost at this moment (tcpi_lost)."`
	Reordered  Int     `col:"reordered,rare counter" since:"18" unit:"events" doc:"How often segments arrived out of order (tcpi_reord_seen, Linux 4.19)."`
	SSThresh   Int     `col:"ssthresh,rare" since:"18" unit:"segments" doc:"Congestion window at which slow start ends (tcpi_snd_ssthresh); NULL until something was lost."`
	RTO        Int     `col:"rto_ms,rare" since:"18" unit:"ms" doc:"After how long what is not acknowledged is sent again (tcpi_rto), down to its two leading digits."`
	Tries      Int     `col:"tries,rare" since:"18" doc:"How often in a row it was sent again, or probed, without an answer, as netstat -o shows it (tcpi_retransmits, tcpi_probes)."`
	Backoff    Int     `col:"backoff,rare" since:"18" doc:"How often the time of the timer, retransmit or probe, was doubled (tcpi_backoff)."`
	TimerEnds  float64 `col:"timer_ends,rare" since:"18" doc:"When the timer runs out, to 0.1 s (idiag_expires): of every probe; of retransmit where it ran out before; of keepalive where a probe was not answered, and where nothing has moved for 5 minutes and 5 more are left (the kernel looks then whether it was idle all the time, and may wait on); else NULL. The kernel may come to it an eighth of the time later."`
	SndWnd     Int     `col:"snd_wnd,rare" since:"18" unit:"bytes" doc:"Window that the other end offers (tcpi_snd_wnd, Linux 5.4), where it has no room for a segment, down to the next of 1, 2, 3, 4, 6, 8, 12, 16 and so on; 0: it takes nothing. NULL where it is wider, or not known."`
	RcvWnd     Int     `col:"rcv_wnd,rare" since:"18" unit:"bytes" doc:"Window that this end offers (tcpi_rcv_wnd, Linux 6.2), where it has no room for a segment, rounded like snd_wnd; NULL where it is wider, or not known."`
	RcvBuf     Int     `col:"rcvbuf,rare" since:"18" unit:"bytes" doc:"Limit of the receive buffer (SO_RCVBUF); of a TCP connection, where the kernel tunes it, down to the next of 1, 2, 3, 4, 6, 8, 12, 16 and so on."`
	SndBuf     Int     `col:"sndbuf,rare" since:"18" unit:"bytes" doc:"Limit of the send buffer (SO_SNDBUF); of a TCP connection, where the kernel tunes it, down to the next of 1, 2, 3, 4, 6, 8, 12, 16 and so on."`
	LastSent   float64 `col:"last_sent,rare" since:"18" doc:"When data last went out, to the kernel's tick of at most 10 ms (tcpi_last_data_sent), where that is 5 minutes ago, or 30 samples where these are rarer; else NULL: bytes_sent tells in which sample it last grew."`
	LastRecv   float64 `col:"last_received,rare" since:"18" doc:"When data last came in, to the kernel's tick of at most 10 ms (tcpi_last_data_recv), where that is 5 minutes ago, or 30 samples where these are rarer; else NULL: bytes_received tells in which sample it last grew."`
	Options    string  `col:"options,rare" since:"18" doc:"TCP options that both ends agreed on, as ss names them: ts, sack, wscale:other,own, ecn, ecnseen (the path marks), fastopen."`
	TOS        Int     `col:"tos,rare" since:"18" doc:"Type of service of what it sends (IP_TOS, IPV6_TCLASS): DSCP in the upper six bits."`
	V6Only     Int     `col:"v6only,rare" since:"18" doc:"Of an IPv6 socket that is not connected: 1 where it takes no IPv4 (IPV6_V6ONLY)."`
	Shutdown   string  `col:"shutdown,rare" since:"18" doc:"Which ways are shut down (sk_shutdown): recv, send or both."`
	ULP        string  `col:"ulp,rare" since:"18" doc:"Protocol on top that the kernel speaks itself: tls, mptcp, smc, espintcp."`
	Direction  string  `col:"direction,rare" since:"18" doc:"listen; in: the other end connected to this one; out: this end connected. NULL where it is not known: it was seen neither being opened nor on a port that something listened on when it was first seen."`
	Groups     string  `col:"netlink_groups,rare" since:"20" doc:"Multicast groups that a netlink socket has joined, by the names of linux/rtnetlink.h and linux/sock_diag.h, or by their numbers."`
	StateSince float64 `col:"state_since,rare" since:"23" doc:"When a TCP connection came to its state, other than ESTABLISHED and TIME_WAIT: the first sample that saw it there, so it may have been in it since the sample before; ts - state_since is for how long. NULL where it was in that state already when the recorder began."`

	DeliveryRate Int `col:"delivery_rate,rare" since:"24" unit:"bytes/s" doc:"How fast data last arrived at the other end, where app_limited is 0 (tcpi_delivery_rate, Linux 4.9): about, between two thirds and twice of it. NULL where app_limited is 1, or nothing was acknowledged yet."`
	AppLimited   Int `col:"app_limited,rare" since:"24" doc:"1 where the application gave less to send than the path could take, when the speed was last measured; 0 where the path or the other end set it (tcpi_delivery_rate_app_limited)."`
}

// SocketOwnerID names one process's hold on one socket.
type SocketOwnerID struct {
	Socket  Ref `col:"socket" ref:"sockets:netns,proto,family,local_addr,local_port,remote_addr,remote_port,path,inode,cookie" doc:"The socket."`
	Process Ref `col:"process" ref:"processes:pid,started,comm,exe,cmdline" doc:"A process that has it open."`
}

// SocketOwner says how the process holds the socket.
type SocketOwner struct {
	FD Int `col:"fd,value" doc:"Lowest file descriptor of the process that is this socket, as lsof prints it; NULL where the socket has none, but is registered with io_uring."`
}

// SocketCountID names a group of sockets that are counted together.
type SocketCountID struct {
	NetNS   Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Process Ref    `col:"process" ref:"processes:pid,started,comm,exe,cmdline" doc:"The process that holds the sockets; NULL where none is known (TIME_WAIT, or no privilege)."`
	Proto   string `col:"proto" doc:"tcp, udp, raw, udplite, packet, unix, netlink, vsock, xdp, mptcp, sctp or ping."`
	Family  Int    `col:"family" doc:"4 for IPv4, 6 for IPv6, NULL for unix, packet, netlink, vsock and xdp sockets."`
	State   string `col:"state" doc:"State of the sockets, as netstat prints it."`
}

// SocketCount is the number of sockets of a group and what waits in them.
type SocketCount struct {
	Count  Int `col:"count,value" unit:"sockets" doc:"Sockets of this process, protocol and state."`
	RecvQ  Int `col:"recv_q,value" unit:"bytes" doc:"Sum of recv_q over the sockets; of listeners, connections waiting to be accepted."`
	SendQ  Int `col:"send_q,value" unit:"bytes" doc:"Sum of send_q over the sockets; of listeners, the sum of their backlogs."`
	Oldest Int `col:"oldest,value" unit:"unix s" doc:"When the oldest of the sockets was first seen in this state."`
}

// SocketTrend is the count alone: it stands still when bytes wait for a moment or one socket takes the
// place of another, so that a day of it is read in a fifth of a second. Longer times are read from its sums; see Sum.
type SocketTrend struct {
	Count Int `col:"count,value" unit:"sockets" doc:"Sockets of this process, protocol and state."`
}
