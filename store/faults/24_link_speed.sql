-- Which link became slower than it was?
SELECT 'warning' AS severity, 'certain' AS sure, ts AS since, NULL AS until, w.until AS last, netns,
       printf('%s runs at %d Mbit/s and ran at %d before', name, speed, before) || iif(duplex, ', half duplex', '') AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, name AS dev, 'speed' AS symptom,
       printf('SELECT ts, change, was, now FROM interface_changes WHERE name = ''%s''', name) AS evidence,
       'Look at the cable and the port of the switch, and what both ends negotiate (ethtool ' || name || ').' AS next
  FROM (SELECT *, max(speed) OVER (PARTITION BY netns, name ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS first,
               max(was_speed) OVER (PARTITION BY netns, name ORDER BY ts) AS before, row_number() OVER (PARTITION BY netns, name ORDER BY ts DESC) AS nth
          FROM (SELECT ts, netns, name, now LIKE '%duplex=half%' AS duplex,
                       iif(now LIKE '%speed_mbps=%', CAST(substr(now, instr(now, 'speed_mbps=') + 11) AS INTEGER), 0) AS speed,
                       iif(was LIKE '%speed_mbps=%', CAST(substr(was, instr(was, 'speed_mbps=') + 11) AS INTEGER), 0) AS was_speed
                  FROM interface_changes c WHERE change = 'changed' AND (now LIKE '%speed_mbps=%' OR was LIKE '%speed_mbps=%') AND ts >= (SELECT since FROM "window") AND ts <= (SELECT until FROM "window"))
         WHERE speed > 0)
  CROSS JOIN "window" w
 WHERE nth = 1 AND speed < before
