-- What is other in the window than in the same time before it (a day before, unless doctor --against says otherwise), the most unusual first?
--
-- unusual: How unusual it is, from 0 to 100. Three times as much of what is steady (round-trip time) is more unusual than three times as much of what is not (bytes), much more of many
-- is more so than of few, and a setting or a route that is another one is more so than either. The scale is netsql's own.
-- kind: What is compared: rtt, connect time, failed connections, retransmits, connections, service, client, bytes, sockets, program, counter, listener, setting, route, address,
-- interface, rule, firewall or module.
-- what: The difference in words.
-- was: What it was before: a number, in the unit that what names, or a text; NULL where it was not there.
-- now: What it is in the window, of settings and the like at its end; NULL where it is not there.
-- times: How many times as much it is now; NULL where that makes no sense.
-- comm: Name of the program.
-- local_port: Port of the service on this machine.
-- remote_addr: Address of the other end.
-- remote_port: Port of the service on another machine.
WITH
-- The window and the time before it, where there are samples of both. times is how much longer the window was watched.
w AS MATERIALIZED (
  SELECT *, iif(day = 0, 1.0, max(iif(day = 0, watched, NULL)) OVER () / max(iif(day = 1, watched, NULL)) OVER ()) AS times, count(*) OVER () AS days
    FROM (SELECT *, (SELECT ts FROM sample WHERE id = z) AS zts, (SELECT ts FROM sample WHERE id = a) AS ats,
                 until - since - coalesce((SELECT sum(min(coalesce(g.until, w.until), w.until) - max(g.since, w.since)) FROM gap g WHERE g.source IS NULL AND g.since < w.until AND coalesce(g.until, 1e12) > w.since), 0) AS watched
            FROM (SELECT *, (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z
                    FROM (SELECT 0 AS day, since, until FROM "window" UNION ALL SELECT 1, since, until FROM window_before)) w
           WHERE z > a)
   WHERE watched > 0),
-- Connections: the last span in its window of each socket that was there, and those that no sample saw.
last AS (
  SELECT day, times, until, s.id, p.tuple, p.rtt_us, p.segs_out
    FROM w CROSS JOIN socket s ON s.last_sample BETWEEN a AND z - 1 CROSS JOIN socket_span p ON p.id = s.last_sample << 32 | s.id
  UNION ALL
  SELECT day, times, until, p.id & 4294967295, p.tuple, p.rtt_us, p.segs_out
    FROM w CROSS JOIN socket_span p ON p.id BETWEEN z << 32 AND ((z + K_sockets) << 32) - 1 AND (p.id >> 32) - p.length <= z
  UNION ALL
  SELECT day, times, until, p.subject, p.tuple, p.rtt_us, p.segs_out FROM w CROSS JOIN socket_open p ON p.from_sample <= z),
seen AS MATERIALIZED (
  SELECT l.day, l.times, l.until, s.id, s.netns, s.proto, s.local_addr, s.local_port, s.remote_addr, s.remote_port, l.rtt_us, l.segs_out, t.state, t.direction, t.process, t.retransmits
    FROM last l CROSS JOIN socket s ON s.id = l.id CROSS JOIN socket_tuple t ON t.id = l.tuple WHERE s.proto IN ('tcp', 'udp')),
listening AS MATERIALIZED (SELECT DISTINCT netns, proto, local_port FROM seen WHERE state = 'LISTEN'),
connection AS (
  SELECT day, times, s.process, coalesce(s.direction, CASE WHEN g.netns IS NOT NULL THEN 'in' ELSE 'out' END) AS direction, s.remote_addr, s.local_port, s.remote_port, coalesce(c.rtt_us, s.rtt_us) AS rtt_us, c.connect_us,
         coalesce(c.retransmits, s.retransmits) AS retransmits, coalesce(c.segs_out, s.segs_out) AS segs, coalesce(c.outcome, d.outcome) IN ('refused', 'unanswered') AS failed
    FROM seen s LEFT JOIN close c ON c.socket = s.id AND c.ts <= s.until LEFT JOIN close_tuple d ON d.id = c.tuple
    LEFT JOIN listening g ON g.local_port = s.local_port AND g.netns = s.netns AND g.proto = s.proto
   WHERE s.remote_port > 0 AND s.proto = 'tcp'
  UNION ALL
  SELECT day, times, c.process, CASE WHEN c.lived_us IS NOT NULL OR c.connect_us IS NOT NULL OR g.netns IS NULL THEN 'out' ELSE 'in' END, c.remote_addr, c.local_port, c.remote_port, c.rtt_us, c.connect_us,
         c.retransmits, c.segs_out, c.outcome IN ('refused', 'unanswered')
    FROM w CROSS JOIN WHOLE_close c ON c.ts BETWEEN since AND until LEFT JOIN listening g ON g.local_port = c.local_port AND g.netns = c.netns AND g.proto = c.proto
   WHERE c.socket IS NULL AND c.proto = 'tcp' AND c.remote_port > 0),
-- The half of them that had the shorter round-trip time: the longest of that is the median.
halves AS (
  SELECT day, times, r.comm, direction, remote_addr, iif(direction = 'in', local_port, remote_port) AS port, rtt_us, connect_us, retransmits, segs, failed,
         ntile(2) OVER (PARTITION BY day, r.comm, direction, remote_addr, iif(direction = 'in', local_port, remote_port), rtt_us IS NULL ORDER BY rtt_us) AS half
    FROM connection c LEFT JOIN process r ON r.id = c.process),
partner AS (
  SELECT day, coalesce(comm, '?') AS comm, direction, remote_addr, port, count(*) AS n, max(times) AS times, max(iif(half = 1, rtt_us, NULL)) / 1000.0 AS rtt_ms, min(rtt_us) / 1000.0 AS least_ms, max(rtt_us) / 1000.0 AS most_ms, avg(connect_us) / 1000.0 AS connect_ms,
         total(retransmits) AS retransmits, total(segs) AS segs, total(failed) * max(times) AS failed
    FROM halves GROUP BY day, comm, direction, remote_addr, port),
-- What each program has to do with each partner, on both days.
pair AS (
  SELECT comm, direction, remote_addr, port, max(iif(day = 0, n, 0)) AS n, max(iif(day = 1, n, 0)) AS n_was, max(times) AS times, max(iif(day = 0, rtt_ms, NULL)) AS rtt, max(iif(day = 1, rtt_ms, NULL)) AS rtt_was,
         max(iif(day = 1, least_ms, NULL)) AS least_was, max(iif(day = 1, most_ms, NULL)) AS most_was,
         max(iif(day = 0, connect_ms, NULL)) AS connect, max(iif(day = 1, connect_ms, NULL)) AS connect_was, max(iif(day = 0, failed, 0)) AS failed, max(iif(day = 1, failed, 0)) AS failed_was,
         max(iif(day = 0, retransmits, 0)) AS again, max(iif(day = 1, retransmits, 0)) AS again_was, max(iif(day = 0, segs, 0)) AS segs, max(iif(day = 1, segs, 0)) AS segs_was
    FROM partner GROUP BY comm, direction, remote_addr, port),
named AS (
  SELECT *, comm || iif(direction = 'out', ' to ' || remote_addr, '') || ' port ' || port || iif(direction = 'in', ' from ' || remote_addr, '') AS who,
         iif(direction = 'in', port, NULL) AS local_port, iif(direction = 'out', port, NULL) AS remote_port, again / segs AS lost, again_was / segs_was AS lost_was,
         sum(n) OVER service AS all_n, sum(n_was * times) OVER service AS all_was, row_number() OVER (PARTITION BY comm, direction, port ORDER BY remote_addr) AS nth,
         -- How many partners of the service were there on one of the days only: where many come and go, one more is nothing unusual.
         sum((n > 0) <> (n_was > 0)) OVER service AS others
    FROM pair WINDOW service AS (PARTITION BY comm, direction, port)),
-- Of two numbers the share by which they differ, of what is steady twice over; times how sure it is, by how many they are of. A round-trip time that was there before, too, is less unusual.
talked AS (
  SELECT CASE i WHEN 0 THEN 100 * (1 - min(rtt, rtt_was) * min(rtt, rtt_was) / (max(rtt, rtt_was) * max(rtt, rtt_was))) * (min(n, n_was) + (direction = 'out')) / (min(n, n_was) + 2.0) * abs(rtt - rtt_was) / (abs(rtt - rtt_was) + 0.5)
                     * iif(n_was > 1 AND rtt BETWEEN least_was AND most_was, 0.6, 1)
                WHEN 1 THEN 95 * (1 - min(connect, connect_was) * min(connect, connect_was) / (max(connect, connect_was) * max(connect, connect_was))) * (min(n, n_was) + (direction = 'out')) / (min(n, n_was) + 2.0) * abs(connect - connect_was) / (abs(connect - connect_was) + 0.5)
                WHEN 2 THEN iif(abs(failed - failed_was) >= 3, 100 * (1 - (min(failed, failed_was) + 1.0) / (max(failed, failed_was) + 1.0))
                     * max(coalesce(failed / (failed + 0.02 * n), 0), coalesce(failed_was / (failed_was + 0.02 * n_was), 0)) * iif(failed > failed_was, 1, 0.5), 0) -- few of many are less
                WHEN 3 THEN iif(min(segs, segs_was) >= 100 AND max(again, again_was) >= 5, 100 * (1 - (min(lost, lost_was) + 0.001) / (max(lost, lost_was) + 0.001)) * max(again, again_was) / (max(again, again_was) + 5.0), 0)
                WHEN 4 THEN iif((n > 0) <> (n_was > 0), iif(direction = 'out', 65, 60) + 20.0 * max(n, n_was) / (max(n, n_was) + 10) - iif(others > 1, 50 - 60.0 / others, 0), 0)
                ELSE iif(nth = 1 AND min(all_n, all_was) > 0 AND max(all_n, all_was) >= 2 * min(all_n, all_was), 90 * (1 - min(all_n, all_was) / max(all_n, all_was)) * abs(all_n - all_was) / (abs(all_n - all_was) + 10.0), 0) END AS unusual,
         CASE i WHEN 0 THEN 'rtt' WHEN 1 THEN 'connect time' WHEN 2 THEN 'failed connections' WHEN 3 THEN 'retransmits' WHEN 4 THEN iif(direction = 'out', 'service', 'client') ELSE 'connections' END AS kind,
         CASE i WHEN 0 THEN who || ': round-trip time ' || round(rtt, 1) || ' ms, was ' || round(rtt_was, 1) || ' ms'
                WHEN 1 THEN who || ': connecting took ' || round(connect, 1) || ' ms on average, was ' || round(connect_was, 1) || ' ms'
                WHEN 2 THEN who || ': ' || CAST(failed AS INTEGER) || ' of ' || n || ' connections failed, were ' || CAST(round(failed_was) AS INTEGER)
                WHEN 3 THEN who || ': ' || round(100 * lost, 1) || ' % of the segments were sent again, was ' || round(100 * lost_was, 1) || ' %'
                WHEN 4 THEN who || iif(n > 0, ': new, ' || n || iif(n = 1, ' connection', ' connections'), ': none any more, were ' || n_was || iif(n_was = 1, ' connection', ' connections'))
                ELSE comm || iif(direction = 'in', ' port ', ' to port ') || port || ': ' || all_n || ' connections, were ' || CAST(round(all_was) AS INTEGER) END AS what,
         CASE i WHEN 0 THEN round(rtt_was, 3) WHEN 1 THEN round(connect_was, 3) WHEN 2 THEN round(failed_was) WHEN 3 THEN round(lost_was, 5) WHEN 4 THEN nullif(n_was, 0) ELSE round(all_was) END AS was,
         CASE i WHEN 0 THEN round(rtt, 3) WHEN 1 THEN round(connect, 3) WHEN 2 THEN failed WHEN 3 THEN round(lost, 5) WHEN 4 THEN nullif(n, 0) ELSE all_n END AS now,
         comm, local_port, iif(i = 5, NULL, remote_addr) AS remote_addr, remote_port
    FROM named CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5)),
