-- Does a default route come and go again and again?
--
-- One that another took the place of within a second is none: a lease was renewed, or a tunnel took over. Ten of those in ten minutes are one. Where its link
-- comes and goes, that is the fault: see fault_link_flaps.
WITH w AS MATERIALIZED (
  SELECT since, until, (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM "window")
SELECT 'fault' AS severity, 'certain' AS sure, f.since, iif(f.last > w.until - 300, NULL, f.last) AS until, f.last, netns,
       printf('The default route (IPv%d%s) went %d times in %d s', family, coalesce(' via ' || gateway, ''), n, max(1, f.last - f.since)) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, dev, 'default routes' AS symptom,
       printf('SELECT ts, change, gateway, dev, was, now FROM route_changes WHERE ts BETWEEN %d AND %d AND dst = ''%s''', f.since - 2, f.last + 2, dst) AS evidence,
       'See whether its link comes and goes: SELECT * FROM interface_changes; else who changes it: DHCP, a VPN, a routing daemon.' AS next
  FROM (SELECT netns, family, dst, max(gateway) AS gateway, max(dev) AS dev, count(*) AS n, min(ts) AS since, max(ts) AS last
          FROM (SELECT *, ts - lag(ts, 9) OVER (PARTITION BY netns, family ORDER BY ts) AS tenth, iif(gone, ts - lag(ts, 2) OVER (PARTITION BY netns, family, gone ORDER BY ts), NULL) AS third
                  FROM (SELECT *, NOT (coalesce(next = 'added' AND next_ts - ts < 1, 0) OR coalesce(before = 'added' AND ts - before_ts < 1 AND before_way <> way, 0)) AS gone
                          FROM (SELECT *, lead(change) OVER o AS next, lead(ts) OVER o AS next_ts, lag(change) OVER o AS before, lag(ts) OVER o AS before_ts, lag(way) OVER o AS before_way
                                  FROM (SELECT ts, netns, family, dst, gateway, dev, change, printf('%s %s %s', dev, metric, gateway) AS way FROM (CHANGES_routes)
                                         WHERE +change IN ('added', 'removed') AND +dst IN ('0.0.0.0/0', '::/0') AND +table_id IN (253, 254) AND +type = 'unicast')
                                WINDOW o AS (PARTITION BY netns, family ORDER BY ts, change DESC)) -- a replaced one is removed and added at once
                         WHERE change = 'removed'))
         GROUP BY netns, family HAVING min(third) <= 600 OR min(tenth) <= 600) f
  CROSS JOIN w
 WHERE NOT EXISTS (SELECT 1 FROM EPISODES c WHERE c.symptom = 'carrier changes' AND c.amount >= 4 AND c.netns IS f.netns AND c.dev = f.dev AND c.since <= f.last + 60 AND c.last >= f.since - 60)
