-- Which link is full?
SELECT iif(e.amount * 100 >= e.total * 85 AND (e.last - e.since) >= 60, 'warning', NULL) AS severity, 'certain' AS sure, e.since, e.until, e.last, e.netns,
       printf('%s was full for %d s: %.0f %% of its speed, %s', e.dev, e.last - e.since, 100.0 * e.amount / e.total, iif(e.symptom = 'link full rx', 'receiving', 'sending'))
       || coalesce((SELECT ', most of it by ' || comm FROM (SELECT comm, sum(iif(e.symptom = 'link full rx', bytes_received, bytes_sent)) AS b FROM traffic t WHERE WHENEVER(e) AND t.interface = e.dev GROUP BY comm ORDER BY b DESC LIMIT 1) WHERE b * 2 > e.amount), '') AS what,
       NULL AS who, NULL AS pid, (SELECT comm FROM (SELECT comm, sum(iif(e.symptom = 'link full rx', bytes_received, bytes_sent)) AS b FROM traffic t WHERE WHENEVER(e) AND t.interface = e.dev GROUP BY comm ORDER BY b DESC LIMIT 1) WHERE b * 2 > e.amount) AS comm,
       NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, e.dev, e.symptom AS symptom,
       'SELECT ts, rx_bytes_per_s, tx_bytes_per_s FROM interface_rates WHERE WHEN(e) AND NETNS(e) AND name = ''' || e.dev || '''' AS evidence,
       'See who moved the most: SELECT * FROM top_talkers, and with whom: SELECT * FROM links. They know TCP only.' AS next
  FROM EPISODES e WHERE e.symptom IN ('link full rx', 'link full tx')