-- Sums over the window: traffic of programs, and their sockets.
moved AS (
  SELECT day, s.process, p.bytes_sent * held AS sent, p.bytes_received * held AS received
    FROM (SELECT day, p.id & 4294967295 AS subject, (min(p.id >> 32, z) - max((p.id >> 32) - p.length, a) + 1) * times AS held, p.bytes_sent, p.bytes_received
            FROM w CROSS JOIN traffic_sum_span p ON p.id BETWEEN a << 32 AND ((z + K_traffic) << 32) - 1 AND (p.id >> 32) - p.length <= z
          UNION ALL
          SELECT day, p.subject, (z - max(p.from_sample, a) + 1) * times, p.bytes_sent, p.bytes_received FROM w CROSS JOIN traffic_sum_open p ON p.from_sample <= z) p
    CROSS JOIN traffic_sum s ON s.id = p.subject),
traffic_of AS (
  SELECT r.comm, total(iif(day = 0, sent, 0)) AS sent, total(iif(day = 1, sent, 0)) AS sent_was, total(iif(day = 0, received, 0)) AS received, total(iif(day = 1, received, 0)) AS received_was
    FROM moved m CROSS JOIN process r ON r.id = m.process GROUP BY r.comm),
held AS (
  SELECT day, s.process, s.state, p.count * held / (z - a + 1.0) AS count
    FROM (SELECT day, a, z, p.id & 4294967295 AS subject, min(p.id >> 32, z) - max((p.id >> 32) - p.length, a) + 1 AS held, p.count
            FROM w CROSS JOIN socket_trend_span p ON p.id BETWEEN a << 32 AND ((z + K_socket_trends) << 32) - 1 AND (p.id >> 32) - p.length <= z
          UNION ALL
          SELECT day, a, z, p.subject, z - max(p.from_sample, a) + 1, p.count FROM w CROSS JOIN socket_trend_open p ON p.from_sample <= z) p
    CROSS JOIN socket_trend s ON s.id = p.subject WHERE s.proto IN ('tcp', 'udp')),
