package store

// A Close is the end of a socket, as the kernel tells it (sock_diag's destroy groups, Linux 4.4). One that a sample has
// seen is named by its subject; of another the ends stand here. What many have in common stands in a tuple, see tuples: two
// thirds of a row otherwise.
type Close struct {
	Socket     Ref    `col:"socket"`
	NetNS      Int    `col:"netns,rare"`
	Proto      string `col:"proto,rare"`
	Family     Int    `col:"family,rare"`
	LocalAddr  string `col:"local_addr,rare"`
	LocalPort  Int    `col:"local_port,rare"`
	RemoteAddr string `col:"remote_addr,rare"`
	RemotePort Int    `col:"remote_port,rare"`
	Cookie     Int    `col:"cookie"`
	Process    Ref    `col:"process,rare"`
	OwnerHow   string `col:"owner_how,rare"`
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
	MSS           Int `col:"mss,rare"`
	PMTU          Int `col:"pmtu,rare"`

	Candidates Int     `col:"owner_candidates,rare"`
	Ended      float64 `col:"ended"`      // when the connection ended, where its descriptor was closed later
	Late       Int     `col:"late_ms"`    // ts may be late by so much; NULL: by a millisecond at most
	Incomplete Int     `col:"incomplete"` // 1: the kernel had forgotten the numbers, which are those of the last sample, or NULL

	Outcome string `col:"outcome,rare" since:"13"` // how the connection ended; "": not known
	LivedUS Int    `col:"lived_us" since:"13"`     // since it was opened, where that is known
	Connect Int    `col:"connect_us" since:"13"`   // from connect to the answer
}

// varies says in which order the rare columns vary: the port that the other end was given for this connection alone, then
// the peer, then the service.
func (c *Close) varies() int {
	if c.LocalPort.Or(0) > c.RemotePort.Or(0) {
		return 0
	}
	return 1
}

// closesVary are the orders that Close.varies names.
var closesVary = [][]string{{"local_port", "remote_addr", "remote_port"}, {"remote_port", "remote_addr", "local_port"}}

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
	Failed     Int `col:"failed"`        // TCP connections that never came about
	MedianRTT  Int `col:"median_rtt_us"` // of an even number the shorter one of the middle
}
