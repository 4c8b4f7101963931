-- Does a default route come and go again and again?
SELECT 'fault' AS severity, 'certain' AS sure, f.since, iif(f.last > w.until - 300, NULL, f.last) AS until, f.last, netns,
       printf('The default route (IPv%d%s) went %d times in %d s', family, coalesce(' via ' || gateway, ''), n, max(1, f.last - f.since)) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, dev, 'default routes' AS symptom,
       printf('SELECT ts, change, gateway, dev, was, now FROM route_changes WHERE ts BETWEEN %d AND %d AND dst = ''%s''', f.since - 2, f.last + 2, dst) AS evidence,
       'See whether its link comes and goes: SELECT * FROM interface_changes; else who changes it: DHCP, a VPN, a routing daemon.' AS next
  FROM (SELECT netns, family, dst, max(gateway) AS gateway, max(dev) AS dev, count(*) AS n, min(ts) AS since, max(ts) AS last
          FROM (SELECT *, ts - lag(ts, 2) OVER (PARTITION BY netns, family ORDER BY ts) AS third
                  FROM (SELECT ts, netns, family, dst, gateway, dev FROM route_changes r WHERE change = 'removed' AND dst IN ('0.0.0.0/0', '::/0') AND ts >= (SELECT since FROM "window") AND ts <= (SELECT until FROM "window")))
         GROUP BY netns, family HAVING min(third) <= 600) f
  CROSS JOIN "window" w