sockets_of AS (
  SELECT comm, state, n, n_was, sum(n) OVER (PARTITION BY comm) AS all_n, sum(n_was) OVER (PARTITION BY comm) AS all_was, row_number() OVER (PARTITION BY comm ORDER BY state) AS nth
    FROM (SELECT coalesce(r.comm, '?') AS comm, state, total(iif(day = 0, count, 0)) AS n, total(iif(day = 1, count, 0)) AS n_was FROM held h LEFT JOIN process r ON r.id = h.process GROUP BY 1, state)),
-- Counters at the begin and at the end of each window, where no boot came between.
counted AS (
  SELECT day, times, 0 AS last, c.netns, c.proto || ' ' || c.name AS name, c.value FROM w CROSS JOIN protocol_counters c ON c.ts = w.ats WHERE c.kind = 'counter'
  UNION ALL
  SELECT day, times, 1, c.netns, c.proto || ' ' || c.name, c.value FROM w CROSS JOIN protocol_counters c ON c.ts = w.zts WHERE c.kind = 'counter'
  UNION ALL
  SELECT day, times, last, netns, name || CASE i WHEN 0 THEN ' rx_errors' WHEN 1 THEN ' tx_errors' WHEN 2 THEN ' rx_dropped' WHEN 3 THEN ' tx_dropped' WHEN 4 THEN ' rx_missed_errors' ELSE ' rx_crc_errors' END,
         CASE i WHEN 0 THEN rx_errors WHEN 1 THEN tx_errors WHEN 2 THEN rx_dropped WHEN 3 THEN tx_dropped WHEN 4 THEN rx_missed_errors ELSE rx_crc_errors END
    FROM (SELECT day, times, 0 AS last, c.* FROM w CROSS JOIN interface_counters c ON c.ts = w.ats UNION ALL SELECT day, times, 1, c.* FROM w CROSS JOIN interface_counters c ON c.ts = w.zts)
   CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5)),
