-- Did a CPU not keep up with received packets?
SELECT CASE WHEN e.amount >= 10 * max(e.last - e.since, 60) THEN 'fault' WHEN e.amount >= 10 AND e.samples > 1 THEN 'warning' END AS severity, 'certain' AS sure, e.since, e.until, e.last, e.netns,
       printf('The CPUs did not keep up with received packets: %d were dropped because the backlog of a CPU was full', e.amount)
       || coalesce((SELECT printf('; the time for packets ran out %d times', amount) FROM EPISODES q WHERE q.symptom = 'softnet time_squeeze' AND q.since <= e.last AND q.last >= e.since LIMIT 1), '') AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, cpu, processed, dropped, time_squeeze FROM softnet_deltas WHERE WHEN(e) AND dropped > 0' AS evidence,
       'Spread the packets over more CPUs (RPS, more queues), or raise net.core.netdev_max_backlog.' AS next
  FROM EPISODES e WHERE e.symptom = 'softnet dropped'
