-- Which peer does not acknowledge anything any more?
--
-- Where the gateway is silent, that is the fault: see fault_gateway.
SELECT 'fault' AS severity, 'likely' AS sure, min(e.since) AS since, nullif(max(coalesce(e.until, 1e12)) % 1e12, 0) AS until, max(e.last) AS last, e.netns,
       printf('%s not acknowledge what %s sent, for %d s: %s gone, or the way there is cut (%d connection%s)', iif(count(*) = 1, coalesce(e.remote_addr, 'A peer') || coalesce(' port ' || e.remote_port, '') || ' does', printf('%d peers, such as %s, do', count(*), min(e.remote_addr))),
         coalesce(e.who, 'a program'), max(e.most_total), iif(count(*) = 1, 'it is', 'they are'), sum(e.most), iif(sum(e.most) = 1, '', 's')) AS what,
       e.who, e.pid, e.comm, e.local_port, iif(count(*) = 1, e.remote_addr, NULL) AS remote_addr, iif(count(*) = 1, e.remote_port, NULL) AS remote_port, NULL AS dev, e.symptom AS symptom,
       printf('SELECT ts, comm, local_port, remote_addr, remote_port, send_q, timer, retransmits, bytes_received, mss, pmtu FROM sockets WHERE ts BETWEEN %d AND %d AND timer = ''retransmit''', min(e.since) - 1, max(e.last) + 2)
       || iif(count(*) = 1, coalesce(' AND remote_addr = ''' || e.remote_addr || '''', ''), '') AS evidence,
       'The kernel gives up after net.ipv4.tcp_retries2. See whether other connections live: SELECT * FROM sockets_now WHERE ' || coalesce('remote_addr = ''' || iif(count(*) = 1, e.remote_addr, NULL) || '''', 'state = ''ESTABLISHED''') || '.' AS next
  FROM (SELECT *, count(*) OVER (PARTITION BY netns, comm) AS peers
          FROM EPISODES e WHERE e.symptom = 'unacknowledged'
           AND NOT EXISTS (SELECT 1 FROM EPISODES m WHERE m.symptom = 'large segments unacknowledged' AND m.netns IS e.netns AND m.remote_addr = e.remote_addr AND m.since <= e.last + 300 AND m.last >= e.since)
           AND NOT EXISTS (SELECT 1 FROM EPISODES g WHERE g.symptom = 'gateway unreachable' AND g.samples > 1 AND g.netns IS e.netns AND g.since <= e.last AND g.last >= e.since)
           AND e.samples > 1 AND e.most_total >= 3
           AND (SELECT min(t.mtu) FROM route_exception x CROSS JOIN sample m ON m.id = x.first_sample AND m.ts BETWEEN e.since AND e.last + 120
          CROSS JOIN route_exception_tuple t ON t.id = coalesce((SELECT tuple FROM route_exception_open WHERE subject = x.id), (SELECT tuple FROM route_exception_span WHERE id = x.last_sample << 32 | x.id))
         WHERE x.dst = e.remote_addr AND x.netns IS e.netns) IS NULL) e -- else see fault_mtu
 GROUP BY e.netns, e.comm, iif(peers > 3, NULL, e.remote_addr), iif(peers > 3, NULL, e.remote_port), iif(peers > 3, NULL, e.local_port)
