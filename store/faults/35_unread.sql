-- Which program does not read what it received?
--
-- One that reads again and again after as long a time is none: it reads in batches. Until it did so twice it looks the same.
SELECT 'warning' AS severity, 'likely' AS sure, min(e.since) AS since, nullif(max(coalesce(e.until, 1e12)) % 1e12, 0) AS until, max(e.last) AS last, e.netns,
       printf('%s does not read %s: data has waited for %d s (%d socket%s)', coalesce(e.who, 'A program'),
         CASE WHEN peers > 3 THEN printf('from %d peers, such as %s', peers, min(e.remote_addr)) || coalesce(', on its port ' || e.local_port, ' port ' || e.remote_port, '')
              ELSE coalesce('from ' || e.remote_addr || coalesce(' port ' || e.remote_port, coalesce(' on its port ' || e.local_port, '')), 'its port ' || e.local_port) END,
         max(e.most_total), sum(e.most), iif(sum(e.most) = 1, '', 's')) AS what,
       e.who, e.pid, e.comm, e.local_port, iif(peers > 3, NULL, e.remote_addr) AS remote_addr, e.remote_port, NULL AS dev, e.symptom AS symptom,
       printf('SELECT ts, comm, state, local_port, remote_addr, remote_port, recv_q, bytes_received FROM sockets WHERE ts BETWEEN %d AND %d AND recv_q > 0 AND state <> ''LISTEN''', min(e.since) - 1, max(e.last) + 2)
       || coalesce(' AND local_port = ' || e.local_port, '') || coalesce(' AND pid = ' || e.pid, '') AS evidence,
       'See what the program waits for; it is stuck or has forgotten the connection.' AS next
  FROM (SELECT *, count(*) OVER (PARTITION BY netns, comm, local_port, remote_port) AS peers
          FROM (SELECT *, (SELECT (max(ts) - min(ts)) / max(count(*) - 1, 1) FROM sample WHERE WHENEVER(s)) AS pace FROM EPISODES s WHERE symptom = 'unread') e
         WHERE e.most_total >= 30 AND e.samples > 1 AND (e.most_total >= 300 OR 2 * e.total * e.pace < 2.1 * e.most_total * (e.most_total + e.pace))
           AND NOT EXISTS (SELECT 1 FROM EPISODES d WHERE d.symptom = 'udp drops' AND d.local_port = e.local_port AND d.netns IS e.netns)) e
 GROUP BY e.netns, e.comm, e.local_port, e.remote_port, iif(peers > 3, NULL, e.since || coalesce(e.remote_addr, ''))