grown AS (
  SELECT day, netns, name, (max(iif(last = 1, value, NULL)) - max(iif(last = 0, value, NULL))) * max(times) AS n FROM counted GROUP BY day, netns, name
  HAVING max(iif(last = 1, value, NULL)) >= max(iif(last = 0, value, NULL))),
counter AS (
  SELECT netns, name, max(iif(day = 0, n, NULL)) AS n, max(iif(day = 1, n, NULL)) AS n_was,
         name GLOB '*[Ee]rr*' OR name GLOB '*[Dd]rop*' OR name GLOB '*[Ff]ail*' OR name GLOB '*Overflow*' OR name GLOB '*Retrans*' OR name GLOB '*Timeout*' OR name GLOB '*Abort*' OR name GLOB '*Prune*' OR name GLOB '*NoRoutes*'
           OR name GLOB '*Discards*' OR name GLOB '*NoPorts*' OR name GLOB '*Lost*' OR name GLOB '*Loss*' OR name GLOB '*missed*' OR name GLOB '*Rsts*' OR name GLOB '*Resets*' OR name GLOB '*Syncookies*' OR name GLOB '*ZeroWindow*'
           OR name GLOB '*DestUnreach*' OR name GLOB '*Reasm*' OR name GLOB '*Pressure*' OR name GLOB '*PAWS*' AS trouble
    FROM grown GROUP BY netns, name HAVING count(*) = 2),
