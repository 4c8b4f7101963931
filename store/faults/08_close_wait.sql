-- Which program does not close connections that the other end has closed?
SELECT CASE WHEN most >= 10 AND rises >= 3 AND final * 5 >= most * 4 AND (most_total >= 60 OR falls = 0 AND most_total >= 10) THEN iif(most >= 100, 'fault', 'warning') END AS severity,
       iif(most_total >= 60, 'likely', 'hint') AS sure, since, until, last, netns,
       printf('%s does not close %s that the other end has closed: CLOSE_WAIT grew from %d to %d, the oldest waits for %d s', coalesce(who, 'A program'),
         coalesce('connections to its port ' || local_port, 'connections to ' || remote_addr || ' port ' || remote_port), least, most, most_total) AS what,
       who, pid, comm, local_port, remote_addr, remote_port, NULL AS dev, c.symptom AS symptom,
       'SELECT ts, comm, state, count FROM socket_counts WHERE WHEN(c) AND NETNS(c) AND state = ''CLOSE_WAIT''' || coalesce(' AND pid = ' || pid, '') AS evidence,
       'Only the program can end these: it must close() after read() has returned 0. SELECT * FROM leaks says when its descriptors run out; to restart it helps for a while.' AS next
  FROM EPISODES c WHERE symptom = 'CLOSE_WAIT'
