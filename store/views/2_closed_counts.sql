-- Closes that are not kept one by one, with exact sums: beyond the budget of a sample (--close-budget) by service and peer; old ones, for want of room, by minute, process, service and peer.
--
-- ts (unix s): The last of them.
-- first (unix s): The first of them.
-- netns: Inode number of the network namespace.
-- proto: tcp or udp.
-- family: 4 for IPv4, 6 for IPv6.
-- local_addr: Local address that they share; NULL where they differ.
-- local_port: Local port that they share: the listener's; NULL where they differ.
-- remote_addr: Address of the other end that they share; NULL where they differ.
-- remote_port: Port of the other end that they share: the service's; NULL where they differ.
-- pid: Process that had them, where there were few, or that listened on the local port; NULL where none is known.
-- comm: Name of the program.
-- exe: Path of the executable.
-- cmdline: Its command line.
-- owner_how: How the process is known: cookie, trace, listener or none; see closed_sockets.
-- owner_candidates (processes): How many listened there, where owner_how is listener.
-- count (sockets): Sockets that were closed.
-- closed_unknown (sockets): Of these, sockets whose numbers the kernel had forgotten (SO_LINGER 0): they are missing in the sums.
-- failed (sockets): Of these, TCP connections that never came about: refused, or without an answer; NULL before format 8.
-- bytes_sent (bytes): Payload they sent in all, retransmits included; NULL for udp, and where nothing is known.
-- bytes_received (bytes): Payload they received in all, and one more for each whose other end sent a FIN.
-- segs_out (segments): Segments they sent in all.
-- segs_in (segments): Segments they received in all.
-- retransmits (segments): Segments they sent again in all.
-- rtt_ms (ms): Mean of their smoothed round-trip times.
-- least_rtt_ms (ms): Shortest of them; NULL before format 7.
-- median_rtt_ms (ms): The middle one of them, of an even number the shorter of the two; NULL before format 10, and of more than 262,144 closes between two samples.
-- max_rtt_ms (ms): Longest of them.
SELECT c.ts AS ts, c.first AS first, c.netns AS netns, c.proto AS proto, c.family AS family,
       c.local_addr AS local_addr, c.local_port AS local_port, c.remote_addr AS remote_addr, c.remote_port AS remote_port,
       r.pid AS pid, r.comm AS comm, r.exe AS exe, r.cmdline AS cmdline, c.owner_how AS owner_how, c.owner_candidates AS owner_candidates, c.count AS count,
       c.unknown AS closed_unknown, c.failed AS failed,
       c.bytes_sent AS bytes_sent, c.bytes_received AS bytes_received, c.segs_out AS segs_out, c.segs_in AS segs_in,
       c.retransmits AS retransmits, c.rtt_us / 1000.0 AS rtt_ms, c.least_rtt_us / 1000.0 AS least_rtt_ms, c.median_rtt_us / 1000.0 AS median_rtt_ms, c.max_rtt_us / 1000.0 AS max_rtt_ms
  FROM close_count c LEFT JOIN process r ON r.id = c.process
