-- Every connection that was there in the window: one row for the whole life of each, from samples and from the kernel's word when it was closed.
--
-- opened (unix s): When it is known to have been there first: when the kernel told that it was opened, the first sample that saw it, or earlier, by the
-- ages in its last tcp_info.
-- opened_after (unix s): The last sample that did not see it: it was opened between then and opened; NULL when the recorder
-- began later, or that sample is not kept any more.
-- closed (unix s): When the connection ended: when the kernel gave it up or it went into TIME_WAIT. Where its descriptor
-- outlived it, the first sample that saw it dead or in TIME_WAIT; NULL while it is open, and where the kernel did not tell.
-- released (unix s): When its descriptor was closed: with the connection or before, then this is closed, or later. NULL while a
-- process holds it still: ss does not show such sockets. NULL also where nobody saw it.
-- last_seen (unix s): Last sample that saw it, which may be after the window; a minute of TIME_WAIT counts; NULL when none did.
-- duration_s (s): From opened to closed, or to last_seen.
-- open: 1 while it is still there at the newest sample and not closed, else 0.
-- seen_by: sample, close (it lived between two samples) or both.
-- netns: Inode number of the network namespace.
-- proto: tcp, udp, udplite, raw, sctp or vsock. Of MPTCP there are the subflows, which are tcp.
-- family: 4 for IPv4, 6 for IPv6, NULL for vsock. An IPv6 socket that speaks IPv4 has 6 and IPv4 addresses, as the other end has them.
-- local_addr: Local address.
-- local_port: Local port.
-- remote_addr: Address of the other end; NULL where the kernel had forgotten it (SO_LINGER 0) and no sample saw it.
-- remote_port: Port of the other end; NULL likewise.
-- ifindex: Interface that the socket was bound to; of a link-local address (fe80::) the one whose address it is, which tells it from
-- the same address of another interface. NULL where it was bound to none, and where no sample saw it.
-- dev: Name of that interface in the last sample that saw the socket; NULL where interfaces does not have it.
-- state: State in which a sample saw it last.
-- pid: Process that held it last, the one with the lowest pid when several did; see owner_how. NULL where it is not known, and where
-- several processes listen on its port.
-- comm: Name of the program; of several that listen, what they have in common.
-- exe: Path of the executable.
-- cmdline: Its command line.
-- owner_how: How the process is known: fd, cookie (it held the socket in the last sample that saw it), trace (the kernel told which process connected,
-- or closed it), listener (it listens on the local port), none.
-- owner_candidates (processes): How many listened on the local port, where owner_how is listener.
-- user: Name of the user who made the socket; NULL when no sample saw it.
-- bytes_sent (bytes): Payload sent, retransmits included: at the end, or when last seen; NULL where it is not known.
-- bytes_received (bytes): Payload received: at the end, or when last seen. At the end one more for the other end's FIN, if that came
-- and no sample saw the socket in CLOSE_WAIT, LAST_ACK or CLOSING: the kernel counts it, and does not tell at the end.
-- retransmits (segments): Segments sent again.
-- rtt_ms (ms): Smoothed round-trip time at the end, or when last seen.
-- cookie: The kernel's number for the socket.
-- outcome: How it ended: established (it came about, and was closed in order), refused, unanswered, no local port, reset by peer, reset by us, timed out; see closed_sockets.
-- NULL while it is open, and where it is not known.
-- connect_ms (ms): From connect to the answer of the other end; NULL where nobody saw that, and of what was accepted.
WITH
{spoke}w AS (
  SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
         (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z,
         since, until, coalesce((SELECT ts FROM sample WHERE ts > until ORDER BY ts LIMIT 1), 1e12) AS beyond
    FROM "window"),
seen AS (
  SELECT s.id, s.first_sample, s.last_sample, 0 AS open
    FROM w CROSS JOIN socket s ON s.last_sample >= w.a AND s.first_sample <= w.z
   WHERE s.remote_port > 0 AND s.proto NOT IN ('mptcp', 'netlink'){peer}
  UNION ALL
  SELECT s.id, s.first_sample, (SELECT max(id) FROM sample), 1
    FROM w CROSS JOIN socket_open p CROSS JOIN socket s ON s.id = p.subject AND s.first_sample <= w.z
   WHERE s.remote_port > 0 AND s.proto NOT IN ('mptcp', 'netlink'){peer}),
-- A socket is one, whatever became known of it on the way (its inode, once it is accepted). Its last span has the
-- id 'last', unless it is still open.
life AS (
  SELECT min(l.first_sample) AS first_sample, min(s.since) AS since, max(l.last_sample << 32 | l.id) AS last, max(l.open) AS open,
         max(c.ts) AS closed, max(c.socket) AS closed_as
    FROM seen l CROSS JOIN socket s ON s.id = l.id
    CROSS JOIN sample m ON m.id = l.last_sample CROSS JOIN run u ON u.id = m.run
    LEFT JOIN close c ON c.socket = l.id
   GROUP BY u.boot, s.netns, s.cookie, s.local_addr, s.local_port, s.remote_addr, s.remote_port, s.proto)
SELECT coalesce(c.ts - c.lived_us / 1e6, min(coalesce(l.since, b.ts), coalesce(c.ts - c.lived_ms / 1000.0, c.ended, c.ts, b.ts, l.since))) AS opened,
       (SELECT a.ts FROM sample a WHERE a.id = b.id - 1 AND a.run = b.run) AS opened_after,
       coalesce(c.ended, c.ts, t.ended) AS closed,
       CASE WHEN c.ts IS NOT NULL THEN c.ts WHEN t.ended IS NOT NULL AND NOT l.open THEN (SELECT ts FROM sample WHERE id = s.gone_sample) END AS released,
       e.ts AS last_seen,
       round(coalesce(c.ended, c.ts, t.ended, e.ts) - coalesce(c.ts - c.lived_us / 1e6, min(coalesce(l.since, b.ts), coalesce(c.ts - c.lived_ms / 1000.0, c.ended, c.ts, b.ts, l.since))), 6) AS duration_s,
       l.open AND c.ts IS NULL AND t.ended IS NULL AS open, iif(c.ts IS NULL, 'sample', 'both') AS seen_by, s.netns, s.proto, s.family,
       s.local_addr, s.local_port, s.remote_addr, s.remote_port, s.ifindex,
       CASE WHEN s.ifindex > 0 THEN coalesce(
         (SELECT name FROM interface_open h CROSS JOIN interface i ON i.id = h.subject WHERE h.from_sample <= e.id AND i.ifindex = s.ifindex AND i.netns IS s.netns),
         (SELECT name FROM interface_span h CROSS JOIN interface i ON i.id = h.id & 4294967295
           WHERE h.id BETWEEN e.id << 32 AND ((e.id + K_interfaces) << 32) - 1 AND (h.id >> 32) - h.length <= e.id AND i.ifindex = s.ifindex AND i.netns IS s.netns)) END AS dev,
       t.state, r.pid, r.comm, r.exe, r.cmdline, coalesce(c.owner_how, ct.owner_how, t.owner_how) AS owner_how,
       iif(c.ts IS NULL, t.owner_candidates, coalesce(c.owner_candidates, ct.owner_candidates)) AS owner_candidates, t.user,
       coalesce(c.bytes_sent, p.bytes_sent, o.bytes_sent) AS bytes_sent,
       coalesce(c.bytes_received, p.bytes_received, o.bytes_received) AS bytes_received,
       coalesce(c.retransmits, t.retransmits) AS retransmits, coalesce(c.rtt_us, p.rtt_us, o.rtt_us) / 1000.0 AS rtt_ms, s.cookie,
       coalesce(c.outcome, ct.outcome) AS outcome, c.connect_us / 1000.0 AS connect_ms
  FROM life l CROSS JOIN socket s ON s.id = l.last & 4294967295
  CROSS JOIN sample e ON e.id = l.last >> 32
  LEFT JOIN sample b ON b.id = l.first_sample
  LEFT JOIN close c ON c.socket = l.closed_as
  LEFT JOIN close_tuple ct ON ct.id = c.tuple
  LEFT JOIN socket_open o ON l.open AND o.subject = s.id
  LEFT JOIN socket_span p ON NOT l.open AND p.id = l.last
  LEFT JOIN socket_tuple t ON t.id = coalesce(p.tuple, o.tuple)
  LEFT JOIN process r ON r.id = coalesce(c.process, ct.process, t.process)
UNION ALL
SELECT coalesce(c.ts - c.lived_us / 1e6, c.ts - coalesce(c.lived_ms, 0) / 1000.0),
       (SELECT a.ts FROM sample a CROSS JOIN sample b ON b.id = c.sample AND a.run = b.run WHERE a.id = c.sample - 1 AND a.ts <= c.ts - coalesce(c.lived_ms, 0) / 1000.0),
       coalesce(c.ended, c.ts), c.ts, NULL, round(coalesce(c.ended, c.ts) - coalesce(c.ts - c.lived_us / 1e6, c.ts - coalesce(c.lived_ms, 0) / 1000.0), 6), 0, 'close', c.netns, c.proto, c.family,
       c.local_addr, c.local_port, c.remote_addr, c.remote_port, NULL, NULL,
       NULL, r.pid, r.comm, r.exe, r.cmdline, c.owner_how, c.owner_candidates, NULL,
       c.bytes_sent, c.bytes_received, c.retransmits, c.rtt_us / 1000.0, c.cookie, c.outcome, c.connect_us / 1000.0
  FROM w CROSS JOIN {closes|WHOLE_close c} ON {when|c.ts BETWEEN w.since AND w.beyond} AND c.ts - coalesce(c.lived_ms, 0) / 1000.0 <= w.until
  LEFT JOIN process r ON r.id = c.process
 WHERE c.socket IS NULL AND (c.remote_port > 0 OR c.incomplete)
 ORDER BY opened
