-- Does the gateway of a default route not answer?
--
-- The kernel asks for three seconds. Where its link comes and goes, that is the fault: see fault_link_flaps.
SELECT iif(e.samples > 1 AND e.last - e.since >= 4
           AND NOT EXISTS (SELECT 1 FROM EPISODES c WHERE c.symptom = 'carrier changes' AND c.amount >= 4 AND c.netns IS e.netns AND c.dev = e.dev AND c.since <= e.last AND c.last >= e.since), 'fault', NULL) AS severity, 'likely' AS sure, e.since, e.until, e.last, e.netns,
       printf('The gateway %s on %s, to which a default route leads, does not answer on the link%s', e.remote_addr, e.dev,
         iif(EXISTS (SELECT 1 FROM interface i CROSS JOIN interface_open o ON o.subject = i.id CROSS JOIN interface_tuple t ON t.id = o.tuple AND t.carrier = 0 WHERE i.netns IS e.netns AND i.name = e.dev), ', which is down', '')) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, e.remote_addr, NULL AS remote_port, e.dev, e.symptom AS symptom,
       'SELECT ts, state, mac FROM neighbors WHERE WHEN(e) AND addr = ''' || e.remote_addr || '''' AS evidence,
       'See whether the gateway is up and on the same network as ' || e.dev || ', and whether the route is right: SELECT * FROM route_changes.' AS next
  FROM EPISODES e WHERE e.symptom = 'gateway unreachable'
