-- Is the table of neighbours full?
--
-- A scan of the own network leaves many that do not answer, and they are forgotten soon.
SELECT CASE WHEN e.symptom LIKE '%table_fulls' THEN 'fault' WHEN e.most * 10 >= e.most_total * 9 AND e.samples > 1 AND e.last - e.since >= 60
            AND (SELECT total(state IN ('FAILED', 'INCOMPLETE')) * 2 < max(count(*), 1) FROM neighbors WHERE ts = e.last AND family = iif(e.symptom LIKE 'arp%', 4, 6)) THEN 'warning' END AS severity,
       iif(e.symptom LIKE '%table_fulls', 'certain', 'likely') AS sure, e.since, e.until, e.last, e.netns,
       iif(e.symptom LIKE '%table_fulls', printf('The table of neighbours (%s) was full %d times: their addresses could not be reached', iif(e.symptom LIKE 'arp%', 'ARP', 'IPv6'), e.amount),
         printf('The table of neighbours (%s) has %d entries of %d', iif(e.symptom LIKE 'arp%', 'ARP', 'IPv6'), e.most, e.most_total)) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, netns, dev, state, count(*) AS entries FROM neighbors WHERE WHEN(e) GROUP BY 1, 2, 3, 4' AS evidence,
       'Raise ' || iif(e.symptom LIKE 'arp%', 'net.ipv4', 'net.ipv6') || '.neigh.default.gc_thresh3 and gc_thresh2; many FAILED ones come of a scan.' AS next
  FROM EPISODES e WHERE e.symptom IN ('arp_cache.table_fulls', 'ndisc_cache.table_fulls', 'arp_cache entries', 'ndisc_cache entries')
   AND NOT (e.symptom LIKE '%entries' AND EXISTS (SELECT 1 FROM EPISODES f WHERE f.symptom IN ('arp_cache.table_fulls', 'ndisc_cache.table_fulls')))
