-- Which process moved most over TCP in the window? Connections that no sample saw are in it.
--
-- netns: Inode number of the network namespace.
-- pid: Process id; NULL where the owner is not known.
-- comm: Name of the program.
-- cmdline: Its command line.
-- bytes_sent (bytes): Payload that its connections sent, retransmits included; NULL where nothing of it is known, see closed_unknown.
-- bytes_received (bytes): Payload that they received; see traffic for the byte of a FIN.
-- retransmits (segments): Segments that they sent again.
-- closed (sockets): Connections of it that were closed.
-- closed_unknown (sockets): Of these, connections whose numbers the kernel had forgotten (SO_LINGER 0): what they moved, or moved
-- at the end, is missing in the sums.
-- since (unix s): First sample of the window in which it had a connection.
-- until (unix s): Last one.
WITH
w AS (
  SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
         (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z
    FROM "window"),
-- Spans that reach into the window, and the samples f … t of it at which their values held.
piece AS (
  SELECT p.id & 4294967295 AS subject, max((p.id >> 32) - p.length, w.a) AS f, min(p.id >> 32, w.z) AS t,
         p.bytes_sent, p.bytes_received, p.retransmits, p.closed, p.closed_unknown
    FROM w CROSS JOIN traffic_sum_span p
      ON p.id BETWEEN w.a << 32 AND ((w.z + K_traffic) << 32) - 1 AND (p.id >> 32) - p.length <= w.z
  UNION ALL
  SELECT p.subject, max(p.from_sample, w.a), w.z, p.bytes_sent, p.bytes_received, p.retransmits, p.closed, p.closed_unknown
    FROM w CROSS JOIN traffic_sum_open p ON p.from_sample <= w.z),
summed AS (
  SELECT subject, sum(bytes_sent * (t - f + 1)) AS sent, sum(bytes_received * (t - f + 1)) AS received,
         sum(retransmits * (t - f + 1)) AS retransmits, sum(closed * (t - f + 1)) AS closed, sum(closed_unknown * (t - f + 1)) AS unknown, min(f) AS f, max(t) AS t
    FROM piece GROUP BY subject)
-- In recordings before format 6 a process that had no connection for a while is another subject when it has one again.
SELECT netns, pid, comm, cmdline, iif(known, sent, NULL) AS bytes_sent, iif(known, received, NULL) AS bytes_received,
       iif(known, retransmits, NULL) AS retransmits, closed, closed_unknown, since, until
  FROM (SELECT s.netns, r.pid, r.comm, r.cmdline, sum(g.sent) AS sent, sum(g.received) AS received, sum(g.retransmits) AS retransmits,
               sum(g.closed) AS closed, sum(g.unknown) AS closed_unknown, min(b.ts) AS since, max(e.ts) AS until,
               -- Of a process that only listens 0 bytes are known, beside connections of which nothing is.
               sum(g.closed) > coalesce(sum(g.unknown), 0) OR coalesce(sum(g.unknown), 0) = 0 OR total(g.sent) + total(g.received) > 0 AS known
          FROM summed g CROSS JOIN traffic_sum s ON s.id = g.subject
          CROSS JOIN sample b ON b.id = g.f CROSS JOIN sample e ON e.id = g.t
          LEFT JOIN process r ON r.id = s.process
         GROUP BY s.netns, r.pid, r.started, r.comm, r.exe, r.cmdline)
 WHERE closed > 0 OR sent + received > 0
 ORDER BY sent + received DESC
