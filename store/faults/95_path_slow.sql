-- Is the way to a service three times as long as at the same time the day before, and 10 ms longer?
--
-- It looks at the last hour of the window only, and is silent where nothing is recorded of the day before. It compares the shortest round-trip time of each
-- connection (the kernel's, of five minutes), which the queue of its own bytes raises least, and takes half of three connections or more. One that
-- sent nothing in that hour measured nothing. What is open has its shortest rounded down, by a third at the most.
WITH w AS MATERIALIZED (
  SELECT day, since, until, (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z
    FROM (SELECT 0 AS day, max(since, until - 3600) AS since, until FROM "window" UNION ALL SELECT 1, max(since, until - 3600) - 86400, until - 86400 FROM "window")),
seen AS (
  SELECT day, w.since, until, s.last_sample AS at, s.id, tuple
    FROM w CROSS JOIN socket s ON s.last_sample BETWEEN a AND z - 1 CROSS JOIN socket_span p ON p.id = s.last_sample << 32 | s.id
  UNION ALL
  SELECT day, since, until, z, id & 4294967295, tuple FROM w CROSS JOIN socket_span p ON p.id BETWEEN z << 32 AND ((z + K_sockets) << 32) - 1 AND (p.id >> 32) - p.length <= z
  UNION ALL
  SELECT day, since, until, z, subject, tuple FROM w CROSS JOIN socket_open p ON p.from_sample <= z),
one AS (
  SELECT day, coalesce(c.ts, b.ts) AS ts, s.netns, coalesce(c.process, d.process, t.process) AS process, s.remote_addr, s.remote_port, coalesce(c.min_rtt_us, t.min_rtt_us) AS rtt
    FROM seen e CROSS JOIN socket s ON s.id = e.id AND s.proto = 'tcp' AND s.remote_port > 0 CROSS JOIN socket_tuple t ON t.id = e.tuple AND (t.last_sent IS NULL OR t.last_sent >= e.since) CROSS JOIN sample b ON b.id = e.at
    LEFT JOIN close c ON c.socket = e.id AND c.ts <= e.until LEFT JOIN close_tuple d ON d.id = c.tuple
   WHERE (t.direction = 'out' OR c.lived_us IS NOT NULL) AND coalesce(c.min_rtt_us, t.min_rtt_us) IS NOT NULL
  UNION ALL
  SELECT day, ts, netns, process, remote_addr, remote_port, min_rtt_us
    FROM w CROSS JOIN WHOLE_close c ON c.ts BETWEEN w.since AND until
   WHERE c.socket IS NULL AND c.proto = 'tcp' AND c.remote_port > 0 AND (c.lived_us IS NOT NULL OR c.connect_us IS NOT NULL) AND min_rtt_us IS NOT NULL),
middle AS MATERIALIZED (
  SELECT service, day, count(*) AS n, min(iif(slower >= 0.5, rtt, NULL)) / 1000.0 AS rtt, min(iif(slower >= 0.5, ts, NULL)) AS since, max(iif(slower >= 0.5, ts, NULL)) AS last,
         max(netns) AS netns, max(comm) AS comm, min(pid) AS pid, count(DISTINCT pid) AS pids, max(remote_addr) AS remote_addr, max(remote_port) AS remote_port
    FROM (SELECT *, cume_dist() OVER (PARTITION BY service, day ORDER BY rtt) AS slower
            FROM (SELECT remote_addr || ' ' || remote_port || ' ' || coalesce(netns, '') || coalesce(':' || comm, '') AS service, day, ts, netns, comm, pid, remote_addr, remote_port, rtt
                    FROM one LEFT JOIN process r ON r.id = process
                   WHERE remote_addr IN (SELECT remote_addr FROM one WHERE day = 0 AND rtt >= 10000))) -- spares the sort of those that are near
   GROUP BY service, day)
SELECT 'warning' AS severity, 'hint' AS sure, n.since, iif(n.last > w.until - 300, NULL, n.last) AS until, n.last, n.netns,
       printf('The way to %s port %d is slow for %s: a round trip takes %.1f ms, and took %.1f ms at the same time the day before (half of %d connections, and of %d)', n.remote_addr, n.remote_port, coalesce(n.comm, 'a program'), n.rtt, b.rtt, n.n, b.n) AS what,
       n.comm || iif(n.pids = 1, ' (pid ' || n.pid || ')', iif(n.pids > 1, ' (' || n.pids || ' processes)', '')) AS who, iif(n.pids = 1, n.pid, NULL) AS pid, n.comm,
       NULL AS local_port, n.remote_addr, n.remote_port, NULL AS dev, 'rtt' AS symptom,
       printf('SELECT opened, closed, comm, pid, rtt_ms, connect_ms FROM connections WHERE remote_addr = ''%s'' AND remote_port = %d ORDER BY opened', n.remote_addr, n.remote_port) AS evidence,
       'See whether other services have it too (then it is near this machine): SELECT * FROM upstreams. A link that something here fills does the same: SELECT * FROM top_talkers, FROM fault_link_full. Else another route, or a full queue on the way.' AS next
  FROM middle n JOIN middle b ON b.service = n.service AND b.day = 1 JOIN w ON w.day = 0
 WHERE n.day = 0 AND n.n >= 3 AND b.n >= 3 AND n.rtt >= 3 * b.rtt AND n.rtt >= b.rtt + 10
