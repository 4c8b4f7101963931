-- Which peer does not read what it is sent?
--
-- A program on this machine that reads a little now and then is none, and of one that does not read fault_unread tells. Nor is a peer whose window
-- opened three times or more after as long a time. A slow reader whose window opens more seldom looks the same as one that does not read.
SELECT 'warning' AS severity, 'likely' AS sure, min(e.since) AS since, nullif(max(coalesce(e.until, 1e12)) % 1e12, 0) AS until, max(e.last) AS last, e.netns,
       printf('%s not read what %s sent, or reads too slowly: %s window has been 0 for %d s (%d connection%s)', iif(peers > 3, printf('%d peers, such as %s, do', peers, min(e.remote_addr)), coalesce(e.remote_addr, 'A peer') || coalesce(' port ' || e.remote_port, '') || ' does'),
         coalesce(e.who, 'a program') || coalesce(' (port ' || e.local_port || ')', ''), iif(peers > 3, 'their', 'its'), max(e.most_total), sum(e.most), iif(sum(e.most) = 1, '', 's')) AS what,
       e.who, e.pid, e.comm, e.local_port, iif(peers > 3, NULL, e.remote_addr) AS remote_addr, e.remote_port, NULL AS dev, e.symptom AS symptom,
       printf('SELECT ts, comm, local_port, remote_addr, remote_port, send_q, timer FROM sockets WHERE ts BETWEEN %d AND %d AND timer = ''probe''', min(e.since) - 1, max(e.last) + 2)
       || iif(peers > 3, '', coalesce(' AND remote_addr = ''' || e.remote_addr || '''', '')) AS evidence,
       'The program at the other end is busy or stuck: look there at recv_q.' AS next
  FROM (SELECT *, count(*) OVER (PARTITION BY netns, comm, local_port, remote_port) AS peers
          FROM (SELECT *, (SELECT (max(ts) - min(ts)) / max(count(*) - 1, 1) FROM sample WHERE WHENEVER(s)) AS pace FROM EPISODES s WHERE symptom = 'zero window') e
         WHERE e.samples > 1 AND e.most_total >= 8 AND (e.most_total >= 300 OR 2 * e.total * e.pace < 2.1 * e.most_total * (e.most_total + e.pace))
           AND NOT EXISTS (SELECT 1 FROM EPISODES u WHERE u.symptom = 'unread' AND (u.most_total >= 30 OR u.most_total + 5 < e.most_total) AND u.local_port = e.remote_port AND u.since <= e.last AND u.last >= e.since)) e
 GROUP BY e.netns, e.comm, e.local_port, e.remote_port, iif(peers > 3, NULL, e.since || coalesce(e.remote_addr, ''))
