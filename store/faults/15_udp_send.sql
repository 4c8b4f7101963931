-- Could UDP packets not be sent, or received, for want of buffers or memory?
SELECT iif(e.amount >= 10 AND e.samples > 1, 'warning', NULL) AS severity, 'certain' AS sure, e.since, e.until, e.last, e.netns,
       printf('%d UDP packets could not be %s for want of %s', e.amount, iif(e.symptom LIKE '%MemErrors', 'handled', 'sent'), iif(e.symptom LIKE '%MemErrors', 'memory', 'buffers, in the socket or in the queue of the interface')) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, proto, name, value FROM protocol_deltas WHERE WHEN(e) AND NETNS(e) AND name IN (''SndbufErrors'', ''MemErrors'') AND value > 0' AS evidence,
       'See who sends: sockets with a send_q. The limits are net.core.wmem_max for a socket and net.ipv4.udp_mem for all; SELECT * FROM qdisc_deltas WHERE dropped > 0 tells of queues that were full.' AS next
  FROM EPISODES e WHERE e.symptom IN ('Udp.SndbufErrors', 'Udp.MemErrors', 'Udp6.SndbufErrors', 'Udp6.MemErrors')
