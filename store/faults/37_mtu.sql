-- To whom do large segments not get through while small ones do?
SELECT iif(e.samples > 1 AND e.most_total >= 3, 'fault', NULL) AS severity, 'likely' AS sure, e.since, e.until, e.last, e.netns,
       printf('Large segments to %s do not get through while small ones do (%d connection%s of %s): a router on the way drops them and does not say so', e.remote_addr, e.most, iif(e.most = 1, '', 's'), coalesce(e.who, 'a program')) AS what,
       e.who, e.pid, e.comm, e.local_port, e.remote_addr, e.remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, comm, local_port, remote_port, send_q, timer, bytes_received, mss, pmtu FROM sockets WHERE WHEN(e) AND remote_addr = ''' || e.remote_addr || '''' AS evidence,
       'Let ICMP fragmentation needed (type 3 code 4) and packet too big through, set net.ipv4.tcp_mtu_probing to 1, or lower the MTU of the route.' AS next
  FROM EPISODES e WHERE e.symptom = 'large segments unacknowledged'
