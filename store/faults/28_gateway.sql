-- Does the gateway of a default route not answer?
SELECT iif(e.samples > 1, 'fault', NULL) AS severity, 'likely' AS sure, e.since, e.until, e.last, e.netns,
       printf('The gateway %s on %s, to which a default route leads, does not answer on the link', e.remote_addr, e.dev) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, e.remote_addr, NULL AS remote_port, e.dev, e.symptom AS symptom,
       'SELECT ts, state, mac FROM neighbors WHERE WHEN(e) AND addr = ''' || e.remote_addr || '''' AS evidence,
       'See whether the gateway is up and on the same network as ' || e.dev || ', and whether the route is right: SELECT * FROM route_changes.' AS next
  FROM EPISODES e WHERE e.symptom = 'gateway unreachable'
