package store

// A Close is the end of a socket, as the kernel tells it (sock_diag's destroy groups, Linux 4.4). One
// that a sample has seen is named by its subject; of another the ends stand here.
type Close struct {
	Socket     Ref    `col:"socket"`
	NetNS      Int    `col:"netns"`
	Proto      string `col:"proto"`
	Family     Int    `col:"family"`
	LocalAddr  string `col:"local_addr"`
	LocalPort  Int    `col:"local_port"`
	RemoteAddr string `col:"remote_addr"`
	RemotePort Int    `col:"remote_port"`
	Cookie     Int    `col:"cookie"`
	Process    Ref    `col:"process"`
	OwnerHow   string `col:"owner_how"`
	Lived      Int    `col:"lived_ms"` // at least

	BytesSent     Int `col:"bytes_sent"`
	BytesReceived Int `col:"bytes_received"`
	SegsOut       Int `col:"segs_out"`
	SegsIn        Int `col:"segs_in"`
	Retransmits   Int `col:"retransmits"`
	RTT           Int `col:"rtt_us"`
	RTTVar        Int `col:"rttvar_us"`
	MinRTT        Int `col:"min_rtt_us"`
	Cwnd          Int `col:"cwnd"`
	MSS           Int `col:"mss"`
	PMTU          Int `col:"pmtu"`

	Candidates Int     `col:"owner_candidates"`
	Ended      float64 `col:"ended"`      // when the connection ended, where its descriptor was closed later
	Late       Int     `col:"late_ms"`    // ts may be late by so much; NULL: by a millisecond at most
	Incomplete Int     `col:"incomplete"` // 1: the kernel had forgotten the numbers, which are those of the last sample, or NULL
}

// A CloseCount stands for closes that are not kept one by one.
type CloseCount struct {
	NetNS      Int     `col:"netns"`
	Proto      string  `col:"proto"`
	Family     Int     `col:"family"`
	LocalAddr  string  `col:"local_addr"`
	LocalPort  Int     `col:"local_port"`
	RemoteAddr string  `col:"remote_addr"`
	RemotePort Int     `col:"remote_port"`
	Process    Ref     `col:"process"`
	OwnerHow   string  `col:"owner_how"`
	First      float64 `col:"first"`
	Count      Int     `col:"count"`

	BytesSent     Int `col:"bytes_sent"`
	BytesReceived Int `col:"bytes_received"`
	SegsOut       Int `col:"segs_out"`
	SegsIn        Int `col:"segs_in"`
	Retransmits   Int `col:"retransmits"`
	RTT           Int `col:"rtt_us"` // mean of those that have one
	MaxRTT        Int `col:"max_rtt_us"`

	Candidates Int `col:"owner_candidates"`
	Unknown    Int `col:"unknown"` // closes of which the kernel had forgotten the numbers
	LeastRTT   Int `col:"least_rtt_us"`
	Failed     Int `col:"failed"` // TCP connections that never came about
}
