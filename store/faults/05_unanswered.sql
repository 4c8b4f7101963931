-- Which program connects to whom in vain, without any answer?
--
-- Three attempts tell, or one that waits for a minute: in that time the kernel sent its SYN six times. One whose other family of addresses is answered is none, nor one of many addresses, where it never answered and the others do: a monitor knows that it is down. Where the gateway is silent, the peer is gone or its answers are dropped here, that is the fault: see fault_gateway,
-- fault_dead_peer and fault_reverse_path.
SELECT 'fault' AS severity, 'likely' AS sure, min(since) AS since, nullif(max(coalesce(until, 1e12)) % 1e12, 0) AS until, max(last) AS last, netns,
       printf('%s got no answer from %s port %d: %d of %d attempts to connect', coalesce(iif(count(DISTINCT comm) > 1, printf('%d programs (%s)', count(DISTINCT comm), group_concat(DISTINCT comm)), who), 'A program'), iif(addresses > 3, printf('%d addresses, such as %s', addresses, min(remote_addr)), remote_addr), remote_port,
         sum(failed), sum(failed + worked)) || iif(max(longest) >= 60, printf('; one has waited for %d s', max(longest)), '') AS what,
       iif(count(DISTINCT comm) > 1, printf('%d programs (%s)', count(DISTINCT comm), group_concat(DISTINCT comm)), who) AS who, iif(count(DISTINCT comm) > 1, NULL, pid) AS pid, iif(count(DISTINCT comm) > 1, NULL, comm) AS comm, NULL AS local_port, iif(addresses > 3, NULL, remote_addr) AS remote_addr, remote_port, NULL AS dev, first_symptom AS symptom,
       'SELECT opened, closed, comm, pid, remote_addr, local_port, state, outcome FROM connections WHERE ' || iif(addresses > 3, '', printf('remote_addr = ''%s'' AND ', remote_addr)) || printf('remote_port = %d ORDER BY opened', remote_port) AS evidence,
       'See whether the host is up and on the way: SELECT * FROM fault_gateway, FROM fault_default_route; a firewall that drops gives no answer either.' AS next
  FROM (SELECT *, dense_rank() OVER (PARTITION BY netns, remote_port ORDER BY remote_addr) + dense_rank() OVER (PARTITION BY netns, remote_port ORDER BY remote_addr DESC) - 1 AS addresses
          FROM (SELECT min(u.symptom) AS first_symptom, u.netns, u.comm, u.who, u.pid, u.remote_addr, u.remote_port, min(u.since) AS since, max(u.last) AS last, nullif(max(coalesce(u.until, 1e12)) % 1e12, 0) AS until, max(iif(u.symptom = 'unanswered', u.most_total, NULL)) AS before, max(iif(u.symptom = 'SYN_SENT', u.most_total, NULL)) AS longest,
                       max(total(iif(u.symptom = 'unanswered', u.amount, 0)), max(iif(u.symptom = 'SYN_SENT' AND u.most_total >= 3, u.most, 0))) AS failed,
                       coalesce((SELECT sum(c.amount) FROM EPISODES c WHERE c.symptom = 'connected' AND c.netns IS u.netns AND c.comm IS u.comm AND c.remote_addr = u.remote_addr AND c.remote_port = u.remote_port), 0) AS worked,
                       coalesce((SELECT sum(c.amount * iif((c.remote_addr LIKE '%:%') <> (u.remote_addr LIKE '%:%'), 10, 2)) FROM EPISODES c WHERE c.symptom = 'connected' AND c.netns IS u.netns AND c.comm IS u.comm AND c.remote_addr <> u.remote_addr AND c.remote_port = u.remote_port), 0) AS other_worked,
                       coalesce((SELECT max((c.remote_addr LIKE '%:%') <> (u.remote_addr LIKE '%:%')) FROM EPISODES c WHERE c.symptom = 'connected' AND c.netns IS u.netns AND c.comm IS u.comm AND c.remote_port = u.remote_port), 0) AS two_families
                  FROM EPISODES u
                 WHERE u.symptom IN ('unanswered', 'SYN_SENT') AND u.remote_addr IS NOT NULL
                   AND NOT EXISTS (SELECT 1 FROM EPISODES l WHERE l.symptom IN ('listener drops', 'accept queue full') AND l.local_port = u.remote_port AND l.since <= u.last AND l.last >= u.since - 60)
                   AND NOT EXISTS (SELECT 1 FROM EPISODES g WHERE g.symptom = 'gateway unreachable' AND g.samples > 1 AND g.netns IS u.netns AND g.since <= u.last AND g.last >= u.since AND u.remote_addr NOT LIKE '127.%')
                   AND NOT EXISTS (SELECT 1 FROM EPISODES d WHERE d.symptom = 'unacknowledged' AND d.samples > 1 AND d.most_total >= 3 AND d.netns IS u.netns AND d.remote_addr = u.remote_addr AND d.since <= u.last AND d.last >= u.since)
                   AND NOT EXISTS (SELECT 1 FROM EPISODES p WHERE p.symptom = 'IPReversePathFilter' AND p.samples > 1 AND p.amount >= max(u.amount, 3) AND p.netns IS u.netns AND p.since <= u.last AND p.last >= u.since AND u.remote_addr NOT LIKE '127.%'
                                      AND coalesce((SELECT sum(value) FROM protocol_deltas WHERE WHENEVER(p) AND netns IS p.netns AND proto = 'IpExt' AND name IN ('InBcastPkts', 'InMcastPkts')), 0) * 10 < p.amount * 9)
                 GROUP BY u.netns, u.comm, u.remote_addr, u.remote_port)
         WHERE (failed >= 3 OR longest >= 60) AND failed * 5 >= failed + worked + iif(before IS NULL OR two_families, other_worked, 0))
 GROUP BY netns, remote_port, iif(addresses > 3, NULL, remote_addr)
