-- Did the gateway of a default route get another hardware address?
--
-- One of VRRP (00:00:5e:00) or HSRP (00:00:0c:07:ac, 00:00:0c:9f:f) is none.
WITH w AS MATERIALIZED (
  SELECT since, until, (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM "window")
SELECT iif(shared, NULL, 'info') AS severity, 'certain' AS sure, since, last AS until, last, g.netns,
       printf('The gateway %s on %s has another hardware address: %s, before %s', addr, dev, mac, before) || iif(times > 1, printf('; it changed %d times', times), '') AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, addr AS remote_addr, NULL AS remote_port, dev, 'mac' AS symptom,
       printf('SELECT ts, change, was, now FROM neighbor_changes WHERE addr = ''%s''', addr) AS evidence,
       'It is another machine: replaced, failed over, or one that pretends to be the gateway.' AS next
  FROM (SELECT netns, addr, dev, count(*) AS times, min(ts) AS since, max(ts) AS last, max(shared) AS shared, mac, before -- those of the last
          FROM (SELECT *, lag(mac) OVER (PARTITION BY netns, addr, dev ORDER BY ts, i) AS before,
                       max(mac LIKE '00:00:5e:00:%' OR mac LIKE '00:00:0c:07:ac:%' OR mac LIKE '00:00:0c:9f:f%') OVER (PARTITION BY netns, addr, dev) AS shared
                  FROM (SELECT ts, netns, addr, dev, i, substr(said, instr(said, 'mac=') + 4, 17) AS mac
                          FROM (SELECT ts, netns, addr, dev, i, iif(i, now, was) AS said FROM (CHANGES_neighbors) c CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1)
                                 WHERE EXISTS (SELECT 1 FROM route_open o CROSS JOIN route r ON r.id = o.subject AND r.dst IN ('0.0.0.0/0', '::/0') AND r.netns IS c.netns
                                                CROSS JOIN route_tuple t ON t.id = o.tuple AND t.gateway = c.addr))
                         WHERE said LIKE '%mac=__:__:__:__:__:__%'))
         WHERE before <> mac
         GROUP BY netns, addr, dev) g
