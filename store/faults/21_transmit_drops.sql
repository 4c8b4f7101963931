-- On which interface are packets dropped on their way out?
--
-- What the queue of the interface below drops, or the CPU that receives at the other end of a veth, is none of this one.
SELECT iif(e.amount * 100 >= (coalesce(e.total, 0) + e.amount) * 2 AND coalesce(e.total, 0) + e.amount >= 1000 AND e.samples > 1
           AND NOT EXISTS (SELECT 1 FROM interface i CROSS JOIN interface_open o ON o.subject = i.id CROSS JOIN interface_tuple t ON t.id = o.tuple WHERE i.netns IS e.netns AND i.name = e.dev
                 AND (t.type IN ('vlan', 'macvlan', 'macvtap', 'ipvlan') AND coalesce((SELECT sum(q.dropped) FROM qdisc_deltas q WHERE WHENEVER(e) AND q.netns IS e.netns AND q.dev <> e.dev), 0) * 2 >= e.amount
                   OR t.type = 'veth' AND coalesce((SELECT sum(b.amount) FROM EPISODES b WHERE b.symptom = 'softnet dropped' AND b.since <= e.last AND b.last >= e.since), 0) * 2 >= e.amount)), 'warning', NULL) AS severity,
       'certain' AS sure, e.since, e.until, e.last, e.netns,
       printf('%s dropped %d packets on their way out, beside %d that it sent', e.dev, e.amount, coalesce(e.total, 0)) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, e.dev, e.symptom AS symptom,
       'SELECT ts, tx_packets, tx_dropped FROM interface_deltas WHERE WHEN(e) AND name = ''' || e.dev || ''' AND tx_dropped > 0' AS evidence,
       'See its queues: SELECT * FROM qdiscs_now WHERE dev = ''' || e.dev || '''; of a tunnel (tun) whether its program reads.' AS next
  FROM EPISODES e WHERE e.symptom = 'tx_dropped'
