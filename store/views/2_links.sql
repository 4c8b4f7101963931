-- Which program talked to which in the window, or to which address and service? A connection of which both ends are on this machine is in one row, with both programs.
--
-- from_netns: Inode number of the network namespace of the end that connected; NULL where that is not on this machine.
-- from_comm: Name of its program; NULL where that is not known.
-- from_container: Container of that program.
-- from_addr: Address that it connected from.
-- to_netns: Inode number of the network namespace of the end that it connected to; NULL where that is not on this machine.
-- to_comm: Name of its program, also where that has the port and no socket of its own for the connection, as of UDP, and to_addr is loopback; NULL where it is not known.
-- to_container: Container of that program.
-- to_addr: Address that was connected to.
-- proto: tcp or udp; of udp there are the connected sockets.
-- port: Port of the service.
-- here: Of which ends a socket was seen on this machine: from, to or both. Behind NAT each end has other addresses, so that both are told as two rows.
-- guessed: 1 where nobody saw which end connected: it is taken to be the one of the higher port. Else 0.
-- connections (sockets): Connections that were there in the window; without those that only closed_counts has.
-- opened (sockets): Of these, those that no sample saw before the window.
-- bytes_sent (bytes): Payload that went from the one that connected to the other in the window, retransmits included where its own end was seen; NULL where it is not known,
-- as of udp.
-- bytes_received (bytes): Payload that came back.
-- first (unix s): When the first of these connections was there, in the window.
-- last (unix s): When the last of them was.
WITH
w AS MATERIALIZED (
  SELECT since, until, (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM "window"),
-- The last span in the window of each socket that was there: those that ended in it, and those that were there at its end.
last AS (
  SELECT s.id, s.last_sample AS upto, p.tuple, p.bytes_sent, p.bytes_received
    FROM w CROSS JOIN socket s ON s.last_sample BETWEEN a AND z - 1 CROSS JOIN socket_span p ON p.id = s.last_sample << 32 | s.id
  UNION ALL
  SELECT p.id & 4294967295, z, p.tuple, p.bytes_sent, p.bytes_received
    FROM w CROSS JOIN socket_span p ON p.id BETWEEN z << 32 AND ((z + K_sockets) << 32) - 1 AND (p.id >> 32) - p.length <= z
  UNION ALL
  SELECT p.subject, z, p.tuple, p.bytes_sent, p.bytes_received FROM w CROSS JOIN socket_open p ON p.from_sample <= z),
seen AS MATERIALIZED (
  SELECT s.id, s.netns, s.proto, s.local_addr, s.local_port, s.remote_addr, s.remote_port, s.cookie, t.state, t.direction, t.process, t.owner_how, t.ended, l.bytes_sent, l.bytes_received,
         s.first_sample, l.upto, s.since
    FROM last l CROSS JOIN socket s ON s.id = l.id CROSS JOIN socket_tuple t ON t.id = l.tuple
   WHERE s.proto IN ('tcp', 'udp')),
-- What those had moved already that the first sample of the window saw.
before AS MATERIALIZED (
  SELECT p.id & 4294967295 AS id, p.bytes_sent, p.bytes_received
    FROM w CROSS JOIN socket_span p ON p.id BETWEEN a << 32 AND ((a + K_sockets) << 32) - 1 AND (p.id >> 32) - p.length <= a
  UNION ALL
  SELECT p.subject, p.bytes_sent, p.bytes_received FROM w CROSS JOIN socket_open p ON p.from_sample <= a),
listening AS MATERIALIZED (
  SELECT netns, proto, local_port, iif(min(coalesce(process, 0)) = max(process), min(process), NULL) AS process -- where it is one
    FROM seen WHERE state = 'LISTEN' OR proto = 'udp' AND local_port > 0 AND remote_port = 0 GROUP BY netns, proto, local_port),
-- An end of a connection in a row. It is one, whatever became known of it on the way (its inode, once it is accepted).
ends AS (
  SELECT netns, proto, local_addr, local_port, remote_addr, remote_port, max(process) AS process, max(direction) AS direction, 1 AS connections, min(fresh) AS opened,
         max(sent) - coalesce(max(sent_before), 0) AS sent, max(received) - coalesce(max(received_before), 0) AS received, min(first) AS first, max(last) AS last
    FROM (SELECT s.netns, s.proto, s.local_addr, s.local_port, s.remote_addr, s.remote_port, s.cookie, coalesce(c.process, d.process, s.process) AS process,
                 coalesce(s.direction, CASE WHEN c.lived_us IS NOT NULL THEN 'out' WHEN coalesce(c.owner_how, s.owner_how) = 'listener' OR g.netns IS NOT NULL THEN 'in' END) AS direction,
                 b.id IS NULL AS fresh, max(coalesce(c.bytes_sent, s.bytes_sent), coalesce(s.bytes_sent, 0)) AS sent, b.bytes_sent AS sent_before,
                 max(coalesce(c.bytes_received, s.bytes_received), coalesce(s.bytes_received, 0)) AS received, b.bytes_received AS received_before,
                 max(w.since, coalesce(c.ts - c.lived_us / 1e6, s.since, f.ts, w.since)) AS first, coalesce(c.ended, c.ts, s.ended, u.ts) AS last
            FROM w CROSS JOIN seen s CROSS JOIN sample u ON u.id = s.upto LEFT JOIN sample f ON f.id = s.first_sample LEFT JOIN before b ON b.id = s.id LEFT JOIN close c ON c.socket = s.id AND c.ts <= w.until LEFT JOIN close_tuple d ON d.id = c.tuple
            LEFT JOIN listening g ON g.local_port = s.local_port AND g.netns = s.netns AND g.proto = s.proto
           WHERE s.remote_port > 0)
   GROUP BY cookie, netns, proto, local_addr, local_port, remote_addr, remote_port
  UNION ALL
  SELECT c.netns, c.proto, c.local_addr, c.local_port, c.remote_addr, c.remote_port, c.process,
         CASE WHEN c.lived_us IS NOT NULL OR c.connect_us IS NOT NULL THEN 'out' WHEN c.owner_how = 'listener' OR g.netns IS NOT NULL THEN 'in' END, 1, 1, c.bytes_sent, c.bytes_received,
         max(since, c.ts - coalesce(c.lived_us / 1e6, c.lived_ms / 1000.0, 0)), coalesce(c.ended, c.ts)
    FROM w CROSS JOIN WHOLE_close c ON c.ts BETWEEN since AND until
    LEFT JOIN listening g ON g.local_port = c.local_port AND g.netns = c.netns AND g.proto = c.proto
   WHERE c.socket IS NULL AND c.remote_port > 0),
turned AS (
  SELECT *, direction IS NULL AS guessed, CASE direction WHEN 'out' THEN 1 WHEN 'in' THEN 0 ELSE local_port > remote_port END AS client FROM ends),
-- Both ends of a connection have its addresses and ports. Loopback addresses are those of one namespace.
joined AS (
  SELECT proto, iif(client, local_addr, remote_addr) AS from_addr, iif(client, remote_addr, local_addr) AS to_addr, iif(client, remote_port, local_port) AS port,
         max(iif(client, netns, NULL)) AS from_netns, max(iif(client, process, NULL)) AS from_process, max(iif(client, NULL, netns)) AS to_netns, max(iif(client, NULL, process)) AS to_process,
         max(client) AS has_from, min(client) = 0 AS has_to, min(guessed) AS guessed,
         max(total(client), count(*) - total(client)) AS connections, max(total(iif(client, opened, 0)), total(iif(client, 0, opened))) AS opened,
         coalesce(sum(iif(client, sent, NULL)), sum(iif(client, NULL, received))) AS sent, coalesce(sum(iif(client, received, NULL)), sum(iif(client, NULL, sent))) AS received,
         min(first) AS first, max(last) AS last
    FROM turned
   GROUP BY proto, iif(client, local_addr, remote_addr), iif(client, local_port, remote_port), iif(client, remote_addr, local_addr), iif(client, remote_port, local_port),
         iif(local_addr LIKE '127.%' OR local_addr = '::1', netns, 0)),
-- An end of UDP that is not connected has no socket for the connection. On loopback it is what has the port.
served AS MATERIALIZED (
  SELECT j.*, coalesce(j.to_netns, g.netns) AS server_netns, coalesce(j.to_process, g.process) AS server_process
    FROM joined j LEFT JOIN listening g ON NOT j.has_to AND (j.to_addr LIKE '127.%' OR j.to_addr = '::1') AND g.local_port = j.port AND g.netns = j.from_netns AND g.proto = j.proto),
-- The container of each process of these.
program AS MATERIALIZED (
  SELECT r.id, r.comm, (SELECT t.container_id FROM process_tuple t WHERE t.id = coalesce((SELECT tuple FROM process_open WHERE subject = r.id), (SELECT tuple FROM process_span WHERE id = r.last_sample << 32 | r.id))) AS container
    FROM (SELECT from_process AS process FROM served UNION SELECT server_process FROM served) CROSS JOIN process r ON r.id = process)
SELECT from_netns, f.comm AS from_comm, f.container AS from_container, from_addr, server_netns AS to_netns, t.comm AS to_comm, t.container AS to_container, to_addr, proto, port,
       CASE WHEN has_from AND has_to THEN 'both' WHEN has_from THEN 'from' ELSE 'to' END AS here, guessed, CAST(sum(connections) AS INTEGER) AS connections, CAST(sum(opened) AS INTEGER) AS opened,
       sum(sent) AS bytes_sent, sum(received) AS bytes_received, min(first) AS first, max(last) AS last
  FROM served LEFT JOIN program f ON f.id = from_process LEFT JOIN program t ON t.id = server_process
 GROUP BY from_netns, f.comm, f.container, from_addr, server_netns, t.comm, t.container, to_addr, proto, port, has_from, has_to, guessed
 ORDER BY total(sent) + total(received) DESC, sum(connections) DESC
