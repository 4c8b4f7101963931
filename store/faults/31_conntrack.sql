-- Is the table of tracked connections full?
--
-- insert_failed alone is none: two packets of one flow came at once. The kernel counts the one that lost as a drop, too.
SELECT CASE WHEN lost > 0 OR most * 100 >= limits * 95 THEN 'fault' WHEN most * 100 >= limits * 90 OR early > 0 THEN 'warning' END AS severity, iif(lost + early > 0, 'certain', 'likely') AS sure,
       since, nullif(until, 0) AS until, last, netns,
       iif(most IS NULL, 'Connection tracking could not take up a connection', printf('%d of %d connections that can be tracked were', most, limits))
       || iif(lost > 0, printf('; %d packets were dropped for it', lost), '') || iif(early > 0, printf('; %d connections were forgotten early', early), '') AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, first AS symptom,
       'SELECT ts, entries, max_entries, drops, early_drops FROM conntrack WHERE WHEN(e) AND NETNS(e)' AS evidence,
       'Raise net.netfilter.nf_conntrack_max, or see who opens so many: netsql record --conntrack, then conntrack_flows.' AS next
  FROM (SELECT min(symptom) AS first, netns, min(since) AS since, max(last) AS last, max(coalesce(until, 1e12)) % 1e12 AS until, iif(total(iif(symptom = 'conntrack drop', amount, 0)) - total(iif(symptom = 'conntrack insert_failed', amount, 0)) > 0 OR max(iif(symptom = 'conntrack entries', most * 10 >= most_total * 9, 0)) OR total(iif(symptom = 'conntrack early_drop', amount, 0)) > 0,
               total(iif(symptom = 'conntrack drop', amount, 0)), 0) AS lost, total(iif(symptom = 'conntrack early_drop', amount, 0)) AS early,
               max(iif(symptom = 'conntrack entries', most, NULL)) AS most, max(iif(symptom = 'conntrack entries', most_total, NULL)) AS limits
          FROM EPISODES WHERE symptom IN ('conntrack drop', 'conntrack early_drop', 'conntrack entries', 'conntrack insert_failed') GROUP BY netns) e
