-- Which program does not read its UDP socket fast enough, so that packets were lost?
SELECT CASE WHEN r.amount >= 10 * max(r.last - r.since, 60) OR r.amount >= 100 AND r.samples > 1 THEN 'fault' WHEN r.amount >= 10 AND r.samples > 1 THEN 'warning' END AS severity, 'certain' AS sure,
       r.since, r.until, r.last, r.netns,
       printf('%s did not read its UDP port %s fast enough: %d packets were lost because its receive buffer was full', coalesce(d.who, 'A program'), coalesce(d.local_port, '(not known)'), coalesce(d.amount, r.amount)) AS what,
       d.who, d.pid, d.comm, d.local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, r.symptom AS symptom,
       'SELECT ts, comm, local_port, recv_q, drops FROM sockets WHERE WHEN(r) AND proto = ''udp'' AND ' || coalesce('local_port = ' || d.local_port, 'drops > 0') AS evidence,
       'Have the program read faster, or give its socket a larger buffer: SO_RCVBUF, which net.core.rmem_max limits.' AS next
  FROM EPISODES r
  LEFT JOIN EPISODES d ON d.symptom = 'udp drops' AND d.netns IS r.netns AND d.since <= r.last AND d.last >= r.since
 WHERE r.symptom IN ('Udp.RcvbufErrors', 'Udp6.RcvbufErrors')
