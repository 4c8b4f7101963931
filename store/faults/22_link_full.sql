-- Which link is full?
--
-- For a minute at a stretch: bursts are none. What moves more than its speed has a speed that is invented.
SELECT 'warning' AS severity, 'certain' AS sure, e.since, e.until, e.last, e.netns,
       printf('%s was full for %d s: %.0f %% of its speed, %s', e.dev, e.seconds, 100.0 * e.amount / e.total, iif(e.symptom = 'link full rx', 'receiving', 'sending')) || coalesce(', most of it by ' || e.comm, '') AS what,
       NULL AS who, NULL AS pid, e.comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, e.dev, e.symptom AS symptom,
       'SELECT ts, rx_bytes_per_s, tx_bytes_per_s FROM interface_rates WHERE WHEN(e) AND NETNS(e) AND name = ''' || e.dev || '''' AS evidence,
       'See who moved the most: SELECT * FROM top_talkers, and with whom: SELECT * FROM links. They know TCP only.' AS next
  FROM (SELECT *, (SELECT comm FROM (SELECT comm, sum(iif(symptom = 'link full rx', bytes_received, bytes_sent)) AS b FROM traffic t WHERE WHENEVER(f) AND t.interface = f.dev GROUP BY comm ORDER BY b DESC LIMIT 1) WHERE b * 2 > amount) AS comm
          FROM (SELECT netns, symptom, dev, min(since) AS since, max(last) AS last, iif(max(last) < max(ends), max(last), max(until)) AS until, sum(amount) AS amount, sum(total) AS total, sum(last - since) AS seconds
                  FROM (SELECT netns, symptom, dev, min(ts) AS since, max(ts) AS last, max(ends) AS ends, max(until) AS until, sum(amount) AS amount, sum(total) AS total, sum(ts - before) AS told, min(before) AS start
                          FROM (SELECT *, sum(begins) OVER (PARTITION BY netns, symptom, dev ORDER BY ts) AS n
                                  FROM (SELECT s.ts, s.netns, s.symptom, s.dev, s.amount, s.total, e.last AS ends, e.until,
                                               (SELECT max(ts) FROM sample WHERE ts < s.ts) AS before,
                                               coalesce(lag(s.ts) OVER (PARTITION BY s.netns, s.symptom, s.dev ORDER BY s.ts) < (SELECT ts FROM sample WHERE ts < s.ts ORDER BY ts DESC LIMIT 1 OFFSET 1), 1) AS begins
                                          FROM EPISODES e CROSS JOIN symptoms s ON s.ts BETWEEN e.since AND e.last AND s.symptom = e.symptom AND s.netns IS e.netns AND s.dev = e.dev
                                         WHERE e.symptom IN ('link full rx', 'link full tx')))
                         GROUP BY netns, symptom, dev, n)
                 WHERE last - since >= 60 AND amount * 100 * told >= total * 85 * (last - start) AND amount * 100 <= total * 110
                 GROUP BY netns, symptom, dev) f) e
