-- Which link became slower than it was, or half duplex?
--
-- A bridge, and what stands on another interface, takes the speed of others.
WITH w AS MATERIALIZED (
  SELECT since, until, (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM "window")
SELECT 'warning' AS severity, 'certain' AS sure, ts AS since, NULL AS until, w.until AS last, netns,
       iif(speed < before, printf('%s runs at %d Mbit/s and ran at %d before', name, speed, before), printf('%s runs at half duplex and ran at full before', name)) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, name AS dev, 'speed' AS symptom,
       printf('SELECT ts, change, was, now FROM interface_changes WHERE name = ''%s''', name) AS evidence,
       'Look at the cable and the port of the switch, and what both ends negotiate (ethtool ' || name || ').' AS next
  FROM (SELECT *, row_number() OVER (PARTITION BY netns, name ORDER BY ts DESC) AS nth
          FROM (SELECT *, max(was_speed) OVER (PARTITION BY netns, name ORDER BY ts) AS before, max(was_full) OVER (PARTITION BY netns, name ORDER BY ts) AS full_before
                  FROM (SELECT ts, netns, name, now LIKE '%duplex=half%' AS half, was LIKE '%duplex=full%' AS was_full, now LIKE '%duplex=full%' AS full,
                               iif(now LIKE '%speed_mbps=%', CAST(substr(now, instr(now, 'speed_mbps=') + 11) AS INTEGER), 0) AS speed,
                               iif(was LIKE '%speed_mbps=%', CAST(substr(was, instr(was, 'speed_mbps=') + 11) AS INTEGER), 0) AS was_speed
                          FROM (CHANGES_interfaces) WHERE +change = 'changed' AND (now || was LIKE '%speed_mbps=%' OR now || was LIKE '%duplex=%')))
         WHERE speed > 0 OR half OR full) s
  CROSS JOIN w
 WHERE nth = 1 AND (speed > 0 AND speed < before OR half AND full_before)
   AND NOT EXISTS (SELECT 1 FROM interface i CROSS JOIN interface_open o ON o.subject = i.id CROSS JOIN interface_tuple t ON t.id = o.tuple
                    WHERE i.netns IS s.netns AND i.name = s.name AND t.type IN ('bridge', 'bond', 'team', 'vlan', 'macvlan', 'macvtap', 'ipvlan'))
