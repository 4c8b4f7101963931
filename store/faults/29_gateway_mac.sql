-- Did the gateway of a default route get another hardware address?
--
-- One of VRRP (00:00:5e:00) is none.
SELECT iif(was LIKE '%mac=%' AND now LIKE '%mac=%' AND was NOT LIKE '%mac=NULL%' AND now NOT LIKE '%mac=NULL%' AND was || now NOT LIKE '%mac=00:00:5e:00:%', 'info', NULL) AS severity, 'certain' AS sure, n.ts AS since, n.ts AS until, n.ts AS last, n.netns,
       printf('The gateway %s on %s has another hardware address: %s, before %s', n.addr, n.dev, trim(substr(now, instr(now, 'mac=') + 4, 17)), trim(substr(was, instr(was, 'mac=') + 4, 17))) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, n.addr AS remote_addr, NULL AS remote_port, n.dev, 'mac' AS symptom,
       printf('SELECT ts, change, was, now FROM neighbor_changes WHERE addr = ''%s''', n.addr) AS evidence,
       'It is another machine: replaced, failed over, or one that pretends to be the gateway.' AS next
  FROM neighbor_changes n
 WHERE n.change = 'changed' AND n.ts >= (SELECT since FROM "window") AND n.ts <= (SELECT until FROM "window")
   AND EXISTS (SELECT 1 FROM route_open o CROSS JOIN route r ON r.id = o.subject AND r.dst IN ('0.0.0.0/0', '::/0') AND r.netns IS n.netns CROSS JOIN route_tuple t ON t.id = o.tuple AND t.gateway = n.addr)
