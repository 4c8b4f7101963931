-- Which program does not read its UDP socket fast enough, so that packets were lost?
SELECT CASE WHEN amount >= 10 * max(last - since, 60) OR amount >= 100 AND samples > 1 THEN 'fault' WHEN amount >= 10 AND samples > 1 THEN 'warning' END AS severity, 'certain' AS sure,
       since, nullif(until, 0) AS until, last, netns,
       printf('%s did not read its UDP port%s fast enough: %d packets were lost because its receive buffer was full', coalesce(who, 'A program'),
         iif(places > 1, printf('s (%d, such as %s)', places, port), ' ' || coalesce(port, '(not known)')), amount) AS what,
       who, pid, comm, iif(places = 1, port, NULL) AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, symptom,
       'SELECT ts, comm, local_port, recv_q, drops FROM sockets WHERE WHEN(r) AND proto = ''udp'' AND ' || coalesce('local_port = ' || iif(places = 1, port, NULL), 'drops > 0') AS evidence,
       'Have the program read faster, or give its socket a larger buffer: SO_RCVBUF, which net.core.rmem_max limits.' AS next
  FROM (SELECT netns, comm, iif(count(DISTINCT who) = 1, max(pid), NULL) AS pid, iif(count(DISTINCT who) > 1, printf('%s (%d processes)', comm, count(DISTINCT who)), max(who)) AS who,
               min(local_port) AS port, count(DISTINCT local_port) AS places, min(since) AS since, max(last) AS last, max(coalesce(until, 1e12)) % 1e12 AS until, sum(amount) AS amount, max(samples) AS samples, max(symptom) AS symptom
          FROM (SELECT *, count(*) OVER (PARTITION BY netns, symptom, comm) AS ports, max(symptom = 'udp drops') OVER (PARTITION BY netns) AS named, max(symptom <> 'udp drops') OVER (PARTITION BY netns) AS lost
                  FROM EPISODES WHERE symptom IN ('udp drops', 'Udp.RcvbufErrors', 'Udp6.RcvbufErrors'))
         WHERE lost AND (symptom = 'udp drops') = named
         GROUP BY netns, comm, iif(ports > 3, NULL, local_port)) r
