-- Which service that a program connects to fails, is slow or loses packets, in the window, and how was it a day before?
--
-- netns: Inode number of the network namespace.
-- comm: Name of the program; NULL where no process is known.
-- remote_addr: Address of the service.
-- remote_port: Its port.
-- connections (sockets): TCP connections to it that were there in the window. Only those of which it is known that they were made here.
-- attempts (sockets): Of these, those opened in the window.
-- refused (sockets): Of these, those that the other end refused.
-- unanswered (sockets): Those that nobody answered.
-- reset (sockets): Connections that ended by a reset in the window, of either end.
-- established (sockets): Of attempts, those that came about.
-- connect_p50_ms (ms): From connect to the answer: half of the attempts took no longer. NULL where nobody saw that.
-- connect_p95_ms (ms): 95 of 100 took no longer.
-- rtt_p50_ms (ms): Smoothed round-trip time of the connections, at their end or at that of the window: half of them had no longer one.
-- rtt_p95_ms (ms): 95 of 100 had no longer one.
-- retransmits (segments): Segments that these connections sent again since they were opened.
-- limited_by: What held their sending back for most of the time in which there was something to send: them (their receive window), us (the send buffer
-- here), path (neither). NULL where nothing was to be sent, and of connections that no sample saw.
-- attempts_before (sockets): attempts in the same window the day before; NULL where no sample of that time is kept.
-- failed_before (sockets): Of these, those refused or unanswered.
-- connect_p50_before_ms (ms): connect_p50_ms then.
-- rtt_p50_before_ms (ms): rtt_p50_ms then.
-- rtt_p95_before_ms (ms): rtt_p95_ms then.
-- retransmits_before (segments): retransmits then.
WITH
w AS MATERIALIZED (
  SELECT day, since, until, (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z
    FROM (SELECT 0 AS day, since, until FROM "window" UNION ALL SELECT 1, since - 86400, until - 86400 FROM "window")),
-- The last span in the window of each socket that was there: those that ended in it, and those that were there at its end.
seen AS (
  SELECT day, a, until, s.id, s.first_sample, s.netns, s.remote_addr, s.remote_port, p.tuple, p.rtt_us, p.busy
    FROM w CROSS JOIN socket s ON s.last_sample BETWEEN a AND z - 1 CROSS JOIN socket_span p ON p.id = s.last_sample << 32 | s.id
   WHERE s.proto = 'tcp' AND s.remote_port > 0
  UNION ALL
  SELECT day, a, until, s.id, s.first_sample, s.netns, s.remote_addr, s.remote_port, p.tuple, p.rtt_us, p.busy
    FROM w CROSS JOIN socket_span p ON p.id BETWEEN z << 32 AND ((z + K_sockets) << 32) - 1 AND (p.id >> 32) - p.length <= z CROSS JOIN socket s ON s.id = p.id & 4294967295
   WHERE s.proto = 'tcp' AND s.remote_port > 0
  UNION ALL
  SELECT day, a, until, s.id, s.first_sample, s.netns, s.remote_addr, s.remote_port, p.tuple, p.rtt_us, p.busy
    FROM w CROSS JOIN socket_open p ON p.from_sample <= z CROSS JOIN socket s ON s.id = p.subject
   WHERE s.proto = 'tcp' AND s.remote_port > 0),
one AS (
  SELECT day, p.netns, coalesce(c.process, d.process, t.process) AS process, p.remote_addr, p.remote_port,
         p.first_sample > p.a OR p.first_sample = p.a AND c.ts - c.lived_us / 1e6 >= (SELECT since FROM "window") - 86400 * day AS attempt,
         coalesce(c.outcome, d.outcome) AS outcome, t.state <> 'SYN_SENT' AS came, c.connect_us, coalesce(c.rtt_us, p.rtt_us) AS rtt_us,
         coalesce(c.retransmits, t.retransmits) AS retransmits, nullif(p.busy & 4294967295, 4294967295) AS busy, nullif(p.busy >> 32 & 4294967295, 4294967295) AS rwnd, t.sndbuf_limited_ms AS sndbuf
    FROM seen p CROSS JOIN socket_tuple t ON t.id = p.tuple AND t.state <> 'LISTEN'
    LEFT JOIN close c ON c.socket = p.id AND c.ts <= p.until LEFT JOIN close_tuple d ON d.id = c.tuple
   WHERE t.direction = 'out' OR c.lived_us IS NOT NULL
  UNION ALL
  SELECT day, c.netns, c.process, c.remote_addr, c.remote_port, 1, outcome, outcome IS NULL, connect_us, rtt_us, retransmits, NULL, NULL, NULL
    FROM w CROSS JOIN WHOLE_close c ON c.ts BETWEEN since AND until
   WHERE c.socket IS NULL AND c.proto = 'tcp' AND c.remote_port > 0 AND (c.lived_us IS NOT NULL OR c.connect_us IS NOT NULL)),
-- All are sorted three times by the service and its client, which is most of the time that the view takes: one text is compared faster than five columns,
-- and what is sorted for a rank is narrow.
keyed AS MATERIALIZED (
  SELECT remote_addr || ' ' || remote_port || ' ' || coalesce(o.netns, '') || ' ' || day || coalesce(':' || r.comm, '') AS service, o.*, r.comm
    FROM one o LEFT JOIN process r ON r.id = o.process),
connects AS (
  SELECT service, min(CASE WHEN took >= 0.5 THEN connect_us END) / 1000.0 AS p50, min(CASE WHEN took >= 0.95 THEN connect_us END) / 1000.0 AS p95
    FROM (SELECT service, connect_us, cume_dist() OVER (PARTITION BY service ORDER BY connect_us) AS took FROM keyed WHERE connect_us IS NOT NULL) GROUP BY service),
rtts AS (
  SELECT service, min(CASE WHEN took >= 0.5 THEN rtt_us END) / 1000.0 AS p50, min(CASE WHEN took >= 0.95 THEN rtt_us END) / 1000.0 AS p95
    FROM (SELECT service, rtt_us, cume_dist() OVER (PARTITION BY service ORDER BY rtt_us) AS took FROM keyed WHERE rtt_us IS NOT NULL) GROUP BY service),
counted AS (
  SELECT service, day, netns, comm, remote_addr, remote_port, count(*) AS connections, total(attempt) AS attempts, total(attempt AND outcome IS 'refused') AS refused,
         total(attempt AND outcome IS 'unanswered') AS unanswered, total(outcome LIKE 'reset%') AS reset,
         total(attempt AND CASE WHEN outcome IN ('refused', 'unanswered', 'no local port') THEN 0 ELSE outcome IS NOT NULL OR came END) AS established,
         sum(retransmits) AS retransmits, CASE WHEN sum(busy) > 0 THEN CASE WHEN 2 * total(rwnd) >= sum(busy) THEN 'them' WHEN 2 * total(sndbuf) >= sum(busy) THEN 'us' ELSE 'path' END END AS limited_by
    FROM keyed GROUP BY service),
summed AS MATERIALIZED (
  SELECT n.*, c.p50 AS connect_p50, c.p95 AS connect_p95, t.p50 AS rtt_p50, t.p95 AS rtt_p95
    FROM counted n LEFT JOIN connects c ON c.service = n.service LEFT JOIN rtts t ON t.service = n.service)
SELECT n.netns, n.comm, n.remote_addr, n.remote_port, n.connections, CAST(n.attempts AS INTEGER) AS attempts, CAST(n.refused AS INTEGER) AS refused, CAST(n.unanswered AS INTEGER) AS unanswered,
       CAST(n.reset AS INTEGER) AS reset, CAST(n.established AS INTEGER) AS established, n.connect_p50 AS connect_p50_ms, n.connect_p95 AS connect_p95_ms, n.rtt_p50 AS rtt_p50_ms, n.rtt_p95 AS rtt_p95_ms, n.retransmits, n.limited_by,
       CASE WHEN w.z >= w.a THEN CAST(coalesce(b.attempts, 0) AS INTEGER) END AS attempts_before, CASE WHEN w.z >= w.a THEN CAST(coalesce(b.refused + b.unanswered, 0) AS INTEGER) END AS failed_before,
       b.connect_p50 AS connect_p50_before_ms, b.rtt_p50 AS rtt_p50_before_ms, b.rtt_p95 AS rtt_p95_before_ms, b.retransmits AS retransmits_before
  FROM summed n CROSS JOIN w ON w.day = 1
  LEFT JOIN summed b ON b.day = 1 AND b.netns IS n.netns AND b.comm IS n.comm AND b.remote_addr = n.remote_addr AND b.remote_port = n.remote_port
 WHERE n.day = 0
 ORDER BY n.refused + n.unanswered + n.reset DESC, n.connections DESC
