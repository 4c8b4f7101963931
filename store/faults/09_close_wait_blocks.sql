-- Do connections that a program has not closed keep new ones from being made?
--
-- A new one with the same ports as an old one is not answered, or the second time its SYN is sent. Where they grow in number, see fault_close_wait.
SELECT 'warning' AS severity, 'hint' AS sure, u.since, u.until, u.last, u.netns,
       printf('%s %s port %d on this machine, whose program %s has %d connections in CLOSE_WAIT: new ones may meet an old one with the same ports',
         coalesce(u.who, 'A program'), iif(u.symptom = 'retransmits', 'had to ask again before it got an answer from', 'got no answer from'), u.remote_port, coalesce(c.who, '(not known)'), c.most) AS what,
       c.who, c.pid, c.comm, c.local_port, u.remote_addr, u.remote_port, NULL AS dev, u.symptom AS symptom,
       'SELECT ts, state, local_port, remote_port, comm FROM sockets WHERE WHEN(u) AND state IN (''CLOSE_WAIT'', ''SYN_SENT'') AND ' || u.remote_port || ' IN (local_port, remote_port)' AS evidence,
       'The program that does not close has the fault (see fault_close_wait); to restart it helps for a while.' AS next
  FROM (SELECT *, max(comm IS NOT NULL) FROM EPISODES WHERE symptom IN ('unanswered', 'retransmits') AND amount >= iif(symptom = 'retransmits', 3, 2) GROUP BY symptom, netns, remote_addr, remote_port) u
  JOIN EPISODES c ON c.symptom = 'CLOSE_WAIT' AND c.local_port = u.remote_port AND c.since <= u.last AND c.last >= u.since AND (c.most < 10 OR c.rises < 3 OR c.most_total < 60)
 WHERE (u.symptom = 'unanswered' OR u.symptom = 'retransmits' AND (u.remote_addr LIKE '127.%' OR u.remote_addr = '::1'))
   AND NOT EXISTS (SELECT 1 FROM EPISODES l WHERE l.symptom IN ('listener drops', 'accept queue full') AND l.local_port = u.remote_port AND l.since <= u.last AND l.last >= u.since)
