-- Which peer does not acknowledge anything any more?
--
-- Where the gateway is silent, that is the fault: see fault_gateway.
SELECT iif(e.samples > 1 AND e.most_total >= 3, 'fault', NULL) AS severity, 'likely' AS sure, e.since, e.until, e.last, e.netns,
       printf('%s does not acknowledge what %s sent, for %d s: it is gone, or the way to it is cut (%d connection%s)', coalesce(e.remote_addr, 'A peer') || coalesce(' port ' || e.remote_port, ''), coalesce(e.who, 'a program'), e.most_total, e.most, iif(e.most = 1, '', 's')) AS what,
       e.who, e.pid, e.comm, e.local_port, e.remote_addr, e.remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, comm, local_port, remote_port, send_q, timer, retransmits, bytes_received, mss, pmtu FROM sockets WHERE WHEN(e) AND timer = ''retransmit'' AND remote_addr = ''' || e.remote_addr || '''' AS evidence,
       'The kernel gives up after net.ipv4.tcp_retries2. See whether other connections to it live: SELECT * FROM sockets_now WHERE remote_addr = ''' || e.remote_addr || '''.' AS next
  FROM EPISODES e WHERE e.symptom = 'unacknowledged'
   AND NOT EXISTS (SELECT 1 FROM EPISODES m WHERE m.symptom = 'large segments unacknowledged' AND m.netns IS e.netns AND m.remote_addr = e.remote_addr AND m.since <= e.last + 300 AND m.last >= e.since)
   AND NOT EXISTS (SELECT 1 FROM EPISODES g WHERE g.symptom = 'gateway unreachable' AND g.samples > 1 AND g.netns IS e.netns AND g.since <= e.last AND g.last >= e.since)
