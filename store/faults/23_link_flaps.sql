-- Which link goes up and down again and again?
SELECT iif(e.amount >= 4, 'fault', NULL) AS severity, 'certain' AS sure, e.since, e.until, e.last, e.netns,
       printf('The link of %s came and went: its signal changed %d times in %d s', e.dev, e.amount, max(1, e.last - e.since)) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, e.dev, e.symptom AS symptom,
       'SELECT ts, change, was, now FROM interface_changes WHERE WHEN(e) AND name = ''' || e.dev || '''' AS evidence,
       'Look at the cable, the plug and the port of the switch.' AS next
  FROM EPISODES e WHERE e.symptom = 'carrier changes'
