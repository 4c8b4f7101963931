-- Could UDP packets not be sent, or received, for want of buffers or memory?
--
-- A queue that limits the rate drops what is too much: that is its work.
SELECT iif(e.amount >= 10 AND e.samples > 1, iif(e.shapes, 'info', 'warning'), NULL) AS severity, 'certain' AS sure, e.since, e.until, e.last, e.netns,
       printf('%d UDP packets could not be %s for want of %s', e.amount, iif(e.symptom LIKE '%MemErrors', 'handled', 'sent'),
         CASE WHEN e.symptom LIKE '%MemErrors' THEN 'memory' WHEN e.dev IS NULL THEN 'buffers, in the socket or in the queue of the interface'
              ELSE printf('room in the queue of %s (%s), which dropped %d', e.dev, e.kind, e.dropped) || iif(e.shapes, ' to keep to its rate', '') END) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, e.dev, e.symptom AS symptom,
       iif(e.dev IS NULL, 'SELECT ts, proto, name, value FROM protocol_deltas WHERE WHEN(e) AND NETNS(e) AND name IN (''SndbufErrors'', ''MemErrors'') AND value > 0',
         'SELECT ts, dev, kind, packets_sent, dropped FROM qdisc_deltas WHERE WHEN(e) AND NETNS(e) AND dropped > 0') AS evidence,
       'See who sends: sockets with a send_q. The limits are net.core.wmem_max for a socket and net.ipv4.udp_mem for all; qdiscs_now shows the queues of the interfaces.' AS next
  FROM (SELECT s.symptom, s.amount, s.samples, s.since, s.until, s.last, s.netns, d.dev, d.kind, d.dropped, d.kind IN ('tbf', 'htb', 'hfsc', 'cake', 'fq_codel', 'codel', 'netem') AS shapes
          FROM EPISODES s
          LEFT JOIN (SELECT dev, netns, kind, dropped, max(dropped * 2 + (parent = 'root')) FROM (SELECT q.dev, q.netns, q.kind, q.parent, total(q.dropped) AS dropped FROM EPISODES n CROSS JOIN qdisc_deltas q
                      WHERE n.symptom IN ('Udp.SndbufErrors', 'Udp6.SndbufErrors') AND WHENEVER(n) AND q.netns IS n.netns GROUP BY q.dev, q.netns, q.kind, q.parent, q.handle) WHERE dropped > 0 GROUP BY netns) d
            ON d.netns IS s.netns AND s.symptom IN ('Udp.SndbufErrors', 'Udp6.SndbufErrors')) e
 WHERE e.symptom IN ('Udp.SndbufErrors', 'Udp.MemErrors', 'Udp6.SndbufErrors', 'Udp6.MemErrors')
