-- Which peer does not read what it is sent?
--
-- A program on this machine that reads a little now and then is none, and of one that does not read fault_unread tells.
SELECT iif(e.samples > 1 AND e.most_total >= 8, 'warning', NULL) AS severity, 'likely' AS sure, e.since, e.until, e.last, e.netns,
       printf('%s does not read what %s sent: its window has been 0 for %d s (%d connection%s)', coalesce(e.remote_addr, 'A peer') || coalesce(' port ' || e.remote_port, ''), coalesce(e.who, 'a program') || coalesce(' (port ' || e.local_port || ')', ''), e.most_total, e.most, iif(e.most = 1, '', 's')) AS what,
       e.who, e.pid, e.comm, e.local_port, e.remote_addr, e.remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, comm, local_port, remote_port, send_q, timer FROM sockets WHERE WHEN(e) AND timer = ''probe'' AND remote_addr = ''' || e.remote_addr || '''' AS evidence,
       'The program at the other end is busy or stuck: look there at recv_q.' AS next
  FROM EPISODES e WHERE e.symptom = 'zero window'
   AND NOT EXISTS (SELECT 1 FROM EPISODES u WHERE u.symptom = 'unread' AND (u.most_total >= 30 OR u.most_total + 5 < e.most_total) AND u.local_port = e.remote_port AND u.since <= e.last AND u.last >= e.since)
