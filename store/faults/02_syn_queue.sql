-- Did more connections arrive than the queue of half-open ones holds, so that the kernel answered with SYN cookies?
SELECT CASE WHEN c.amount >= 5 * max(c.last - c.since, 60) THEN 'fault' WHEN c.samples > 1 AND c.amount >= 10 THEN 'warning' END AS severity, 'certain' AS sure,
       c.since, c.until, c.last, c.netns,
       printf('The queue of half-open connections%s was full: %d were answered with SYN cookies, %s', coalesce(' to port ' || coalesce(r.local_port, l.local_port), '') || coalesce(' of ' || coalesce(r.who, l.who), ''), c.amount,
         CASE WHEN v.amount >= c.amount * 0.5 THEN printf('and %d of them came about, so these are real clients', v.amount)
              WHEN coalesce(v.amount, 0) <= c.amount * 0.1 THEN printf('of which %d came about, as in a flood', coalesce(v.amount, 0))
              ELSE printf('of which %d came about', v.amount) END) AS what,
       coalesce(r.who, l.who) AS who, coalesce(r.pid, l.pid) AS pid, coalesce(r.comm, l.comm) AS comm, coalesce(r.local_port, l.local_port) AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, c.symptom AS symptom,
       'SELECT ts, local_port, count(*) AS half_open FROM sockets WHERE WHEN(c) AND state = ''SYN_RECV'' GROUP BY 1, 2' AS evidence,
       'See who connects: sockets in SYN_RECV by remote_addr. For real clients raise net.ipv4.tcp_max_syn_backlog and the backlog of listen(); against a flood the cookies do their work.' AS next
  FROM EPISODES c
  LEFT JOIN EPISODES v ON v.symptom = 'SyncookiesRecv' AND v.netns IS c.netns AND v.since <= c.last + 60 AND v.last >= c.since
  LEFT JOIN (SELECT netns, local_port, who, pid, comm, max(most), min(since) AS since, max(last) AS last FROM EPISODES WHERE symptom = 'SYN_RECV' GROUP BY netns) r ON r.netns IS c.netns AND r.since <= c.last + 60 AND r.last >= c.since - 60
  LEFT JOIN EPISODES l ON l.symptom = 'listener drops' AND l.netns IS c.netns AND l.since <= c.last AND l.last >= c.since AND (r.local_port IS NULL OR l.local_port = r.local_port)
 WHERE c.symptom = 'TCPReqQFullDoCookies'
