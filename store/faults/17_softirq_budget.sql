-- Did a CPU run out of time for packets while the network card lost some?
SELECT iif(q.amount >= 10, 'info', NULL) AS severity, 'hint' AS sure, q.since, q.until, q.last, q.netns,
       printf('The time that a CPU may spend on packets ran out %d times while %s lost packets', q.amount, n.dev) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, n.dev, q.symptom AS symptom,
       'SELECT ts, cpu, time_squeeze FROM softnet_deltas WHERE WHEN(q) AND time_squeeze > 0' AS evidence,
       'Raise net.core.netdev_budget and net.core.netdev_budget_usecs.' AS next
  FROM EPISODES q
  JOIN (SELECT dev, min(since) AS since, max(last) AS last FROM EPISODES WHERE symptom IN ('rx_missed_errors', 'rx_fifo_errors', 'rx_over_errors') GROUP BY dev) n ON n.since <= q.last AND n.last >= q.since
 WHERE q.symptom = 'softnet time_squeeze'
