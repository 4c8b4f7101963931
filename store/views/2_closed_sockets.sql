-- Every TCP and UDP socket that was closed, with its time and what TCP knew at the end; beyond a budget, see closed_counts.
--
-- ts (unix s): When the kernel gave the socket up; of one that goes on in TIME_WAIT, when that began. It may be late by late_ms.
-- netns: Inode number of the network namespace.
-- proto: tcp or udp.
-- family: 4 for IPv4, 6 for IPv6. An IPv6 socket that speaks IPv4 has 6 and IPv4 addresses, as the other end has them.
-- local_addr: Local address.
-- local_port: Local port.
-- remote_addr: Address of the other end; 0.0.0.0 or :: when it was not connected; NULL where the kernel had forgotten it.
-- remote_port: Port of the other end; 0 when it was not connected; NULL where the kernel had forgotten it.
-- pid: Process that held it last, or, where owner_how says so, that listens on its port; NULL where none is known.
-- comm: Name of the program.
-- exe: Path of the executable.
-- cmdline: Its command line.
-- owner_how: How the process is known: cookie (it held the socket in the last sample that saw it), trace (the kernel told which process
-- connected, or closed it), listener (it listened on the local port), none.
-- owner_candidates (processes): How many listened there, where owner_how is listener: with more than one, pid is NULL.
-- ended (unix s): When the connection ended, where the process closed its descriptor only later: the first sample that saw it
-- dead, or did not see it any more; NULL where both are one.
-- late_ms (ms): How much ts may be late: because the kernel's word was read later, or because the connection was reset, and its
-- process may have closed the descriptor only later. NULL where it is known to a millisecond.
-- incomplete: 1 where the kernel had forgotten the numbers (SO_LINGER 0): they are those of the last sample that saw it, else NULL.
-- outcome: How the connection ended: established (it came about, and was closed in order), refused, unanswered, no local port (all of them were
-- taken, and nothing was sent), reset by peer, reset by us (with SO_LINGER 0, or with data that nobody had read), timed out. NULL where it is not known; always for udp.
-- opened (unix s): When it was opened, where outcome is known of a connection made here. Else when it is known to have been there at the latest: in the
-- first sample that saw it, or by the ages in its tcp_info; it may have been opened earlier.
-- connect_ms (ms): From connect to the answer of the other end; NULL where nobody saw that, and of what was accepted.
-- sampled: 1 when a sample saw it, 0 when it lived between two of them.
-- bytes_sent (bytes): Payload sent, retransmits included; NULL for udp.
-- bytes_received (bytes): Payload received, and one more for the other end's FIN, if that came and no sample saw the socket
-- in CLOSE_WAIT, LAST_ACK or CLOSING: the kernel counts it, and does not tell at the end.
-- segs_out (segments): Segments sent.
-- segs_in (segments): Segments received.
-- retransmits (segments): Segments sent again.
-- rtt_ms (ms): Smoothed round-trip time at the end.
-- rttvar_ms (ms): How much it varied.
-- min_rtt_ms (ms): The shortest round-trip time it had.
-- cwnd (segments): Congestion window at the end.
-- mss (bytes): Sending maximum segment size.
-- pmtu (bytes): Path MTU.
-- cookie: The kernel's number for the socket.
{spoke}SELECT {ts|c.ts} AS ts, coalesce(c.netns, t.netns, s.netns) AS netns, coalesce(c.proto, t.proto, s.proto) AS proto, coalesce(c.family, t.family, s.family) AS family,
       coalesce(c.local_addr, t.local_addr, s.local_addr) AS local_addr, coalesce(c.local_port, t.local_port, s.local_port) AS local_port,
       coalesce(c.remote_addr, t.remote_addr, s.remote_addr) AS remote_addr, coalesce(c.remote_port, t.remote_port, s.remote_port) AS remote_port,
       r.pid AS pid, r.comm AS comm, r.exe AS exe, r.cmdline AS cmdline, coalesce(c.owner_how, t.owner_how) AS owner_how,
       coalesce(c.owner_candidates, t.owner_candidates) AS owner_candidates, c.ended AS ended, c.late_ms AS late_ms, coalesce(c.incomplete, 0) AS incomplete,
       coalesce(c.outcome, t.outcome) AS outcome,
       coalesce(c.ts - c.lived_us / 1e6, min(c.ts - coalesce(c.lived_ms, 0) / 1000.0, coalesce(s.since, b.ts, c.ended, c.ts))) AS opened, c.connect_us / 1000.0 AS connect_ms,
       s.id IS NOT NULL AS sampled,
       c.bytes_sent AS bytes_sent, c.bytes_received AS bytes_received, c.segs_out AS segs_out, c.segs_in AS segs_in,
       c.retransmits AS retransmits, c.rtt_us / 1000.0 AS rtt_ms, c.rttvar_us / 1000.0 AS rttvar_ms, c.min_rtt_us / 1000.0 AS min_rtt_ms,
       c.cwnd AS cwnd, coalesce(c.mss, t.mss) AS mss, coalesce(c.pmtu, t.pmtu) AS pmtu, coalesce(c.cookie, s.cookie) AS cookie
  FROM {closes|close c}
  LEFT JOIN close_tuple t ON t.id = c.tuple
  LEFT JOIN socket s ON s.id = c.socket
  LEFT JOIN sample b ON b.id = s.first_sample
  LEFT JOIN process r ON r.id = coalesce(c.process, t.process)
