package tools

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// g prints a number as %g of C.
func (s *ssPrinter) g(name string, f float64) {
	s.t.b = strconv.AppendFloat(append(s.t.b, name...), f, 'g', 6, 64)
}

// rate prints bits per second.
func (s *ssPrinter) rate(name string, rate float64) {
	t := s.t
	t.text(name)
	if s.numeric {
		t.b = strconv.AppendFloat(t.b, rate, 'f', 0, 64)
	} else {
		unit := ""
		switch {
		case rate >= 1e12:
			rate, unit = rate/1e12, "T"
		case rate >= 1e9:
			rate, unit = rate/1e9, "G"
		case rate >= 1e6:
			rate, unit = rate/1e6, "M"
		case rate >= 1e3:
			rate, unit = rate/1e3, "k"
		}
		if unit == "" {
			t.b = strconv.AppendFloat(t.b, rate, 'g', 6, 64)
		} else {
			t.b = strconv.AppendFloat(t.b, rate, 'g', 3, 64)
		}
		t.text(unit)
	}
	t.text("bps")
}

// tcpInfo prints what TCP knows, in the order of ss, which leaves out what is 0.
func (s *ssPrinter) tcpInfo() {
	r, t := &s.row, s.t
	wscale := ""
	for option := range strings.SplitSeq(r.text(ssTCPOptions), " ") {
		switch {
		case option == "":
		case strings.HasPrefix(option, "wscale:"):
			wscale = option
		case s.timers:
			t.b = append(t.b, ' ')
			t.text(option)
		}
	}
	if name := r.text(ssCongestion); name != "" {
		t.b = append(t.b, ' ')
		t.text(name)
	}
	if wscale != "" {
		t.b = append(t.b, ' ')
		t.text(wscale)
	}
	if r.text(ssState) == "LISTEN" {
		s.some(" unacked:", ssRecvQ)
		s.ulp()
		return
	}
	if rto := r.real(ssRTO); rto != 0 && rto != 3000 {
		s.g(" rto:", rto)
	}
	s.some(" backoff:", ssBackoff)
	rtt := r.real(ssRTT)
	if rtt != 0 {
		s.g(" rtt:", rtt)
		s.g("/", r.real(ssRTTVar))
	}
	s.some(" mss:", ssMSS)
	s.some(" pmtu:", ssPMTU)
	s.some(" cwnd:", ssCwnd)
	if threshold := r.number(ssSSThresh); threshold < 0xffff {
		s.some(" ssthresh:", ssSSThresh)
	}
	s.some(" bytes_sent:", ssBytesSent)
	if received, ok := r.known(ssBytesReceived); ok {
		switch r.text(ssState) {
		case "CLOSE_WAIT", "LAST_ACK", "CLOSING":
			received++ // the kernel counts the FIN, the recording does not
		}
		if received != 0 {
			s.pair(" bytes_received:", received)
		}
	}
	s.some(" segs_out:", ssSegsOut)
	s.some(" segs_in:", ssSegsIn)
	if mss, cwnd := r.real(ssMSS), r.real(ssCwnd); rtt > 0 && mss != 0 && cwnd != 0 {
		s.rate(" send ", cwnd*mss*8000000/math.Round(rtt*1000))
	}
	s.some(" lastsnd:", ssLastSent)
	s.some(" lastrcv:", ssLastReceived)
	if rate := r.real(ssDeliveryRate); rate != 0 {
		s.rate(" delivery_rate ", rate*8)
	}
	if r.number(ssAppLimited) != 0 {
		t.text(" app_limited")
	}
	if busy := r.number(ssBusy); busy != 0 {
		s.pair(" busy:", busy)
		t.text("ms")
		s.limited(" rwnd_limited:", ssRwndLimited, busy)
		s.limited(" sndbuf_limited:", ssSndbufLimited, busy)
	}
	if n := r.number(ssRetransmits); n != 0 {
		s.pair(" retrans:-/", n)
	}
	s.some(" lost:", ssLost)
	s.some(" reord_seen:", ssReordered)
	s.some(" notsent:", ssNotSent)
	if least := r.real(ssMinRTT); least != 0 {
		s.g(" minrtt:", least)
	}
	s.some(" snd_wnd:", ssSndWnd)
	s.ulp()
}

func (s *ssPrinter) ulp() {
	if ulp := s.row.text(ssULP); ulp != "" {
		s.t.text(" tcp-ulp-")
		s.t.text(ulp)
	}
}

func (s *ssPrinter) limited(name string, c ssColumn, busy int64) {
	if n := s.row.number(c); n != 0 {
		s.pair(name, n)
		s.t.b = fmt.Appendf(s.t.b, "ms(%.1f%%)", 100*float64(n)/float64(busy))
	}
}
