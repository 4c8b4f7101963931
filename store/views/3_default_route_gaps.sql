-- When was there no default route, in the window? A row for each time, network namespace and family that ever had one in the main routing table.
--
-- ts (unix s): When it went: exact where the kernel told, else the first sample without one. Of a time that began before the window, the first sample of the window.
-- until (unix s): When there was one again, likewise; also the first sample that could not read the routes. NULL while it goes on at the end of the window.
-- netns: Inode number of the network namespace.
-- family: 4 for IPv4, 6 for IPv6.
-- what: The default route that went; NULL where it went before the window. The halves 0.0.0.0/1 and 128.0.0.0/1 together count as one. What was gone
-- for less than the time between two samples is in route_changes only.
WITH
w AS MATERIALIZED (
  SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM "window"),
-- Default routes that look-ups do not pass over, from sample f to l of the window. Tunnels that take over add two halves instead.
held AS MATERIALIZED (
  SELECT s.*, f, l, dst IN ('0.0.0.0/1', '::/1') AS low, dst IN ('128.0.0.0/1', '8000::/1') AS high,
         coalesce('via ' || gateway || ' ', '') || coalesce('dev ' || dev, nexthops, 'nhid ' || nhid, '') AS way
    FROM (SELECT id & 4294967295 AS subject, max((id >> 32) - length, a) AS f, min(id >> 32, z) AS l, tuple
            FROM w CROSS JOIN route_span ON id BETWEEN a << 32 AND ((z + K_routes) << 32) - 1 AND (id >> 32) - length <= z
          UNION ALL
          SELECT subject, max(from_sample, a), z, tuple FROM w CROSS JOIN route_open ON from_sample <= z) p
   CROSS JOIN route s ON s.id = subject AND table_id IN (253, 254) AND dst GLOB '*/[01]' AND src_net IS NULL
   CROSS JOIN route_tuple t ON t.id = tuple AND type = 'unicast' AND coalesce(flags, '') NOT LIKE '%dead%' AND coalesce(flags, '') NOT LIKE '%expired%'),
point AS (
  SELECT netns, family, at, sum(kept) AS kept, sum(looked) AS looked
    FROM (SELECT netns, family, f + i * (l + 1 - f) AS at, 1 - 2 * i AS kept, 0 AS looked
            FROM (SELECT netns, family, f, l FROM held WHERE NOT low AND NOT high
                  UNION ALL
                  SELECT o.netns, o.family, max(o.f, h.f), min(o.l, h.l)
                    FROM held o JOIN held h ON o.low AND h.high AND h.netns IS o.netns AND h.family = o.family AND o.f <= h.l AND h.f <= o.l)
           CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1)
          UNION ALL
          SELECT netns, family, f + i * (l + 1 - f), 0, 1 - 2 * i
            FROM (SELECT DISTINCT netns, family FROM route r CROSS JOIN route_tuple t ON t.type = 'unicast'
                    AND t.id = coalesce((SELECT tuple FROM route_open WHERE subject = r.id), (SELECT tuple FROM route_span WHERE id = r.last_sample << 32 | r.id))
                   WHERE table_id IN (253, 254) AND dst IN ('0.0.0.0/0', '::/0', '128.0.0.0/1', '8000::/1')) g
           CROSS JOIN (SELECT o.netns AS n, f, l
                         FROM (SELECT id & 4294967295 AS subject, max((id >> 32) - length, a) AS f, min(id >> 32, z) AS l, tuple
                                 FROM w CROSS JOIN source_span ON id BETWEEN a << 32 AND ((z + K_sources) << 32) - 1 AND (id >> 32) - length <= z
                               UNION ALL
                               SELECT subject, max(from_sample, a), z, tuple FROM w CROSS JOIN source_open ON from_sample <= z) p
                        CROSS JOIN source o ON o.id = subject AND source = 'routes' CROSS JOIN source_tuple y ON y.id = tuple AND outcome IN ('read', 'incomplete', 'kept')) ON n IS netns
           CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1))
   GROUP BY netns, family, at),
turn AS (
  SELECT * FROM (SELECT *, none IS NOT lag(none) OVER (PARTITION BY netns, family ORDER BY at) AS turns
                   FROM (SELECT *, sum(looked) OVER sofar > 0 AND sum(kept) OVER sofar = 0 AS none FROM point WINDOW sofar AS (PARTITION BY netns, family ORDER BY at)))
   WHERE turns)
SELECT coalesce((SELECT max(e.ts) FROM sample b CROSS JOIN route_event e ON e.ts > b.ts AND e.ts <= m.ts
                  WHERE b.id = m.id - 1 AND t.kept < 0 AND e.netns IS t.netns AND e.family = t.family AND change = 'removed' AND dst GLOB '*/[01]'), m.ts) AS ts,
       coalesce((SELECT min(e.ts) FROM sample b CROSS JOIN route_event e ON e.ts > b.ts AND e.ts <= u.ts
                  WHERE b.id = u.id - 1 AND e.netns IS t.netns AND e.family = t.family AND change = 'added' AND dst GLOB '*/[01]'), u.ts) AS until,
       t.netns, t.family,
       CASE WHEN t.kept < 0 THEN (SELECT CASE WHEN low OR high THEN dst || ' ' ELSE '' END || way FROM held h WHERE h.netns IS t.netns AND h.family = t.family AND h.l = t.at - 1 AND NOT EXISTS (SELECT 1 FROM held n WHERE n.id = h.id AND n.f = t.at) LIMIT 1) END AS what
  FROM (SELECT *, lead(at) OVER (PARTITION BY netns, family ORDER BY at) AS next FROM turn) t
  CROSS JOIN sample m ON m.id = (SELECT id FROM sample WHERE id >= t.at ORDER BY id LIMIT 1)
  LEFT JOIN sample u ON u.id = (SELECT id FROM sample WHERE id >= t.next AND id <= (SELECT z FROM w) ORDER BY id LIMIT 1)
 WHERE none
 ORDER BY ts
