-- Are connections refused because their timestamps seem to be old?
SELECT iif(e.amount >= 3, 'warning', NULL) AS severity, 'hint' AS sure, e.since, e.until, e.last, e.netns,
       printf('%d segments were dropped because their timestamps were older than the last ones, while connections were not answered: as where clients behind one NAT have different clocks', e.amount) AS what,
       u.who, u.pid, u.comm, u.local_port, u.remote_addr, u.remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, name, value FROM protocol_deltas WHERE WHEN(e) AND NETNS(e) AND name IN (''PAWSEstab'', ''PAWSActive'') AND value > 0' AS evidence,
       'A NAT on the way should keep timestamps apart; net.ipv4.tcp_timestamps 0 works around it.' AS next
  FROM EPISODES e
  JOIN (SELECT netns, who, pid, comm, local_port, remote_addr, remote_port, since, last, max(amount) FROM EPISODES WHERE symptom IN ('unanswered', 'timed out') GROUP BY netns) u
    ON u.netns IS e.netns AND u.since <= e.last AND u.last >= e.since
 WHERE e.symptom IN ('PAWSEstab', 'PAWSActive')
