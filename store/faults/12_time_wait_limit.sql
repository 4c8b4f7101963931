-- Were there more connections in TIME_WAIT than the kernel keeps?
SELECT 'warning' AS severity, 'certain' AS sure, since, until, last, netns,
       printf('There were more connections in TIME_WAIT than the kernel keeps: it forgot %d at once', amount) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, symptom AS symptom,
       'SELECT ts, value FROM protocol_deltas WHERE WHEN(e) AND NETNS(e) AND name = ''TCPTimeWaitOverflow'' AND value > 0' AS evidence,
       'The limit is net.ipv4.tcp_max_tw_buckets. See who closes so many: SELECT comm, count FROM socket_counts_now WHERE state = ''TIME_WAIT'' ORDER BY 2 DESC.' AS next
  FROM EPISODES e WHERE symptom = 'TCPTimeWaitOverflow'
