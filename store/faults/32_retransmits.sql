-- To whom are segments lost on the way?
--
-- Those of which nobody knows who sent them, to where a known program loses some as well, are no fault of their own. Segments that were sent again without need are none: the other end says so (DSACK).
SELECT 'warning' AS severity, 'likely' AS sure, min(e.since) AS since, nullif(max(coalesce(e.until, 1e12)) % 1e12, 0) AS until, max(e.last) AS last, e.netns,
       printf('Of what %s sent to %s%s, %.1f %% had to be sent again: %d of %d segments', coalesce(e.who, 'a program'), iif(peers > 3, printf('%d peers, such as %s', peers, min(e.remote_addr)), coalesce(e.remote_addr, 'many')),
         coalesce(' port ' || e.remote_port, ''), 100.0 * sum(e.amount) / sum(e.total), sum(e.amount), sum(e.total)) AS what,
       e.who, e.pid, e.comm, e.local_port, iif(peers > 3, NULL, e.remote_addr) AS remote_addr, e.remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT opened, closed, comm, local_port, remote_addr, remote_port, retransmits, bytes_sent, rtt_ms FROM connections WHERE retransmits > 0'
       || iif(peers > 3, '', coalesce(' AND remote_addr = ''' || e.remote_addr || '''', '')) AS evidence,
       'See whether other peers have it too (then it is near this machine): SELECT * FROM upstreams. A link with errors, a full queue on the way and a policer look like this.' AS next
  FROM (SELECT *, count(*) OVER (PARTITION BY netns, comm, local_port, remote_port) AS peers
          FROM EPISODES e WHERE e.symptom = 'retransmits' AND e.amount * 20 >= e.total AND e.total >= 200 AND e.amount >= 20 AND e.samples > 2
           AND (e.comm IS NOT NULL OR NOT EXISTS (SELECT 1 FROM EPISODES k WHERE k.symptom = 'retransmits' AND k.comm IS NOT NULL AND k.amount * 20 >= k.total AND k.netns IS e.netns AND k.remote_addr IS e.remote_addr AND k.remote_port IS e.remote_port AND k.since <= e.last AND k.last >= e.since))
           AND coalesce((SELECT sum(amount) FROM EPISODES d WHERE d.symptom = 'TCPDSACKRecv' AND d.netns IS e.netns AND d.since <= e.last AND d.last >= e.since), 0) * 2
               < (SELECT sum(amount) FROM EPISODES r WHERE r.symptom = 'retransmits' AND r.netns IS e.netns AND r.since <= e.last AND r.last >= e.since)
           AND NOT EXISTS (SELECT 1 FROM EPISODES u WHERE u.symptom = 'unacknowledged' AND u.netns IS e.netns AND u.remote_addr IS e.remote_addr AND u.remote_port IS e.remote_port AND u.most_total >= 5)
           AND NOT EXISTS (SELECT 1 FROM EPISODES l WHERE (l.symptom IN ('listener drops', 'accept queue full') OR l.symptom = 'CLOSE_WAIT' AND (e.remote_addr LIKE '127.%' OR e.remote_addr = '::1')) AND l.local_port = e.remote_port AND l.since <= e.last AND l.last >= e.since - 60)) e
 GROUP BY e.netns, e.comm, e.local_port, e.remote_port, iif(peers > 3, NULL, e.since || coalesce(e.remote_addr, ''))
