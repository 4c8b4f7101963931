-- Which program is refused by whom?
--
-- Who asks again and again until a service is up is not refused for long, and is none.
SELECT iif(r.amount >= 3 AND r.samples > 1 AND r.amount * 5 >= r.amount + coalesce(c.n, 0) AND (c.last >= r.last AND r.least_total IS NULL) IS NOT TRUE, 'fault', NULL) AS severity, 'likely' AS sure,
       r.since, r.until, r.last, r.netns,
       printf('%s was refused by %s port %d: %d times', coalesce(r.who, 'A program'), r.remote_addr, r.remote_port, r.amount)
       || iif(r.most_total IS NULL, '', printf('; %d s before, it was accepted', r.least_total)) AS what,
       r.who, r.pid, r.comm, NULL AS local_port, r.remote_addr, r.remote_port, NULL AS dev, r.symptom AS symptom,
       printf('SELECT ts, comm, pid, outcome FROM closed_sockets WHERE WHEN(r) AND remote_addr = ''%s'' AND remote_port = %d AND outcome = ''refused''', r.remote_addr, r.remote_port) AS evidence,
       'See whether the service runs there and listens on that address and port: SELECT * FROM listeners WHERE local_port = ' || r.remote_port || '; a firewall that rejects refuses too.' AS next
  FROM EPISODES r
  LEFT JOIN (SELECT netns, comm, remote_addr, remote_port, sum(amount) AS n, max(last) AS last FROM EPISODES WHERE symptom = 'connected' GROUP BY 1, 2, 3, 4) c
    ON c.netns IS r.netns AND c.comm IS r.comm AND c.remote_addr = r.remote_addr AND c.remote_port = r.remote_port
 WHERE r.symptom = 'refused' AND r.remote_addr IS NOT NULL
