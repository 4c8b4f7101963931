-- Which program is refused by whom?
--
-- Who asks again and again until a service is up is not refused for long, and is none. Nor is one whose other family of addresses is accepted: localhost is
-- often ::1 first, where nobody listens.
SELECT 'fault' AS severity, 'likely' AS sure, min(since) AS since, nullif(max(coalesce(until, 1e12)) % 1e12, 0) AS until, max(last) AS last, netns,
       printf('%s refused by %s port %d: %d times', coalesce(iif(count(DISTINCT comm) > 1, printf('%d programs (%s)', count(DISTINCT comm), group_concat(DISTINCT comm)), who), 'A program') || iif(count(DISTINCT comm) > 1, ' were', ' was'), iif(addresses > 3, printf('%d addresses, such as %s', addresses, min(remote_addr)), remote_addr), remote_port, sum(amount))
       || iif(count(most_total) = 0, '', printf('; %d s before, it was accepted', min(least_total))) AS what,
       iif(count(DISTINCT comm) > 1, printf('%d programs (%s)', count(DISTINCT comm), group_concat(DISTINCT comm)), who) AS who, iif(count(DISTINCT comm) > 1, NULL, pid) AS pid, iif(count(DISTINCT comm) > 1, NULL, comm) AS comm, NULL AS local_port, iif(addresses > 3, NULL, remote_addr) AS remote_addr, remote_port, NULL AS dev, symptom,
       printf('SELECT ts, comm, pid, remote_addr, outcome FROM closed_sockets WHERE ts BETWEEN %d AND %d AND %sremote_port = %d AND outcome = ''refused''', min(since) - 1, max(last) + 1,
         iif(addresses > 3, '', printf('remote_addr = ''%s'' AND ', remote_addr)), remote_port) AS evidence,
       'See whether the service runs there and listens on that address and port: SELECT * FROM listeners WHERE local_port = ' || remote_port || '; a firewall that rejects refuses too.' AS next
  FROM (SELECT *, dense_rank() OVER (PARTITION BY netns, remote_port ORDER BY remote_addr) + dense_rank() OVER (PARTITION BY netns, remote_port ORDER BY remote_addr DESC) - 1 AS addresses
          FROM (SELECT r.*, total(iif(c.remote_addr = r.remote_addr, c.amount, 0)) AS worked, max(iif(c.remote_addr = r.remote_addr, c.last, NULL)) AS worked_last,
                       total(iif((c.remote_addr LIKE '%:%') <> (r.remote_addr LIKE '%:%') AND c.last >= r.since AND c.since <= r.last, c.amount, 0)) AS other_worked
                  FROM EPISODES r
                  LEFT JOIN EPISODES c ON c.symptom = 'connected' AND c.netns IS r.netns AND c.comm IS r.comm AND c.remote_port = r.remote_port
                 WHERE r.symptom = 'refused' AND r.remote_addr IS NOT NULL AND r.amount >= 3 AND r.samples > 1
                   AND (r.comm IS NOT NULL OR NOT EXISTS (SELECT 1 FROM EPISODES k WHERE k.symptom = 'refused' AND k.comm IS NOT NULL AND k.netns IS r.netns AND k.remote_addr = r.remote_addr AND k.remote_port = r.remote_port AND k.since <= r.last AND k.last >= r.since))
                 GROUP BY r.symptom, r.since, r.netns, r.comm, r.pid, r.remote_addr, r.remote_port)
         WHERE amount * 5 >= amount + worked + 10 * other_worked AND (worked_last >= last AND least_total IS NULL) IS NOT TRUE)
 GROUP BY netns, remote_port, iif(addresses > 3, NULL, remote_addr)
