package store

// SocketID names a socket for as long as it keeps both ends.
type SocketID struct {
	NetNS      Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Proto      string `col:"proto" doc:"tcp, udp, raw, udplite, packet or unix."`
	Family     Int    `col:"family" doc:"4 for IPv4, 6 for IPv6, NULL for unix and packet sockets. An IPv6 socket that speaks IPv4 has 6 and IPv4 addresses, as the other end of its connection has them."`
	Type       string `col:"type" doc:"stream, dgram, seqpacket or raw, as in socket(2)."`
	LocalAddr  string `col:"local_addr" doc:"Local address; 0.0.0.0 or :: when bound to every address."`
	LocalPort  Int    `col:"local_port" doc:"Local port; of a raw socket, the IP protocol number; of a packet socket, the Ethernet protocol number (3: every packet)."`
	RemoteAddr string `col:"remote_addr" doc:"Address of the other end; 0.0.0.0 or :: when not connected."`
	RemotePort Int    `col:"remote_port" doc:"Port of the other end; 0 when not connected."`
	Path       string `col:"path" doc:"Path of a unix socket; an abstract name begins with @."`
	Peer       Int    `col:"peer_inode" doc:"Inode of the unix socket at the other end."`
	IfIndex    Int    `col:"ifindex" doc:"Interface the socket is bound to (SO_BINDTODEVICE, or a packet socket by bind); of a link-local address (fe80::) the one whose address it is."`
	Inode      Int    `col:"inode" doc:"Inode, as in /proc/PID/fd; in TIME_WAIT the one it had."`
	Cookie     Int    `col:"cookie" doc:"The kernel's number for this socket (SO_COOKIE), unique until the next boot."`
}

// Socket is what changes in the life of a socket.
type Socket struct {
	State      string `col:"state,rare" doc:"LISTEN, ESTABLISHED, TIME_WAIT, CLOSE_WAIT …, as netstat prints them; CLOSE for an unconnected udp, udplite or raw socket, for every packet socket, and for a tcp socket that is not connected (any more) while a process holds it, which ss does not show."`
	Process    Ref    `col:"process,rare" ref:"processes:pid,comm,exe,cmdline" doc:"The process that holds the socket, the one with the lowest pid when several do; see owner_how."`
	UID        Int    `col:"uid,rare" doc:"User id of the socket's creator."`
	User       string `col:"user,rare" doc:"Name of that user."`
	CGroup     string `col:"cgroup,rare" doc:"Control group (v2) in which the socket was made."`
	Mark       Int    `col:"mark,rare" doc:"SO_MARK; needs CAP_NET_ADMIN to see."`
	Timer      string `col:"timer,rare" doc:"Timer that runs: retransmit, keepalive, timewait or probe; off when none does."`
	Congestion string `col:"congestion,rare" doc:"Congestion control algorithm."`
	MSS        Int    `col:"mss,rare" unit:"bytes" doc:"Sending maximum segment size (tcpi_snd_mss)."`
	PMTU       Int    `col:"pmtu,rare" unit:"bytes" doc:"Path MTU."`

	RecvQ         Int `col:"recv_q,value" stored:"queues,high" unit:"bytes" doc:"Bytes not yet read by the process; on a listener, connections waiting to be accepted; of a packet socket, memory that waiting packets take."`
	SendQ         Int `col:"send_q,value" stored:"queues,low" unit:"bytes" doc:"Bytes not yet acknowledged by the other end; on a listener, the backlog that accept may queue."`
	BytesSent     Int `col:"bytes_sent,counter" unit:"bytes" doc:"Payload sent, retransmits included (tcpi_bytes_sent, Linux 4.19; before that, what was acknowledged); in TIME_WAIT what it was when last seen."`
	BytesReceived Int `col:"bytes_received,counter" unit:"bytes" doc:"Payload received (tcpi_bytes_received). The kernel counts the other end's FIN as a byte; where the state shows that it came (CLOSE_WAIT, LAST_ACK, CLOSING) it is left out. In TIME_WAIT what it was when last seen."`
	SegsOut       Int `col:"segs_out,counter" unit:"segments" doc:"Segments sent (tcpi_segs_out)."`
	SegsIn        Int `col:"segs_in,counter" unit:"segments" doc:"Segments received (tcpi_segs_in)."`
	Retransmits   Int `col:"retransmits,rare counter" unit:"segments" doc:"Segments sent again (tcpi_total_retrans)."`
	RTT           Int `col:"rtt_ms,value" stored:"us" unit:"ms" doc:"Smoothed round-trip time (tcpi_rtt)."`
	RTTVar        Int `col:"rttvar_ms,value" stored:"us" unit:"ms" doc:"How much the round-trip time varies (tcpi_rttvar)."`
	Cwnd          Int `col:"cwnd,value" unit:"segments" doc:"Congestion window (tcpi_snd_cwnd)."`
	Drops         Int `col:"drops,rare counter" unit:"packets" doc:"Packets dropped at this socket: full receive buffer, or a listener's full queue (sk_drops)."`

	OwnerHow string `col:"owner_how,rare" doc:"How the process is known: fd (seen in /proc/PID/fd, with a thread that has descriptors of its own, or among the files registered with io_uring), cookie (it held the socket until it closed it), trace (it opened the connection or closed it, and nobody was seen to hold it), listener (it listens on the local port, and nobody holds the socket itself; with owner_candidates above 1 it is not known which process does), none."`

	Ended      float64 `col:"ended,rare" doc:"When the connection ended, where the process still has its descriptor: the first sample that saw it in TIME_WAIT or dead (CLOSE); NULL while it lives."`
	Candidates Int     `col:"owner_candidates,rare" unit:"processes" doc:"How many processes listen on the local port, where owner_how is listener: with more than one, pid is NULL."`
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
	Proto   string `col:"proto" doc:"tcp, udp, raw, udplite, packet or unix."`
	Family  Int    `col:"family" doc:"4 for IPv4, 6 for IPv6, NULL for unix and packet sockets."`
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
