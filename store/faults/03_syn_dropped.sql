-- Were attempts to connect dropped because the queue of half-open connections was full and SYN cookies are off?
SELECT CASE WHEN c.amount >= 5 THEN 'fault' WHEN c.amount >= 2 THEN 'warning' END AS severity, 'certain' AS sure, c.since, c.until, c.last, c.netns,
       printf('The queue of half-open connections%s was full and SYN cookies are off: %d attempts to connect were dropped', coalesce(' to port ' || coalesce(r.local_port, l.local_port), '') || coalesce(' of ' || coalesce(r.who, l.who), ''), c.amount) AS what,
       coalesce(r.who, l.who) AS who, coalesce(r.pid, l.pid) AS pid, coalesce(r.comm, l.comm) AS comm, coalesce(r.local_port, l.local_port) AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, c.symptom AS symptom,
       'SELECT ts, value FROM protocol_deltas WHERE WHEN(c) AND NETNS(c) AND name = ''TCPReqQFullDrop'' AND value > 0' AS evidence,
       'Set net.ipv4.tcp_syncookies to 1, or raise net.ipv4.tcp_max_syn_backlog and the backlog of listen().' AS next
  FROM EPISODES c
  LEFT JOIN (SELECT netns, local_port, who, pid, comm, max(most), min(since) AS since, max(last) AS last FROM EPISODES WHERE symptom = 'SYN_RECV' GROUP BY netns) r ON r.netns IS c.netns AND r.since <= c.last + 60 AND r.last >= c.since - 60
  LEFT JOIN EPISODES l ON l.symptom = 'listener drops' AND l.netns IS c.netns AND l.since <= c.last AND l.last >= c.since AND (r.local_port IS NULL OR l.local_port = r.local_port)
 WHERE c.symptom = 'TCPReqQFullDrop'
