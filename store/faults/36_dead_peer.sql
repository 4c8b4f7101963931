-- Which peer does not acknowledge anything any more?
--
-- Where the gateway is silent, that is the fault: see fault_gateway. Of a listener here whose queue is full, see fault_accept_queue.
SELECT 'fault' AS severity, 'likely' AS sure, min(e.since) AS since, nullif(max(coalesce(e.until, 1e12)) % 1e12, 0) AS until, max(e.last) AS last, e.netns,
       printf('%s not acknowledge what %s sent, for %d s: %s gone, or the way there is cut (%d connection%s)', iif(peers > 3, printf('%d peers, such as %s, do', peers, min(e.remote_addr)), coalesce(e.remote_addr, 'A peer') || iif(count(*) = 1, coalesce(' port ' || e.remote_port, ''), '') || ' does'),
         coalesce(iif(count(DISTINCT comm) > 1, printf('%d programs (%s)', count(DISTINCT comm), group_concat(DISTINCT comm)), e.who), 'a program'), max(e.most_total), iif(peers > 3, 'they are', 'it is'), sum(e.most), iif(sum(e.most) = 1, '', 's')) AS what,
       iif(count(DISTINCT comm) > 1, printf('%d programs (%s)', count(DISTINCT comm), group_concat(DISTINCT comm)), e.who) AS who, iif(count(*) = 1, e.pid, NULL) AS pid, iif(count(DISTINCT comm) = 1, comm, NULL) AS comm, iif(count(*) = 1, e.local_port, NULL) AS local_port, iif(peers > 3, NULL, e.remote_addr) AS remote_addr, iif(count(*) = 1, e.remote_port, NULL) AS remote_port, NULL AS dev, e.symptom AS symptom,
       printf('SELECT ts, comm, local_port, remote_addr, remote_port, send_q, timer, retransmits, bytes_received, mss, pmtu FROM sockets WHERE ts BETWEEN %d AND %d AND timer = ''retransmit''', min(e.since) - 1, max(e.last) + 2)
       || iif(peers <= 3, coalesce(' AND remote_addr = ''' || e.remote_addr || '''', ''), '') AS evidence,
       'The kernel gives up after net.ipv4.tcp_retries2. See whether other connections live: SELECT * FROM sockets_now WHERE ' || coalesce('remote_addr = ''' || iif(peers > 3, NULL, e.remote_addr) || '''', 'state = ''ESTABLISHED''') || '.' AS next
  FROM (SELECT *, dense_rank() OVER (PARTITION BY netns ORDER BY remote_addr) + dense_rank() OVER (PARTITION BY netns ORDER BY remote_addr DESC) - 1 AS peers
          FROM EPISODES e WHERE e.symptom = 'unacknowledged'
           AND NOT EXISTS (SELECT 1 FROM EPISODES m WHERE m.symptom = 'large segments unacknowledged' AND m.netns IS e.netns AND m.remote_addr = e.remote_addr AND m.since <= e.last + 300 AND m.last >= e.since)
           AND NOT EXISTS (SELECT 1 FROM EPISODES g WHERE g.symptom = 'gateway unreachable' AND g.samples > 1 AND g.netns IS e.netns AND g.since <= e.last AND g.last >= e.since)
           AND NOT EXISTS (SELECT 1 FROM EPISODES l WHERE l.symptom IN ('listener drops', 'accept queue full') AND l.local_port = e.remote_port AND l.since <= e.last AND l.last >= e.since - 60)
           AND e.samples > 1 AND e.most_total >= 3
           AND (SELECT min(t.mtu) FROM route_exception x CROSS JOIN sample m ON m.id = x.first_sample AND m.ts BETWEEN e.since AND e.last + 120
          CROSS JOIN route_exception_tuple t ON t.id = coalesce((SELECT tuple FROM route_exception_open WHERE subject = x.id), (SELECT tuple FROM route_exception_span WHERE id = x.last_sample << 32 | x.id))
         WHERE x.dst = e.remote_addr AND x.netns IS e.netns) IS NULL) e -- else see fault_mtu
 GROUP BY e.netns, iif(peers > 3, NULL, e.remote_addr)
