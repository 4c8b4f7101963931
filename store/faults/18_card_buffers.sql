-- Which network card had no buffers left for received packets?
SELECT CASE WHEN samples > 1 AND amount >= 10 THEN 'fault' WHEN samples > 1 OR amount >= 10 THEN 'warning' END AS severity, 'certain' AS sure, since, nullif(until, 0) AS until, last, netns,
       printf('%s had no buffer for %d received packets (%s): they are lost', dev, amount, list) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, dev, first AS symptom,
       'SELECT ts, rx_packets, rx_missed_errors, rx_fifo_errors, rx_over_errors FROM interface_deltas WHERE WHEN(e) AND name = ''' || dev || '''' AS evidence,
       'Make the ring of the card larger (ethtool -G; rx_ring and rx_ring_max in interfaces), or spread its interrupts over more CPUs.' AS next
  FROM (SELECT min(symptom) AS first, netns, dev, min(since) AS since, max(last) AS last, max(coalesce(until, 1e12)) % 1e12 AS until, max(samples) AS samples, max(amount) AS amount, group_concat(symptom || ' ' || amount, ', ') AS list
          FROM EPISODES WHERE symptom IN ('rx_missed_errors', 'rx_fifo_errors', 'rx_over_errors') GROUP BY netns, dev) e
