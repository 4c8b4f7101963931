-- Who listened where, from when to when, in the window?
--
-- first_seen (unix s): First sample that saw it.
-- last_seen (unix s): Last sample that saw it, which may be after the window.
-- open: 1 while it is still there at the newest sample, else 0.
-- netns: Inode number of the network namespace.
-- proto: tcp, udp, unix, sctp or vsock. One of MPTCP is tcp.
-- family: 4 for IPv4, 6 for IPv6, NULL for other sockets.
-- local_addr: Address it listened on; 0.0.0.0 or :: for every address.
-- local_port: Port it listened on.
-- ifindex: Interface that the socket was bound to; of a link-local address (fe80::) the one whose address it is, which tells it from
-- the same address of another interface. NULL where it was bound to none.
-- dev: Name of that interface in the last sample that saw the socket; NULL where interfaces does not have it.
-- path: Path of a unix socket.
-- pid: Process that held it last; the one with the lowest pid when several did.
-- comm: Name of the program.
-- cmdline: Its command line.
-- user: Name of the user who made the socket.
-- backlog: Connections that its accept queue may hold (tcp).
-- drops (packets): Connections or packets it dropped because its queue was full.
-- maybe_client: 1 where it may be a client that waits for answers: an unconnected udp socket whose port is one that the kernel gives out
-- by itself (net.ipv4.ip_local_port_range at that time). The kernel does not tell it from a server that asked for such a port, as WireGuard
-- does. 0 for others; NULL where that setting was not recorded.
-- cookie: The kernel's number for the socket.
WITH
w AS (
  SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
         (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z
    FROM "window"),
ended AS (
  SELECT s.id, s.last_sample, 0 AS open, p.tuple, p.queues
    FROM w CROSS JOIN socket s ON s.last_sample >= w.a AND s.first_sample <= w.z
    CROSS JOIN socket_span p ON p.id = s.last_sample << 32 | s.id
   WHERE coalesce(s.remote_port, 0) = 0),
alive AS (
  SELECT s.id, (SELECT max(id) FROM sample) AS last_sample, 1 AS open, p.tuple, p.queues
    FROM w CROSS JOIN socket_open p CROSS JOIN socket s ON s.id = p.subject AND s.first_sample <= w.z
   WHERE coalesce(s.remote_port, 0) = 0),
-- The ports that the kernel gives out in each network namespace, from a sample to another.
ports AS MATERIALIZED (
  SELECT g.netns, h.f, h.l, CAST(value AS INTEGER) AS low, CAST(substr(value, instr(value, ' ')) AS INTEGER) AS high
    FROM (SELECT subject, from_sample AS f, 1 << 32 AS l, tuple FROM setting_open
          UNION ALL
          SELECT id & 4294967295, (id >> 32) - length, id >> 32, tuple FROM w CROSS JOIN setting_span ON id BETWEEN w.a << 32 AND ((w.z + K_settings) << 32) - 1) h
    CROSS JOIN setting g ON g.id = h.subject AND g.name = 'net.ipv4.ip_local_port_range' CROSS JOIN setting_tuple v ON v.id = h.tuple)
SELECT coalesce(s.since, b.ts) AS first_seen, e.ts AS last_seen, l.open, s.netns, s.proto, s.family, s.local_addr, s.local_port, s.ifindex,
       CASE WHEN s.ifindex > 0 THEN coalesce(
         (SELECT name FROM interface_open h CROSS JOIN interface i ON i.id = h.subject WHERE h.from_sample <= e.id AND i.ifindex = s.ifindex AND i.netns IS s.netns),
         (SELECT name FROM interface_span h CROSS JOIN interface i ON i.id = h.id & 4294967295
           WHERE h.id BETWEEN e.id << 32 AND ((e.id + K_interfaces) << 32) - 1 AND (h.id >> 32) - h.length <= e.id AND i.ifindex = s.ifindex AND i.netns IS s.netns)) END AS dev, s.path,
       r.pid, r.comm, r.cmdline, t.user, CASE WHEN s.proto = 'tcp' THEN nullif(l.queues & 4294967295, 4294967295) END AS backlog, t.drops,
       CASE WHEN s.proto = 'udp' THEN (SELECT s.local_port BETWEEN low AND high FROM ports q WHERE q.netns IS s.netns AND min(l.last_sample, z) BETWEEN q.f AND q.l) ELSE 0 END AS maybe_client, s.cookie
  FROM w CROSS JOIN (SELECT * FROM ended UNION ALL SELECT * FROM alive) l
  CROSS JOIN socket s ON s.id = l.id CROSS JOIN socket_tuple t ON t.id = l.tuple
  CROSS JOIN sample e ON e.id = l.last_sample LEFT JOIN sample b ON b.id = s.first_sample
  LEFT JOIN process r ON r.id = t.process
 WHERE t.state = 'LISTEN' OR s.proto = 'udp' AND s.local_port > 0
 ORDER BY s.proto, s.local_port, first_seen
