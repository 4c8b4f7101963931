-- What was there in the window for the first time: listeners, programs, addresses of other machines, interfaces, hardware addresses and kernel modules that the recording does not know from before?
--
-- ts (unix s): When it is known to have been there first.
-- kind: listener, peer (an address of another machine), program (an executable that holds a socket), interface, neighbor (a hardware address on the link) or module (of the kernel).
-- what: The new thing in words.
-- comm: Name of the program that listens, or spoke with the peer, or of the new executable; NULL where none is known.
-- exe: Path of its executable; NULL of a peer.
-- pid: Its process; NULL of a peer.
-- proto: Of a listener: tcp, udp, unix, sctp or vsock.
-- local_addr: Of a listener, the address it listens on.
-- local_port: Of a listener, its port.
-- remote_addr: Address of a peer, or IP address of a neighbor.
-- dev: Name of the interface.
-- known_since (unix s): Since when the recording knows such things: what was there before that, and not since, nobody knows. Of peers that is as long as peers_1d are kept, of the others as samples are.
-- maybe_before: 1 of a peer that may have been there before; see peers. Else 0.
WITH
w AS MATERIALIZED (
  SELECT since, until, (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z,
         (SELECT min(ts) FROM sample) AS known_since, (SELECT min(id) FROM sample) AS first
    FROM "window"),
-- What the first sample of all saw is not new.
program AS MATERIALIZED (
  SELECT r.exe, r.comm, min(r.id) AS id, min(r.first_sample) AS first_sample
    FROM w CROSS JOIN process r ON r.first_sample BETWEEN max(a, first + 1) AND z
   WHERE r.exe IS NOT NULL AND NOT EXISTS (SELECT 1 FROM process o WHERE o.exe = r.exe AND o.first_sample < a) GROUP BY r.exe),
-- Each entry with the hardware address that it had last: one may be that of several entries, of IPv4 and of IPv6.
device AS MATERIALIZED (
  SELECT t.mac, min(n.first_sample) AS first_sample, min(n.id) AS id
    FROM neighbor n CROSS JOIN neighbor_tuple t ON t.id = coalesce((SELECT tuple FROM neighbor_open WHERE subject = n.id), (SELECT tuple FROM neighbor_span WHERE id = n.last_sample << 32 | n.id))
   WHERE t.mac <> '00:00:00:00:00:00' AND t.mac NOT LIKE '33:33:%' AND t.mac NOT LIKE '01:00:5e:%' GROUP BY t.mac) -- those are of groups
SELECT l.first_seen AS ts, 'listener' AS kind, l.proto || ' ' || coalesce(CASE WHEN l.local_addr LIKE '%:%' THEN '[' || l.local_addr || ']' ELSE l.local_addr END || ':' || l.local_port, l.path) || coalesce(' of ' || l.comm, '') AS what,
       l.comm, (SELECT exe FROM process WHERE pid = l.pid AND comm = l.comm ORDER BY id DESC LIMIT 1) AS exe, l.pid, l.proto, l.local_addr, l.local_port, NULL AS remote_addr, l.dev, w.known_since, 0 AS maybe_before
  FROM w CROSS JOIN listeners l
 WHERE l.first_seen BETWEEN w.since AND w.until AND l.first_seen > w.known_since AND l.local_port > 0 AND l.maybe_client IS NOT 1
   AND NOT EXISTS (
       SELECT 1 FROM socket s WHERE s.local_port = l.local_port AND s.local_port > 0 AND s.remote_port = 0 AND s.first_sample < w.a AND s.proto = l.proto AND s.local_addr IS l.local_addr
          AND (SELECT r.comm FROM socket_tuple t CROSS JOIN process r ON r.id = t.process
                WHERE t.id = coalesce((SELECT tuple FROM socket_open WHERE subject = s.id), (SELECT tuple FROM socket_span WHERE id = s.last_sample << 32 | s.id))) IS l.comm)
 GROUP BY l.proto, l.local_addr, l.local_port, l.comm
UNION ALL
SELECT p.first_seen, 'peer', p.remote_addr || ' (' || p.class || ') ' || p.services || ' with ' || p.programs, iif(p.programs LIKE '%,%' OR p.programs = '?', NULL, p.programs), NULL, NULL, NULL, NULL, NULL, p.remote_addr, NULL, p.known_since, p.maybe_before
  FROM w CROSS JOIN peers p
 WHERE p.first_seen BETWEEN w.since AND w.until AND p.first_seen > max(p.known_since, w.known_since)
UNION ALL
SELECT m.ts, 'program', g.exe || ' (' || coalesce(g.comm, '?') || ')', g.comm, g.exe, r.pid, NULL, NULL, NULL, NULL, NULL, w.known_since, 0
  FROM w CROSS JOIN program g CROSS JOIN process r ON r.id = g.id CROSS JOIN sample m ON m.id = g.first_sample
UNION ALL
SELECT m.ts, 'interface', i.name, NULL, NULL, NULL, NULL, NULL, NULL, NULL, i.name, w.known_since, 0
  FROM w CROSS JOIN (SELECT name, min(first_sample) AS first_sample FROM interface GROUP BY name) i CROSS JOIN sample m ON m.id = i.first_sample
 WHERE i.first_sample BETWEEN max(w.a, w.first + 1) AND w.z
UNION ALL
SELECT m.ts, 'neighbor', d.mac || ' as ' || n.addr || coalesce(' on ' || n.dev, ''), NULL, NULL, NULL, NULL, NULL, NULL, n.addr, n.dev, w.known_since, 0
  FROM w CROSS JOIN device d CROSS JOIN neighbor n ON n.id = d.id CROSS JOIN sample m ON m.id = d.first_sample
 WHERE d.first_sample BETWEEN max(w.a, w.first + 1) AND w.z
UNION ALL
-- A recording may be older than its first look at modules.
SELECT m.ts, 'module', k.name || coalesce(' (' || k.taints || ')', ''), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, n.ts, 0
  FROM w CROSS JOIN (SELECT min(first_sample) AS id FROM source WHERE source = 'modules') l CROSS JOIN sample n ON n.id = l.id
 CROSS JOIN (SELECT name, min(first_sample) AS first_sample, max(id) AS id FROM module GROUP BY name) g ON g.first_sample BETWEEN max(w.a, l.id + 1) AND w.z CROSS JOIN sample m ON m.id = g.first_sample
  LEFT JOIN (SELECT s.id, s.name, t.taints FROM module s CROSS JOIN module_tuple t ON t.id = coalesce((SELECT tuple FROM module_open WHERE subject = s.id), (SELECT tuple FROM module_span WHERE id = s.last_sample << 32 | s.id))) k ON k.id = g.id
 ORDER BY 1, 2, 3
