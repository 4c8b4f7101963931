-- Did a listener drop connections though no queue of it was full?
SELECT iif(d.n >= 5 AND d.samples > 1, 'warning', NULL) AS severity, 'hint' AS sure, d.since, d.until, d.last, d.netns,
       printf('%s dropped %d connections though no queue of it was full, as where memory is short', coalesce(l.who || ', port ' || l.local_port, 'A listener'), d.n) AS what,
       l.who, l.pid, l.comm, l.local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, d.symptom AS symptom,
       'SELECT ts, name, value FROM protocol_deltas WHERE WHEN(d) AND NETNS(d) AND name IN (''ListenDrops'', ''ListenOverflows'') AND value > 0' AS evidence,
       'Look at memory (SELECT * FROM fault_tcp_memory), and at packet_drops for the reason.' AS next
  FROM (SELECT d.*, d.amount - coalesce((SELECT sum(o.amount) FROM EPISODES o WHERE o.symptom = 'ListenOverflows' AND o.netns IS d.netns AND o.since <= d.last AND o.last >= d.since), 0) AS n
          FROM EPISODES d WHERE d.symptom = 'ListenDrops'
           AND NOT EXISTS (SELECT 1 FROM EPISODES o WHERE o.symptom IN ('TCPReqQFullDoCookies', 'TCPReqQFullDrop') AND o.netns IS d.netns AND o.since <= d.last AND o.last >= d.since)) d
  LEFT JOIN (SELECT netns, who, pid, comm, local_port, since, last, max(amount) FROM EPISODES WHERE symptom = 'listener drops' GROUP BY netns) l
    ON l.netns IS d.netns AND l.since <= d.last AND l.last >= d.since
