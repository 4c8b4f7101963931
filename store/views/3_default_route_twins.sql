-- When were there two default routes of equal metric, of which the kernel takes one, in the window? Not what shares the traffic (ECMP).
--
-- ts (unix s): First sample of it in the window.
-- until (unix s): The first sample without it; NULL while it goes on at the end of the window.
-- netns: Inode number of the network namespace.
-- family: 4 for IPv4, 6 for IPv6.
-- metric: The metric of both.
-- what: Both of them.
-- advertised: 1 where routers advertise both (RA): a host takes one that answers.
WITH
w AS MATERIALIZED (
  SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM "window"),
-- Default routes that look-ups do not pass over, from sample f to l of the window. Tunnels that take over add two halves instead.
held AS MATERIALIZED (
  SELECT s.*, f, l, pref, nullif(protocol = 'ra' OR gateway IS NULL OR s.family = 4, 0) AS alone, protocol = 'ra' AS ra,
         coalesce('via ' || gateway || ' ', '') || coalesce('dev ' || dev, nexthops, 'nhid ' || nhid, '') AS way
    FROM (SELECT id & 4294967295 AS subject, max((id >> 32) - length, a) AS f, min(id >> 32, z) AS l, tuple
            FROM w CROSS JOIN route_span ON id BETWEEN a << 32 AND ((z + K_routes) << 32) - 1 AND (id >> 32) - length <= z
          UNION ALL
          SELECT subject, max(from_sample, a), z, tuple FROM w CROSS JOIN route_open ON from_sample <= z) p
   CROSS JOIN route s ON s.id = subject AND table_id IN (253, 254) AND dst GLOB '*/[01]' AND src_net IS NULL
   CROSS JOIN route_tuple t ON t.id = tuple AND type = 'unicast' AND coalesce(flags, '') NOT LIKE '%dead%' AND coalesce(flags, '') NOT LIKE '%expired%')
SELECT (SELECT ts FROM sample WHERE id >= f ORDER BY id LIMIT 1) AS ts, (SELECT ts FROM sample WHERE id > l AND id <= z ORDER BY id LIMIT 1) AS until, netns, family, metric, what, advertised
  FROM w CROSS JOIN (
       SELECT netns, family, metric, what, min(advertised) AS advertised, min(f) AS f, max(l) AS l
         FROM (SELECT *, l - sum(l - f + 1) OVER (PARTITION BY netns, family, table_id, metric, what ORDER BY f) AS stretch
                 FROM (SELECT h.netns, h.family, h.table_id, h.metric, h.way || ', ' || o.way AS what, coalesce(h.ra AND o.ra, 0) AS advertised, max(h.f, o.f) AS f, min(h.l, o.l) AS l
                         FROM held h JOIN held o ON o.id > h.id AND o.netns IS h.netns AND o.family = h.family AND o.table_id = h.table_id AND o.dst = h.dst AND o.metric IS h.metric
                          AND o.tos IS h.tos AND o.pref IS h.pref AND (h.alone OR o.alone) AND h.f <= o.l AND o.f <= h.l))
        GROUP BY netns, family, table_id, metric, what, stretch)
 ORDER BY ts
