-- To whom do large segments not get through while small ones do?
--
-- Small ones do where other connections to the address get answers, or where the kernel learnt in the end that the way there takes smaller packets only.
SELECT 'fault' AS severity, 'likely' AS sure, min(e.since) AS since, nullif(max(coalesce(e.until, 1e12)) % 1e12, 0) AS until, max(e.last) AS last, e.netns,
       printf('Large segments to %s do not get through while small ones do (%d connection%s of %s): a router on the way drops them and does not say so', iif(peers > 3, printf('%d peers, such as %s,', peers, min(e.remote_addr)), e.remote_addr), sum(e.most), iif(sum(e.most) = 1, '', 's'), coalesce(e.who, 'a program'))
       || coalesce('; it takes ' || min(mtu) || ' bytes, as the kernel learnt in the end', '') AS what,
       e.who, e.pid, e.comm, e.local_port, iif(peers > 3, NULL, e.remote_addr) AS remote_addr, e.remote_port, NULL AS dev, e.symptom AS symptom,
       printf('SELECT ts, comm, local_port, remote_addr, remote_port, send_q, timer, bytes_received, mss, pmtu FROM sockets WHERE ts BETWEEN %d AND %d AND ', min(e.since) - 1, max(e.last) + 2)
       || iif(peers > 3, 'timer = ''retransmit''', 'remote_addr = ''' || e.remote_addr || '''') AS evidence,
       'Let ICMP fragmentation needed (type 3 code 4) and packet too big through, set net.ipv4.tcp_mtu_probing to 1, or lower the MTU of the route.' AS next
  FROM (SELECT *, count(*) OVER (PARTITION BY netns, comm, local_port, remote_port) AS peers FROM (SELECT *, CASE WHEN symptom = 'unacknowledged' THEN (SELECT min(t.mtu) FROM route_exception x CROSS JOIN sample m ON m.id = x.first_sample AND m.ts BETWEEN e.since AND e.last + 120
          CROSS JOIN route_exception_tuple t ON t.id = coalesce((SELECT tuple FROM route_exception_open WHERE subject = x.id), (SELECT tuple FROM route_exception_span WHERE id = x.last_sample << 32 | x.id))
         WHERE x.dst = e.remote_addr AND x.netns IS e.netns) END AS mtu
          FROM EPISODES e WHERE symptom IN ('large segments unacknowledged', 'unacknowledged') AND samples > 1 AND most_total >= 3)
         WHERE symptom = 'large segments unacknowledged' OR mtu IS NOT NULL) e
 GROUP BY e.netns, e.comm, e.local_port, e.remote_port, iif(peers > 3, NULL, e.since || e.remote_addr)
