-- Which program does not close connections that the other end has closed?
--
-- A pool that closes its connections some time later is none: the oldest does not grow older, or it closes them while it lives. Of a server with a process for
-- each connection all processes count together.
SELECT CASE WHEN most >= 10 AND rises >= 3 AND final * 5 >= most * 4 AND (most_total >= 60 OR falls = 0 AND most_total >= 10) AND (most_total >= 600 OR turns < 2.1)
             AND NOT EXISTS (SELECT 1 FROM process p LEFT JOIN sample g ON g.id = p.last_sample
                              WHERE p.pid = c.pid AND p.comm IS c.comm AND coalesce(g.ts, (SELECT max(ts) FROM sample)) > c.last + 3 * c.pace) THEN iif(most >= 100, 'fault', 'warning') END AS severity,
       iif(most_total >= 60, 'likely', 'hint') AS sure, since, until, last, netns,
       printf('%s does not close %s that the other end has closed: CLOSE_WAIT grew from %d to %d, the oldest waits for %d s', coalesce(who, 'A program'),
         coalesce('connections to its port ' || local_port, 'connections to ' || remote_addr || ' port ' || remote_port), least, most, most_total) AS what,
       who, pid, comm, local_port, remote_addr, remote_port, NULL AS dev, c.symptom AS symptom,
       'SELECT ts, comm, state, count FROM socket_counts WHERE WHEN(c) AND NETNS(c) AND state = ''CLOSE_WAIT''' || coalesce(' AND pid = ' || pid, '') AS evidence,
       'Only the program can end these: it must close() after read() has returned 0. SELECT * FROM leaks says when its descriptors run out; to restart it helps for a while.' AS next
  FROM (SELECT netns, symptom, comm, local_port, remote_addr, remote_port, min(since) AS since, max(last) AS last, nullif(max(coalesce(until, 1e12)) % 1e12, 0) AS until,
               iif(count(DISTINCT pid) > 1, printf('%s (%d processes)', comm, count(DISTINCT pid)), max(who)) AS who, iif(count(DISTINCT pid) > 1, NULL, max(pid)) AS pid, max(pace) AS pace,
               min(least) AS least, max(max(most), total(iif(last >= latest - 30, final, 0))) AS most, total(iif(last >= latest - 30, final, 0)) AS final, max(most_total) AS most_total,
               min(2.0 * total * pace / (most_total * (most_total + pace))) AS turns, sum(rises) + count(DISTINCT since) - 1 AS rises, sum(falls) AS falls
          FROM (SELECT *, max(last) OVER (PARTITION BY netns, comm, local_port, remote_addr, remote_port) AS latest,
                       (SELECT (max(ts) - min(ts)) / max(count(*) - 1, 1) FROM sample WHERE WHENEVER(e)) AS pace
                  FROM EPISODES e WHERE symptom = 'CLOSE_WAIT' AND coalesce(local_port, remote_port) IS NOT NULL)
         GROUP BY netns, symptom, comm, local_port, remote_addr, remote_port) c
