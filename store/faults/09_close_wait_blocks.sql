-- Do connections that a program has not closed keep new ones from being made?
SELECT iif(u.amount >= 2, 'warning', NULL) AS severity, 'hint' AS sure, u.since, u.until, u.last, u.netns,
       printf('%s got no answer from port %d on this machine, whose program %s has %d connections in CLOSE_WAIT: new ones may meet an old one with the same ports',
         coalesce(u.who, 'A program'), u.remote_port, coalesce(c.who, '(not known)'), c.most) AS what,
       c.who, c.pid, c.comm, c.local_port, u.remote_addr, u.remote_port, NULL AS dev, u.symptom AS symptom,
       'SELECT ts, state, local_port, remote_port, comm FROM sockets WHERE WHEN(u) AND state IN (''CLOSE_WAIT'', ''SYN_SENT'') AND ' || u.remote_port || ' IN (local_port, remote_port)' AS evidence,
       'The program that does not close has the fault (see fault_close_wait); to restart it helps for a while.' AS next
  FROM EPISODES u
  JOIN EPISODES c ON c.symptom = 'CLOSE_WAIT' AND c.local_port = u.remote_port AND c.since <= u.last AND c.last >= u.since
 WHERE u.symptom = 'unanswered'
   AND NOT EXISTS (SELECT 1 FROM EPISODES l WHERE l.symptom IN ('listener drops', 'accept queue full') AND l.local_port = u.remote_port AND l.since <= u.last AND l.last >= u.since)