-- What is configured, at the end of each window. Network namespaces that are not of a name, as those of containers, are others after each start: only those are compared that were there both times.
fact AS (
  SELECT day, netns, 'setting' AS kind, 'settings' AS source, name AS thing, value, 90 AS weight FROM w CROSS JOIN settings t ON t.ts = w.zts
  UNION ALL
  SELECT day, netns, 'route', 'routes', iif(dst IN ('0.0.0.0/0', '::/0'), 'default', dst) || iif(family = 6, ' (IPv6)', '') || iif(table_id = 254, '', ' in table ' || coalesce(table_name, table_id)) || iif(metric > 0, ' metric ' || metric, ''),
         coalesce(nullif(type, 'unicast') || ' ', '') || coalesce('via ' || gateway || ' ', '') || coalesce('dev ' || dev, '') || coalesce(nexthops, '') || coalesce(' mtu ' || mtu, ''), iif(dst IN ('0.0.0.0/0', '::/0'), 96, 82)
    FROM w CROSS JOIN routes t ON t.ts = w.zts WHERE coalesce(table_id, 254) <> 255 AND coalesce(type, 'unicast') NOT IN ('local', 'broadcast', 'anycast', 'multicast') AND coalesce(dev, '') NOT LIKE 'veth%'
  UNION ALL
  SELECT day, netns, 'address', 'addresses', addr || '/' || prefix_len, 'dev ' || dev, iif(flags LIKE '%temporary%', 20, 85) FROM w CROSS JOIN addresses t ON t.ts = w.zts WHERE dev NOT LIKE 'veth%'
  UNION ALL
  SELECT day, netns, 'interface', 'interfaces', name || ' ' || CASE i WHEN 0 THEN 'state' WHEN 1 THEN 'MTU' WHEN 2 THEN 'speed' ELSE 'master' END,
         CASE i WHEN 0 THEN coalesce(operstate, 'unknown') WHEN 1 THEN mtu WHEN 2 THEN speed_mbps ELSE master END, iif(name LIKE 'veth%', 20, 92 - i)
    FROM w CROSS JOIN interfaces t ON t.ts = w.zts CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3)
  UNION ALL
  SELECT day, netns, 'rule', 'rules', priority || coalesce(' from ' || src, '') || coalesce(' to ' || dst, '') || coalesce(' iif ' || iif, '') || coalesce(' fwmark ' || fwmark, '') || iif(family = 6, ' (IPv6)', ''),
         coalesce(action, '') || coalesce(' table ' || coalesce(table_name, table_id), ''), 84 FROM w CROSS JOIN rules t ON t.ts = w.zts
  UNION ALL
  SELECT day, netns, 'firewall', 'firewall', backend || ' ' || family || ' ' || table_name, rules || ' rules, hash ' || substr(rules_hash, 1, 12), 87 FROM w CROSS JOIN firewall t ON t.ts = w.zts
  UNION ALL
  SELECT day, NULL, 'module', 'modules', name, 'loaded', 86 FROM w CROSS JOIN modules t ON t.ts = w.zts
  UNION ALL
  SELECT day, netns, 'listener', 'tcp' || family, 'tcp ' || iif(family = 6, '[' || local_addr || ']', local_addr) || ':' || local_port, comm, 88 FROM w CROSS JOIN sockets t ON t.ts = w.zts WHERE state = 'LISTEN' AND proto = 'tcp'),
