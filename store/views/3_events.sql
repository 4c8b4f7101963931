-- Everything that happened in the window, in the order of time: sockets, listeners, routes, links, processes, gaps, notes.
--
-- ts (unix s): When it happened; where exact is 0, it happened at ts at the latest: the sample that first saw it so, or when
-- the kernel's word was read.
-- object: What it happened to: socket, listener, process, interface, qdisc, address, multicast, route, path (MTU of a path, or a redirect), rule, firewall, nexthop, neighbor, setting, module (of the kernel), gap or note.
-- event: What happened: opened, state, closed or released (socket: closed is the end of a connection, released that its process
-- closed the descriptor, where that came later), up or down (listener; an unconnected udp socket with a port that the kernel gives out by
-- itself is a socket, as maybe_client of listeners has it), seen, exec or gone (process: it was first seen with
-- a socket, ran another program, ended; recordings before format 6 also say gone of one that lives and held no socket any more),
-- added, changed or removed (what is configured), began or ended (gap), written (note).
-- what: The thing in words: tcp 10.0.0.5:443 ↔ 10.0.7.9:51712, default via 10.0.0.1 dev eth0, eth0; the text of a note.
-- was: What it was before.
-- now: What it is since then.
-- pid: Process that holds or held it, or that changed it (firewall); NULL where none is known.
-- comm: Name of the program.
-- count: How many it stands for: 1, or the sockets of a row of closed_counts.
-- exact: 1 when ts is known to a millisecond, as the kernel told it, or as a person gave it; else 0.
-- netns: Inode number of the network namespace; NULL for what is of the whole machine.
WITH
w AS MATERIALIZED (
  SELECT since, until, a, z, z + 1 AS y
    FROM (SELECT since, until,
                 (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
                 (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z
            FROM "window")),
-- The spans of sockets that hold in the window, or up to the sample before it, or from the one after it, which may tell when a socket
-- was opened. They are read once, with socket and tuple as one key: this is most of the work.
held AS (
  SELECT key, min(f) AS f
    FROM (SELECT (p.id & 4294967295) << 32 | p.tuple AS key, (p.id >> 32) - p.length AS f
            FROM w CROSS JOIN socket_span p ON p.id BETWEEN (w.a - 1) << 32 AND ((w.y + K_sockets) << 32) - 1 AND (p.id >> 32) - p.length <= w.y
          UNION ALL
          SELECT p.subject << 32 | p.tuple, p.from_sample FROM w CROSS JOIN socket_open p ON p.from_sample <= w.y)
   GROUP BY key),
-- A socket never comes back to a state, so that the first sample of each says when it turned. In TIME_WAIT, and where ended is known, the
-- connection is over. (What is worked out is a number for an index only once CAST says so.)
stood AS (
  SELECT CAST(h.key >> 32 AS INTEGER) AS socket, max(t.state) AS state, min(h.f) AS f, max(t.process) AS process, max(t.ended) AS ended,
         t.state = 'TIME_WAIT' OR t.ended IS NOT NULL AS over
    FROM held h CROSS JOIN socket_tuple t ON t.id = h.key & 4294967295 GROUP BY 1, iif(t.state = 'TIME_WAIT' OR t.ended IS NOT NULL, 1, t.state)),
-- Of one that its process closed in FIN_WAIT2 that state stays, as TIME_WAIT does, when the kernel has given the socket up.
turned AS MATERIALIZED (
  SELECT socket, state, f, process, ended, lag(state) OVER (PARTITION BY socket ORDER BY f) AS was,
         over OR state = 'FIN_WAIT2' AND (SELECT sample FROM close c WHERE c.socket = stood.socket AND c.ended IS NULL) <= f IS TRUE AS over
    FROM stood),
begun AS MATERIALIZED (
  SELECT s.id, s.netns, s.proto, s.cookie, s.first_sample, iif(t.over, NULL, t.state) AS state, t.process
    FROM w CROSS JOIN turned t CROSS JOIN socket s ON s.id = t.socket AND s.first_sample = t.f
   WHERE t.f BETWEEN w.a AND w.y),
ended AS MATERIALIZED (
  SELECT s.id, s.netns, s.proto, s.cookie, s.last_sample, s.gone_sample
    FROM w CROSS JOIN socket s ON s.last_sample BETWEEN w.a - 1 AND w.z AND s.gone_sample = s.last_sample + 1),
-- Closes that the kernel told of by a socket that the recording does not name; what samples saw of them is not told again.
logged AS MATERIALIZED (
  SELECT c.cookie, c.netns FROM w CROSS JOIN WHOLE_close c ON c.ts BETWEEN coalesce((SELECT ts FROM sample WHERE id = a - 1), since) AND coalesce((SELECT ts FROM sample WHERE id = z + 2), 1e12) WHERE c.socket IS NULL
     AND c.cookie IN (SELECT cookie FROM ended UNION ALL SELECT s.cookie FROM turned t CROSS JOIN socket s ON s.id = t.socket WHERE t.over)),
-- What samples saw of sockets, each with its sample, and with at where it is known to have been earlier. A socket of the same cookie
-- that takes the place of another is the same, of which more became known (its inode, once it is accepted): it was neither
-- closed nor opened.
seen AS (
  SELECT b.id AS socket, b.first_sample AS sample, 'opened' AS event, NULL AS was, b.state AS now, b.process,
         (SELECT ts - coalesce(lived_ms, 0) / 1000.0 FROM close c WHERE c.socket = b.id) AS at
    FROM begun b LEFT JOIN ended e ON e.cookie = b.cookie AND e.gone_sample = b.first_sample AND e.proto = b.proto AND e.netns IS b.netns
   WHERE e.id IS NULL
  UNION ALL
  -- In TIME_WAIT the process has closed it already, unless ended is known; that this ends is no event.
  SELECT t.socket, t.f, iif(over, 'closed', 'state'), t.was, t.state, t.process, t.ended
    FROM w CROSS JOIN turned t CROSS JOIN socket s ON s.id = t.socket
    LEFT JOIN logged l ON over AND l.cookie = s.cookie AND l.netns IS s.netns
   WHERE t.f BETWEEN w.a AND w.z AND (t.was IS NOT NULL OR over AND s.first_sample = t.f) AND l.cookie IS NULL
     AND NOT (over AND EXISTS (SELECT 1 FROM close c WHERE c.socket = t.socket AND c.ended IS NULL))
  UNION ALL
  SELECT e.id, e.gone_sample, iif(t.ended IS NULL, 'closed', 'released'), iif(t.ended IS NULL, t.state, NULL), NULL, t.process, NULL
    FROM ended e CROSS JOIN socket_span p ON p.id = e.last_sample << 32 | e.id CROSS JOIN socket_tuple t ON t.id = p.tuple
    LEFT JOIN begun b ON b.cookie = e.cookie AND b.first_sample = e.gone_sample AND b.proto = e.proto AND b.netns IS e.netns
    LEFT JOIN logged l ON l.cookie = e.cookie AND l.netns IS e.netns
   WHERE (t.state <> 'TIME_WAIT' OR t.ended IS NOT NULL) AND b.id IS NULL AND l.cookie IS NULL
     AND NOT EXISTS (SELECT 1 FROM close c WHERE c.socket = e.id)),
-- Not what the first sample of a run finds new or gone: when that happened nobody saw. Only listeners, which are few, are told of
-- also after a pause, within one boot. What has the same time comes in the order of these SELECTs.
told AS (
  SELECT min(m.ts, coalesce(e.at, m.ts)) AS ts, event, was, now, process, 0 AS exact, 1 AS count, netns, proto, local_addr, local_port, remote_addr, remote_port, path, inode, type,
         was IS 'LISTEN' OR now IS 'LISTEN' OR proto = 'udp' AND local_port > 0 AND coalesce(remote_port, 0) = 0 AS listener,
         mr.id = br.id AS looked
    FROM seen e CROSS JOIN socket s ON s.id = e.socket AND s.proto <> 'mptcp' -- its subflows are told of
    CROSS JOIN sample m ON m.id = e.sample CROSS JOIN run mr ON mr.id = m.run
    CROSS JOIN sample b ON b.id = e.sample - 1 CROSS JOIN run br ON br.id = b.run AND br.boot = mr.boot
  UNION ALL
  -- One that lived between two samples, not one whose close came so late that it is not named.
  SELECT ts - coalesce(lived_ms, 0) / 1000.0, 'opened', NULL, NULL, process, 0, 1,
         netns, proto, local_addr, local_port, remote_addr, remote_port, NULL, NULL, NULL, proto = 'udp' AND coalesce(remote_port, 0) = 0, 1
    FROM w CROSS JOIN WHOLE_close c ON ts BETWEEN since AND coalesce((SELECT ts FROM sample WHERE id = z + 2), 1e12)
   WHERE socket IS NULL AND owner_how IS NOT 'cookie' AND (cookie, netns) IN (SELECT cookie, netns FROM ended) IS NOT TRUE
  UNION ALL
  -- Where the connection had ended before, a sample has told of that, or this tells both.
  SELECT iif(died, c.ended, c.ts), iif(died OR c.ended IS NULL, 'closed', 'released'), iif(died OR c.ended IS NULL, t.state, NULL), NULL,
         coalesce(c.process, t.process), NOT died AND c.late_ms IS NULL, 1,
         coalesce(c.netns, s.netns), coalesce(c.proto, s.proto), coalesce(c.local_addr, s.local_addr), coalesce(c.local_port, s.local_port),
         coalesce(c.remote_addr, s.remote_addr), coalesce(c.remote_port, s.remote_port), NULL, NULL, NULL,
         -- A tcp socket that no sample saw may have been bound only.
         coalesce(c.remote_port, s.remote_port, 0) = 0 AND (t.state IS 'LISTEN' OR coalesce(c.proto, s.proto) = 'udp'), 1
    FROM w CROSS JOIN WHOLE_close c ON c.ts BETWEEN w.since AND coalesce((SELECT ts FROM sample WHERE id = z + 2), 1e12) CROSS JOIN (SELECT 0 AS died UNION ALL SELECT 1) ON NOT died OR c.ended IS NOT NULL
    LEFT JOIN socket s ON s.id = c.socket
    LEFT JOIN (SELECT socket, iif(over, NULL, state) AS state, process, max(iif(over, -1, f)), total(over) AS overs FROM turned GROUP BY socket) t ON t.socket = c.socket
   WHERE NOT died OR overs IS NOT TRUE
  UNION ALL
  SELECT ts, 'closed', NULL, NULL, process, 0, count, netns, proto, local_addr, local_port, remote_addr, remote_port, NULL, NULL, NULL, 0, 1
    FROM w CROSS JOIN close_count c ON ts BETWEEN since AND until),
-- The ports that the kernel gave out by itself in the window: a udp socket with one of them may be a client's that waits for answers.
ports AS MATERIALIZED (
  SELECT DISTINCT g.netns, CAST(value AS INTEGER) AS low, CAST(substr(value, instr(value, ' ')) AS INTEGER) AS high
    FROM (SELECT subject, tuple FROM w CROSS JOIN setting_open ON from_sample <= w.z
          UNION ALL
          SELECT id & 4294967295, tuple FROM w CROSS JOIN setting_span ON id BETWEEN w.a << 32 AND ((w.z + K_settings) << 32) - 1) h
    CROSS JOIN setting g ON g.id = h.subject AND g.name = 'net.ipv4.ip_local_port_range' CROSS JOIN setting_tuple v ON v.id = h.tuple),
-- Processes that began to hold sockets, and that ended.
came AS MATERIALIZED (
  SELECT r.id, r.pid, r.started, r.comm, r.cmdline, r.exe, r.first_sample, x.tuple
    FROM (SELECT p.id & 4294967295 AS process, (p.id >> 32) - p.length AS f, p.tuple
            FROM w CROSS JOIN process_span p ON p.id BETWEEN w.a << 32 AND ((w.z + K_processes) << 32) - 1 AND (p.id >> 32) - p.length BETWEEN w.a AND w.z
          UNION ALL
          SELECT p.subject, p.from_sample, p.tuple FROM w CROSS JOIN process_open p ON p.from_sample BETWEEN w.a AND w.z) x
    CROSS JOIN process r ON r.id = x.process AND r.first_sample = x.f AND r.pid IS NOT NULL),
ran AS (
  -- Of one process there are several rows where it ran another program; before format 6 also where it held no socket for a while.
  SELECT n.first_sample AS sample, CASE WHEN o.id IS NULL THEN 'seen' ELSE 'exec' END AS event, coalesce(n.cmdline, n.exe, n.comm) AS what,
         coalesce(o.cmdline, o.exe, o.comm) AS was, CASE WHEN o.id IS NOT NULL THEN coalesce(n.cmdline, n.exe, n.comm) END AS now, n.pid, n.comm, n.tuple
    FROM came n LEFT JOIN process o ON o.id = (SELECT max(id) FROM process WHERE pid = n.pid AND started = n.started AND id < n.id)
   WHERE o.id IS NULL OR o.comm IS NOT n.comm OR o.exe IS NOT n.exe OR o.cmdline IS NOT n.cmdline
  UNION ALL
  -- The last row of a process ends with it. When it ended is not known where nobody looked in the sample before.
  SELECT o.gone_sample, 'gone', coalesce(o.cmdline, o.exe, o.comm), NULL, NULL, o.pid, o.comm, p.tuple
    FROM w CROSS JOIN process o ON o.gone_sample BETWEEN w.a AND w.z AND o.pid IS NOT NULL LEFT JOIN process_span p ON p.id = o.last_sample << 32 | o.id
   WHERE NOT EXISTS (SELECT 1 FROM process WHERE pid = o.pid AND started = o.started AND id > o.id)
     AND (o.gone_sample = o.last_sample + 1 OR NOT EXISTS (
          SELECT 1 FROM sample b JOIN gap g ON g.source = 'owners' AND g.kind IN ('failed', 'off') AND g.since < b.ts AND coalesce(g.until, 1e12) > b.ts
           WHERE b.id = o.gone_sample - 1)))
-- All together. Not a table of WITH as those above: SQLite keeps these parsed in twice as much memory, in every connection.
SELECT ts, object, event, what, was, now, pid, comm, count, exact, netns
  FROM w CROSS JOIN (
{parts}  SELECT ts, CASE WHEN listens THEN 'listener' ELSE 'socket' END AS object,
         CASE WHEN listens THEN CASE WHEN event = 'opened' OR now = 'LISTEN' THEN 'up' ELSE 'down' END ELSE event END AS event,
         CASE WHEN count > 1 THEN printf('%,d × ', count) ELSE '' END || proto || ' ' ||
         CASE WHEN proto = 'unix' THEN coalesce(path, type || ' inode ' || inode, 'without a name')
              WHEN proto = 'packet' THEN printf('%s protocol 0x%04x', type, local_port)
              WHEN proto = 'xdp' THEN 'queue ' || local_port
              ELSE CASE WHEN local_addr LIKE '%:%' THEN '[' || local_addr || ']' ELSE coalesce(local_addr, '*') END || ':' || coalesce(local_port, '*') ||
                   CASE WHEN remote_port = 0 AND NOT count > 1 THEN ''
                        ELSE ' ↔ ' || CASE WHEN remote_addr LIKE '%:%' THEN '[' || remote_addr || ']' ELSE coalesce(remote_addr, '*') END || ':' || coalesce(remote_port, '*') END
         END AS what,
         CASE WHEN NOT listens THEN was END AS was, CASE WHEN NOT listens THEN now END AS now, pid, comm, count, exact, netns
    FROM (SELECT *, listener AND NOT (proto = 'udp' AND EXISTS (SELECT 1 FROM ports q WHERE q.netns IS told.netns AND local_port BETWEEN low AND high)) AS listens FROM told) k
    LEFT JOIN process r ON r.id = k.process
   WHERE looked OR listens
  UNION ALL
  SELECT m.ts, 'process', event, what, was, now, pid, comm, 1, 0, netns
    FROM ran x CROSS JOIN sample m ON m.id = x.sample CROSS JOIN sample b ON b.id = x.sample - 1 AND b.run = m.run
    LEFT JOIN process_tuple t ON t.id = x.tuple
  UNION ALL
  SELECT ts, 'interface', change, name, was, now, NULL, NULL, 1, exact, netns FROM (CHANGES_interfaces)
  UNION ALL
  -- Not those that the kernel puts on every interface by itself.
  SELECT ts, 'qdisc', change, coalesce(kind || ' ', '') || handle || ' dev ' || dev || coalesce(' parent ' || parent, ''), was, now, NULL, NULL, 1, exact, netns FROM (CHANGES_qdiscs) WHERE handle <> '0:'
  UNION ALL
  SELECT ts, 'address', change, addr || '/' || prefix_len || ' dev ' || dev, was, now, NULL, NULL, 1, exact, netns FROM (CHANGES_addresses)
  UNION ALL
  -- Not those that the kernel joins by itself: all nodes, all routers, and of each IPv6 address its solicited-node group.
  SELECT ts, 'multicast', change, addr || ' dev ' || dev, was, now, NULL, NULL, 1, exact, netns FROM (CHANGES_multicast_groups)
   WHERE addr NOT IN ('224.0.0.1', 'ff01::1', 'ff02::1', 'ff01::2', 'ff02::2', 'ff05::2') AND addr NOT LIKE 'ff02::1:ff%'
  UNION ALL
  SELECT ts, 'route', change,
         CASE WHEN type <> 'unicast' THEN type || ' ' ELSE '' END || CASE dst WHEN '0.0.0.0/0' THEN 'default' WHEN '::/0' THEN 'default (IPv6)' ELSE dst END ||
         coalesce(' via ' || gateway, '') || coalesce(' dev ' || dev, '') || coalesce(' ' || nexthops, '') ||
         CASE WHEN metric > 0 THEN ' metric ' || metric ELSE '' END || CASE WHEN table_id <> 254 THEN ' table ' || coalesce(table_name, table_id) ELSE '' END,
         was, now, NULL, NULL, 1, exact, netns FROM (CHANGES_routes)
  UNION ALL
  SELECT ts, 'path', change, coalesce('path MTU to ' || dst || ' is ' || mtu, 'redirect for ' || dst) || ',' || coalesce(' via ' || gateway, '') || coalesce(' dev ' || dev, ''), was, now, NULL, NULL, 1, exact, netns FROM (CHANGES_route_exceptions)
  UNION ALL
  SELECT ts, 'rule', change,
         'priority ' || priority || CASE WHEN invert THEN ' not' ELSE '' END || coalesce(' from ' || src, '') || coalesce(' to ' || dst, '') || coalesce(' fwmark ' || fwmark, '') || coalesce(' iif ' || iif, '') ||
         coalesce(' oif ' || oif, '') || coalesce(' tun_id ' || tun_id, '') || coalesce(' ' || other, '') || ' ' || coalesce(action, '') || coalesce(' ' || table_name, ''),
         was, now, NULL, NULL, 1, exact, netns FROM (CHANGES_rules)
  UNION ALL
  SELECT ts, 'firewall', change, CASE backend WHEN 'legacy' THEN 'legacy ' ELSE '' END || family || ' ' || table_name || coalesce(': ' || detail, ''), was, now, pid, comm, 1, exact, netns FROM (CHANGES_firewall)
  UNION ALL
  SELECT ts, 'nexthop', change,
         'id ' || nhid || CASE WHEN type <> 'nexthop' THEN ' ' || type ELSE '' END || coalesce(' ' || members, '') || coalesce(' via ' || gateway, '') || coalesce(' dev ' || dev, ''),
         was, now, NULL, NULL, 1, exact, netns FROM (CHANGES_nexthops)
  UNION ALL
  -- Not that an entry ages, which each does all the time, nor what the kernel enters of links on which nothing is looked for (0.0.0.0 dev lo).
  SELECT ts, 'neighbor', change, addr || ' dev ' || dev, was, now, NULL, NULL, 1, exact, netns FROM (CHANGES_neighbors)
   WHERE NOT (state IS 'NOARP' AND coalesce(mac, '00:00:00:00:00:00') = '00:00:00:00:00:00') AND (change <> 'changed' OR was LIKE '%mac=%' OR now LIKE '%mac=%' OR was LIKE '%state=FAILED%' OR now LIKE '%state=FAILED%')
  UNION ALL
  -- Settings come and go with network namespaces and modules, hundreds at a time.
  SELECT ts, 'setting', change, name, substr(was, length('value=') + 1), substr(now, length('value=') + 1), NULL, NULL, 1, exact, netns FROM (CHANGES_settings)
   WHERE change = 'changed'
  UNION ALL
  SELECT ts, 'module', change, name || coalesce(' (' || taints || ')', ''), was, now, NULL, NULL, 1, exact, NULL FROM (CHANGES_modules)
  UNION ALL
  SELECT g.since, 'gap', 'began', coalesce(source || ' ', '') || kind || coalesce(': ' || detail, ''), NULL, NULL, NULL, NULL, 1, 0, netns
    FROM w CROSS JOIN gap g ON g.since BETWEEN w.since AND w.until AND g.kind <> 'thinned'
  UNION ALL
  SELECT g.until, 'gap', 'ended', coalesce(source || ' ', '') || kind || coalesce(': ' || detail, ''), NULL, NULL, NULL, NULL, 1, 0, netns
    FROM w CROSS JOIN gap g ON g.until BETWEEN w.since AND w.until AND g.kind <> 'thinned'
  UNION ALL
  SELECT ts, 'note', 'written', text, NULL, NULL, NULL, NULL, 1, 1, NULL FROM w CROSS JOIN note ON ts BETWEEN since AND until{end}) ON ts BETWEEN since AND until
 ORDER BY ts
