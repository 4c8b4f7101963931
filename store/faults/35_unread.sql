-- Which program does not read what it received?
SELECT iif(e.most_total >= 30 AND e.samples > 1, 'warning', NULL) AS severity, 'likely' AS sure, e.since, e.until, e.last, e.netns,
       printf('%s does not read %s: data has waited for %d s (%d socket%s)', coalesce(e.who, 'A program'),
         coalesce('from ' || e.remote_addr || coalesce(' port ' || e.remote_port, coalesce(' on its port ' || e.local_port, '')), 'its port ' || e.local_port), e.most_total, e.most, iif(e.most = 1, '', 's')) AS what,
       e.who, e.pid, e.comm, e.local_port, e.remote_addr, e.remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, comm, state, local_port, remote_addr, remote_port, recv_q, bytes_received FROM sockets WHERE WHEN(e) AND recv_q > 0 AND state <> ''LISTEN''' || coalesce(' AND local_port = ' || e.local_port, '') || coalesce(' AND pid = ' || e.pid, '') AS evidence,
       'See what the program waits for; it is stuck or has forgotten the connection.' AS next
  FROM EPISODES e WHERE e.symptom = 'unread'
   AND NOT EXISTS (SELECT 1 FROM EPISODES d WHERE d.symptom = 'udp drops' AND d.local_port = e.local_port AND d.netns IS e.netns)
