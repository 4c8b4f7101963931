-- Is memory short for TCP, so that the kernel dropped what it had received?
SELECT CASE WHEN lost >= 5 OR lost > 0 AND samples > 1 THEN 'fault' WHEN level IS NOT NULL AND samples > 1 THEN 'warning' END AS severity,
       iif(lost > 0, 'certain', 'likely') AS sure, since, nullif(until, 0) AS until, last, netns,
       iif(lost > 0, printf('Memory for what TCP has received was short: %s', list), printf('TCP uses %d pages of memory, near its limit of %d', level, most)) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, first AS symptom,
       'SELECT ts, name, value FROM protocol_deltas WHERE WHEN(e) AND NETNS(e) AND name IN (''TCPMemoryPressures'', ''RcvPruned'', ''TCPRcvQDrop'', ''TCPBacklogDrop'', ''OfoPruned'') AND value > 0' AS evidence,
       'See which sockets hold it: SELECT comm, sum(recv_q + send_q) FROM sockets_now GROUP BY 1 ORDER BY 2 DESC. The limits are net.ipv4.tcp_mem and net.ipv4.tcp_rmem.' AS next
  FROM (SELECT netns, min(since) AS since, max(last) AS last, max(coalesce(until, 1e12)) % 1e12 AS until, sum(iif(symptom = 'tcp memory', 0, amount)) AS lost, max(samples) AS samples,
               max(iif(symptom = 'tcp memory', most, NULL)) AS level, max(iif(symptom = 'tcp memory', most_total, NULL)) AS most, min(symptom) AS first,
               group_concat(iif(symptom = 'tcp memory', NULL, symptom || ' ' || amount), ', ') AS list
          FROM EPISODES WHERE symptom IN ('TCPMemoryPressures', 'RcvPruned', 'TCPRcvQDrop', 'TCPBacklogDrop', 'OfoPruned', 'tcp memory') GROUP BY netns) e
