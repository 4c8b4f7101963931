-- When was there no default route?
--
-- A time shorter than a second is none: a lease was renewed. Where it comes and goes again and again, that is the fault; see fault_route_flaps.
SELECT 'fault' AS severity, iif(o.amount > 0, 'certain', 'likely') AS sure, g.since, g.until, g.last, g.netns,
       printf('There was no default route (IPv%d)', g.family) || iif(g.n > 1, printf(' %d times', g.n), '') || printf(', for %d s', g.seconds) || coalesce('; it had been ' || g.what, '')
       || iif(o.amount > 0, printf('; %d packets had no way out', o.amount), '') AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, iif(g.family = 6, 'Ip6.OutNoRoutes', 'Ip.OutNoRoutes') AS symptom,
       printf('SELECT ts, change, dst, gateway, dev, was, now FROM route_changes WHERE ts BETWEEN %d AND %d AND dst IN (''0.0.0.0/0'', ''::/0'', ''0.0.0.0/1'', ''::/1'')', g.since - 2, g.last + 2) AS evidence,
       'See what removed it: a link that went down takes its routes along (SELECT * FROM interface_changes), else DHCP, a VPN or a person.' AS next
  FROM (SELECT netns, family, count(*) AS n, min(ts) AS since, nullif(max(coalesce(r.until, 1e15)), 1e15) AS until, max(coalesce(r.until, w.until)) AS last, max(what) AS what, sum(coalesce(r.until, w.until) - ts) AS seconds
          FROM default_route_gaps r CROSS JOIN "window" w WHERE coalesce(r.until, w.until) - ts >= 1
                  AND (what IS NOT NULL OR ts <= (SELECT min(ts) FROM sample WHERE ts >= w.since) AND ts > (SELECT min(ts) FROM sample)) -- else nobody saw that there had been one
                  AND (SELECT count(*) FROM route_event e WHERE e.ts BETWEEN r.ts - 300 AND coalesce(r.until, w.until) + 300 AND e.netns IS r.netns AND e.family = r.family AND change = 'removed'
                          AND table_id IN (253, 254) AND dst GLOB '*/0') < 10
                  AND NOT EXISTS (SELECT 1 FROM EPISODES c WHERE c.symptom = 'carrier changes' AND c.amount >= 4 AND c.netns IS r.netns AND r.what || ' ' LIKE '%dev ' || c.dev || ' %'
                                     AND c.since <= coalesce(r.until, w.until) AND c.last >= r.ts - 60)
         GROUP BY netns, family
         HAVING NOT (count(*) >= 3 AND max(coalesce(r.until, w.until)) - min(ts) <= 200 * count(*))) g
  LEFT JOIN (SELECT netns, symptom, sum(amount) AS amount FROM EPISODES WHERE symptom IN ('Ip.OutNoRoutes', 'Ip6.OutNoRoutes') GROUP BY 1, 2) o
    ON o.symptom = iif(g.family = 6, 'Ip6.OutNoRoutes', 'Ip.OutNoRoutes') AND o.netns IS g.netns
