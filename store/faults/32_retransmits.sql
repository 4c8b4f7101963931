-- To whom are segments lost on the way?
--
-- Segments that were sent again without need are none: the other end says so (DSACK).
SELECT iif(e.amount * 20 >= e.total AND e.total >= 200 AND e.amount >= 20 AND e.samples > 2
           AND coalesce((SELECT sum(amount) FROM EPISODES d WHERE d.symptom = 'TCPDSACKRecv' AND d.netns IS e.netns AND d.since <= e.last AND d.last >= e.since), 0) * 2
               < (SELECT sum(amount) FROM EPISODES r WHERE r.symptom = 'retransmits' AND r.netns IS e.netns AND r.since <= e.last AND r.last >= e.since), 'warning', NULL) AS severity, 'likely' AS sure,
       e.since, e.until, e.last, e.netns,
       printf('Of what %s sent to %s%s, %.1f %% had to be sent again: %d of %d segments', coalesce(e.who, 'a program'), coalesce(e.remote_addr, 'many'), coalesce(' port ' || e.remote_port, ''), 100.0 * e.amount / e.total, e.amount, e.total) AS what,
       e.who, e.pid, e.comm, e.local_port, e.remote_addr, e.remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, comm, local_port, remote_port, retransmits, segs_out, rtt_ms, cwnd FROM sockets WHERE WHEN(e) AND retransmits > 0' || coalesce(' AND remote_addr = ''' || e.remote_addr || '''', '') AS evidence,
       'See whether other peers have it too (then it is near this machine): SELECT * FROM upstreams. A link with errors, a full queue on the way and a policer look like this.' AS next
  FROM EPISODES e WHERE e.symptom = 'retransmits'
   AND NOT EXISTS (SELECT 1 FROM EPISODES u WHERE u.symptom = 'unacknowledged' AND u.netns IS e.netns AND u.remote_addr IS e.remote_addr AND u.remote_port IS e.remote_port AND u.most_total >= 5)
