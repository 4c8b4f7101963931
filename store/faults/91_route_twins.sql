-- Are there two default routes of the same metric, of which the kernel takes one?
--
-- Two routers that advertise themselves are none: a host takes one of them that answers.
SELECT iif(coalesce(g.until, w.until) - g.ts >= 1 AND NOT g.advertised, 'warning', NULL) AS severity, 'certain' AS sure, g.ts AS since, g.until, coalesce(g.until, w.until) AS last, g.netns,
       printf('There are two default routes of the same metric (IPv%d)%s', g.family, coalesce(': ' || g.what, '')) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, 'default routes' AS symptom,
       printf('SELECT ts, change, dst, gateway, dev, metric, now FROM route_changes WHERE ts BETWEEN %d AND %d AND dst IN (''0.0.0.0/0'', ''::/0'')', g.ts - 2, coalesce(g.until, w.until) + 2) AS evidence,
       'Remove one of them, or give it another metric.' AS next
  FROM default_route_twins g CROSS JOIN "window" w