both AS MATERIALIZED (
  SELECT a.source, a.netns FROM w CROSS JOIN sources a ON a.ts = w.zts WHERE a.outcome IN ('read', 'kept', 'incomplete') GROUP BY a.source, a.netns HAVING count(*) = 2),
fact_of AS (SELECT day, netns, kind, thing, group_concat(DISTINCT value) AS value, max(weight) AS weight, max(source) AS source FROM fact GROUP BY day, netns, kind, thing),
differs AS (
  SELECT f.netns, kind, thing, max(iif(day = 1, value, NULL)) AS was, max(iif(day = 0, value, NULL)) AS now, max(iif(day = 1, 1, 0)) AS there_was, max(iif(day = 0, 1, 0)) AS there, max(weight) AS weight
    FROM fact_of f CROSS JOIN both b ON b.source = f.source AND (b.netns IS f.netns OR b.netns IS NULL)
   GROUP BY f.netns, kind, thing HAVING there <> there_was OR was IS NOT now),
found AS (
  SELECT unusual, kind, what, was, now, now / nullif(was, 0.0) AS times, comm, local_port, remote_addr, remote_port FROM talked WHERE unusual >= 10
  UNION ALL
  SELECT 90 * (1 - min(n, was) / max(n, was)) * abs(n - was) / (abs(n - was) + 1e6), 'bytes', comm || iif(i, ' received ', ' sent ') || round(n / 1e6, 1) || ' MB, was ' || round(was / 1e6, 1) || ' MB', round(was), n, n / nullif(was, 0), comm, NULL, NULL, NULL
    FROM (SELECT comm, i, iif(i, received, sent) AS n, iif(i, received_was, sent_was) AS was FROM traffic_of CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1)) WHERE max(n, was) >= 3 * min(n, was) AND max(n, was) > 0
  UNION ALL
  SELECT iif(i, 80 * max(all_n, all_was) / (max(all_n, all_was) + 0.3), 90 * (1 - min(n, n_was) / max(n, n_was)) * abs(n - n_was) / (abs(n - n_was) + 5)), iif(i, 'program', 'sockets'),
         iif(i, comm || iif(all_n > 0, ': has sockets, and had none', ': has no sockets any more'), comm || ': ' || round(n, 1) || ' sockets in ' || state || ' on average, were ' || round(n_was, 1)),
         round(iif(i, nullif(all_was, 0), n_was), 1), round(iif(i, nullif(all_n, 0), n), 1), iif(i, NULL, n / nullif(n_was, 0)), comm, NULL, NULL, NULL
    FROM sockets_of CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1)
   WHERE iif(i, nth = 1 AND comm <> '?' AND (all_n > 0) <> (all_was > 0), all_n > 0 AND all_was > 0 AND max(n, n_was) >= 2 * min(n, n_was) AND abs(n - n_was) >= 5 AND state <> 'TIME_WAIT')
  UNION ALL
  SELECT iif(trouble, 90, 60) * (1 - (min(n, n_was) + 1.0) / (max(n, n_was) + 1.0)) * max(n, n_was) / (max(n, n_was) + iif(trouble, 20, 200.0)) * iif(n > n_was, 1, 0.5), 'counter', name || ' grew by ' || CAST(n AS INTEGER) || ', was ' || CAST(round(n_was) AS INTEGER),
         round(n_was), n, n / nullif(n_was, 0), NULL, NULL, NULL, NULL
    FROM counter WHERE max(n, n_was) >= iif(trouble, 3, 10) * min(n, n_was) AND max(n, n_was) >= iif(trouble, 10, 100)
  UNION ALL
  SELECT weight, kind, kind || ' ' || thing || CASE WHEN NOT there_was THEN ': new' || coalesce(', ' || now, '') WHEN NOT there THEN ': gone' || coalesce(', was ' || was, '') ELSE ': ' || coalesce(now, 'NULL') || ', was ' || coalesce(was, 'NULL') END, was, now, NULL,
         iif(kind = 'listener', coalesce(now, was), NULL), NULL, NULL, NULL
    FROM differs)
SELECT CAST(round(unusual) AS INTEGER) AS unusual, kind, what, was, now, round(times, 2) AS times, comm, local_port, remote_addr, remote_port
  FROM found WHERE unusual >= 10 AND (SELECT max(days) FROM w) = 2
 ORDER BY found.unusual DESC, what
