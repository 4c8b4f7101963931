-- Which process runs out of file descriptors?
SELECT CASE WHEN e.most >= e.most_total THEN 'fault' WHEN e.most * 100 >= e.most_total * 95 AND e.samples > 1 THEN 'warning' END AS severity, 'certain' AS sure, e.since, e.until, e.last, e.netns,
       printf('%s has %d of %d file descriptors open%s', coalesce(e.who, 'A process'), e.most, e.most_total, iif(e.most >= e.most_total, ': it cannot open any more', '')) AS what,
       e.who, e.pid, e.comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, comm, fds, fd_limit FROM processes WHERE WHEN(e) AND pid = ' || e.pid AS evidence,
       'SELECT * FROM leaks shows whether they are sockets, and to whom; the limit is ulimit -n, LimitNOFILE of a unit.' AS next
  FROM EPISODES e WHERE e.symptom = 'descriptors'
