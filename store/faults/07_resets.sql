-- Which program resets connections in a burst?
--
-- Resets that answer a scan of closed ports are none, and so are the few of a program beside a burst that it has no part in.
SELECT iif(o.last - o.since >= 10 AND u.amount * 2.0 * (o.last - o.since) / max(u.last - u.since, o.last - o.since) >= o.amount, 'info', NULL) AS severity, 'hint' AS sure, o.since, o.until, o.last, o.netns,
       printf('%s reset %d connections in %d s', coalesce(u.who, 'A program'), u.amount, o.last - o.since) AS what,
       u.who, u.pid, u.comm, u.local_port, u.remote_addr, u.remote_port, NULL AS dev, o.symptom AS symptom,
       'SELECT comm, pid, local_port, remote_addr, count(*) AS resets FROM closed_sockets WHERE WHEN(o) AND outcome = ''reset by us'' GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC' AS evidence,
       'A program that closes before it has read everything resets, and so does one with SO_LINGER 0.' AS next
  FROM EPISODES o
  CROSS JOIN (SELECT netns, symptom, who, pid, comm, local_port, remote_addr, remote_port, since, last, sum(amount) AS amount, max(amount) FROM EPISODES WHERE symptom = 'reset by us' GROUP BY netns) u
    ON u.netns IS o.netns AND u.since <= o.last AND u.last >= o.since
 WHERE o.symptom = 'OutRsts'
