-- Every connection that was there in the window: one row for the whole life of each.
--
-- first_seen (unix s): First sample that saw it.
-- last_seen (unix s): Last sample that saw it, which may be after the window; a minute of TIME_WAIT counts.
-- open: 1 while it is still there at the newest sample, else 0.
-- netns: Inode number of the network namespace.
-- proto: tcp, udp or raw.
-- family: 4 for IPv4, 6 for IPv6.
-- local_addr: Local address.
-- local_port: Local port.
-- remote_addr: Address of the other end.
-- remote_port: Port of the other end.
-- state: State in which it was last seen.
-- pid: Process that held it last; the one with the lowest pid when several did.
-- comm: Name of the program.
-- cmdline: Its command line.
-- user: Name of the user who made the socket.
-- bytes_sent (bytes): Payload sent when last seen, retransmits included.
-- bytes_received (bytes): Payload received when last seen.
-- retransmits (segments): Segments sent again.
-- rtt_ms (ms): Smoothed round-trip time when last seen.
-- cookie: The kernel's number for the socket.
WITH
w AS (
  SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
         (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z
    FROM "window"),
seen AS (
  SELECT s.id, s.first_sample, s.last_sample, 0 AS open
    FROM w CROSS JOIN socket s ON s.last_sample >= w.a AND s.first_sample <= w.z
   WHERE s.remote_port > 0
  UNION ALL
  SELECT s.id, s.first_sample, (SELECT max(id) FROM sample), 1
    FROM w CROSS JOIN socket_open p CROSS JOIN socket s ON s.id = p.subject AND s.first_sample <= w.z
   WHERE s.remote_port > 0),
-- A socket is one, whatever became known of it on the way (its inode, once it is accepted). Its last span has the
-- id 'last', unless it is still open.
life AS (
  SELECT min(l.first_sample) AS first_sample, max(l.last_sample << 32 | l.id) AS last, max(l.open) AS open
    FROM seen l CROSS JOIN socket s ON s.id = l.id
    CROSS JOIN sample m ON m.id = l.first_sample CROSS JOIN run u ON u.id = m.run
   GROUP BY u.boot, s.netns, s.cookie, s.local_addr, s.local_port, s.remote_addr, s.remote_port, s.proto)
SELECT b.ts AS first_seen, e.ts AS last_seen, l.open, s.netns, s.proto, s.family,
       s.local_addr, s.local_port, s.remote_addr, s.remote_port,
       t.state, r.pid, r.comm, r.cmdline, t.user,
       coalesce(p.bytes_sent, o.bytes_sent) AS bytes_sent, coalesce(p.bytes_received, o.bytes_received) AS bytes_received,
       t.retransmits, coalesce(p.rtt_us, o.rtt_us) / 1000.0 AS rtt_ms, s.cookie
  FROM life l CROSS JOIN socket s ON s.id = l.last & 4294967295
  CROSS JOIN sample b ON b.id = l.first_sample CROSS JOIN sample e ON e.id = l.last >> 32
  LEFT JOIN socket_open o ON l.open AND o.subject = s.id
  LEFT JOIN socket_span p ON NOT l.open AND p.id = l.last
  LEFT JOIN socket_tuple t ON t.id = coalesce(p.tuple, o.tuple)
  LEFT JOIN process r ON r.id = t.process
 ORDER BY b.ts
