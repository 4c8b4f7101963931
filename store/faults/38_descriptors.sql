-- Which process runs out of file descriptors?
--
-- One that opened nearly all at once and has many left is none: it does not come nearer.
SELECT iif(most >= most_total, 'fault', 'warning') AS severity, 'certain' AS sure, since, nullif(until, 0) AS until, last, netns,
       printf('%s %s %d of %d file descriptors open%s', coalesce(who, 'A process'), iif(n > 1, 'have', 'has'), most, most_total, iif(most >= most_total, ': ' || iif(n > 1, 'they', 'it') || ' cannot open any more', '')) AS what,
       who, iif(n > 1, NULL, pid) AS pid, comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, symptom,
       'SELECT ts, comm, pid, fds, fd_limit FROM processes WHERE WHEN(e) AND ' || iif(n > 1, printf('comm = %Q', comm), 'pid = ' || pid) AS evidence,
       'SELECT * FROM leaks shows whether they are sockets, and to whom; the limit is ulimit -n, LimitNOFILE of a unit.' AS next
  FROM (SELECT netns, comm, max(pid) AS pid, count(*) AS n, iif(count(*) > 1, printf('%s (%d processes)', comm, count(*)), max(who)) AS who, symptom, min(since) AS since, max(last) AS last,
               max(coalesce(until, 1e12)) % 1e12 AS until, max(most) AS most, max(most_total) AS most_total
          FROM EPISODES WHERE symptom = 'descriptors' AND samples > 1
           AND (most >= most_total OR most * 100 >= most_total * 95 AND (rises > 0 OR most_total - most < 64))
         GROUP BY netns, comm) e
