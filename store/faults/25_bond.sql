-- Which bond has lost a link?
SELECT iif(EXISTS (SELECT 1 FROM interfaces e WHERE e.ts IN (SELECT max(ts) FROM sample CROSS JOIN "window" w WHERE ts <= w.until - 120) AND e.netns IS i.netns AND e.name = i.name AND e.operstate IN ('DOWN', 'LOWERLAYERDOWN', 'NOTPRESENT')), 'fault', NULL) AS severity, 'certain' AS sure,
       w.until - 120 AS since, NULL AS until, w.until AS last, i.netns, printf('The bond %s works without %s, whose link is down', i.master, i.name) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, i.name AS dev, 'operstate' AS symptom,
       printf('SELECT ts, change, was, now FROM interface_changes WHERE name = ''%s''', i.name) AS evidence,
       'Look at the cable of ' || i.name || ' and the port of the switch; link_failures in interfaces counts how often it went.' AS next
  FROM "window" w CROSS JOIN interfaces i
 WHERE i.ts IN (SELECT max(ts) FROM sample CROSS JOIN "window" w WHERE ts <= w.until) AND i.operstate IN ('DOWN', 'LOWERLAYERDOWN', 'NOTPRESENT') AND i.master IS NOT NULL
   AND EXISTS (SELECT 1 FROM interfaces b WHERE b.ts = i.ts AND b.netns IS i.netns AND b.name = i.master AND b.type = 'bond' AND b.operstate = 'UP')
