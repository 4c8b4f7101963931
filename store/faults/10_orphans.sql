-- Are there too many connections that no process holds any more?
SELECT CASE WHEN symptom = 'TCPAbortOnMemory' OR most * 2 >= total / samples AND samples > 1 THEN 'fault'
            WHEN samples > 2 AND most * 4 >= total / samples AND final * 5 >= most * 4 THEN 'warning' END AS severity,
       iif(symptom = 'TCPAbortOnMemory', 'certain', 'likely') AS sure, since, until, last, netns,
       iif(symptom = 'TCPAbortOnMemory', printf('The kernel ended %d connections because there were too many orphans or too little memory for TCP', amount),
         printf('%d connections that no process holds any more wait to be closed, of %d that there may be', most, total / samples)) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, symptom AS symptom,
       'SELECT ts, name, value FROM protocol_counters WHERE WHEN(e) AND file = ''sockstat'' AND proto = ''TCP'' AND name = ''orphan''' AS evidence,
       'See where they go: sockets without a pid in FIN_WAIT1, LAST_ACK and CLOSING. The limit is net.ipv4.tcp_max_orphans.' AS next
  FROM EPISODES e WHERE symptom IN ('orphans', 'TCPAbortOnMemory')
