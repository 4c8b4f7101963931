-- On which interface do packets arrive damaged?
SELECT CASE WHEN amount >= 10 AND samples > 1 AND amount * 100 >= coalesce(total, 0) THEN 'fault' WHEN amount >= 10 AND samples > 1 AND amount * 1000 >= coalesce(total, 0) THEN 'warning' END AS severity, 'certain' AS sure,
       since, nullif(until, 0) AS until, last, netns,
       printf('%s received %d bad packets (%s)%s', dev, amount, list, coalesce(printf(', %.2f %% of all', 100.0 * amount / nullif(total + amount, 0)), '')) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, dev, first AS symptom,
       'SELECT ts, rx_packets, rx_errors, rx_crc_errors, rx_frame_errors, rx_length_errors FROM interface_deltas WHERE WHEN(e) AND name = ''' || dev || ''' AND rx_errors > 0' AS evidence,
       'Look at the cable, the plug and the port of the switch, and that both ends agree on duplex.' AS next
  FROM (SELECT min(symptom) AS first, netns, dev, min(since) AS since, max(last) AS last, max(coalesce(until, 1e12)) % 1e12 AS until, max(samples) AS samples, max(total) AS total, group_concat(symptom || ' ' || amount, ', ') AS list,
               max(iif(symptom = 'rx_errors', amount, 0) - coalesce((SELECT sum(m.amount) FROM EPISODES m WHERE m.symptom IN ('rx_missed_errors', 'rx_fifo_errors', 'rx_over_errors') AND m.netns IS b.netns AND m.dev = b.dev), 0),
                   max(iif(symptom <> 'rx_errors', amount, 0))) AS amount
          FROM EPISODES b WHERE symptom IN ('rx_errors', 'rx_crc_errors', 'rx_frame_errors', 'rx_length_errors') GROUP BY netns, dev) e
