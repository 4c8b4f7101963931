-- Which program has used up the local ports to one destination?
SELECT CASE WHEN n.amount > 0 OR p.most * 100 >= p.most_total * 95 THEN 'fault' WHEN p.most * 100 >= p.most_total * 80 THEN 'warning' END AS severity,
       iif(n.amount > 0, 'certain', 'likely') AS sure, min(coalesce(p.since, n.since), coalesce(n.since, p.since)) AS since,
       iif(p.until IS NULL AND p.since IS NOT NULL, NULL, coalesce(n.until, p.until)) AS until, max(coalesce(p.last, n.last), coalesce(n.last, p.last)) AS last, coalesce(p.netns, n.netns) AS netns,
       coalesce(p.who, n.who, 'A program') || coalesce(printf(' had %d of the %d local ports in use to %s port %d', p.most, p.most_total, p.remote_addr, p.remote_port), '')
       || iif(n.amount > 0, printf('%s %d attempts to connect%s failed for want of a local port', iif(p.since IS NULL, ':', ';'), n.amount, iif(p.since IS NULL, ' to ' || n.remote_addr, '')), '') AS what,
       coalesce(p.who, n.who) AS who, coalesce(p.pid, n.pid) AS pid, coalesce(p.comm, n.comm) AS comm, NULL AS local_port, k.remote_addr, k.remote_port, NULL AS dev, iif(p.since IS NULL, 'no local port', 'local ports') AS symptom,
       printf('SELECT ts, state, count(DISTINCT local_port) AS ports FROM sockets WHERE WHEN(k) AND remote_addr = ''%s'' AND remote_port = %d GROUP BY 1, 2', k.remote_addr, k.remote_port) AS evidence,
       'Have the program keep its connections, or widen net.ipv4.ip_local_port_range; net.ipv4.tcp_tw_reuse lets ports in TIME_WAIT be used again.' AS next
  FROM (SELECT netns, remote_addr, remote_port, min(since) AS since, max(last) AS last FROM EPISODES WHERE symptom IN ('local ports', 'no local port') GROUP BY 1, 2, 3) k
  LEFT JOIN EPISODES p ON p.symptom = 'local ports' AND p.netns IS k.netns AND p.remote_addr IS k.remote_addr AND p.remote_port IS k.remote_port
  LEFT JOIN EPISODES n ON n.symptom = 'no local port' AND n.netns IS k.netns AND n.remote_addr IS k.remote_addr AND n.remote_port IS k.remote_port
