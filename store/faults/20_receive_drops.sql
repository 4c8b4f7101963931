-- On which interface are packets dropped after they arrived?
--
-- Packets of a protocol that nobody here speaks are none. Where the backlog of a CPU had no room for them, see fault_cpu_backlog.
SELECT iif(e.amount * 100 >= coalesce(e.total, 0) * iif(e.dev LIKE 'wl%', 10, 2) AND coalesce(e.total, 0) >= 10000 AND e.samples > 1
           AND coalesce((SELECT sum(packets) FROM packet_drops d WHERE WHENEVER(e) AND d.reason IN ('UNHANDLED_PROTO', 'OTHERHOST', 'DEV_READY', 'IP_INHDR', 'NO_SOCKET', 'IPV6DISABLED')), 0) * 2 < e.amount
           AND coalesce((SELECT sum(b.amount) FROM EPISODES b WHERE b.symptom = 'softnet dropped' AND b.since <= e.last AND b.last >= e.since), 0) * 2 < e.amount, 'warning', NULL) AS severity,
       'hint' AS sure, e.since, e.until, e.last, e.netns,
       printf('%s dropped %d received packets of %d (%.1f %%)', e.dev, e.amount, coalesce(e.total, 0), 100.0 * e.amount / e.total) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, e.dev, e.symptom AS symptom,
       'SELECT reason, sum(packets) AS packets FROM packet_drops WHERE WHEN(e) GROUP BY 1 ORDER BY 2 DESC' AS evidence,
       'packet_drops tells why, for all interfaces together.' AS next
  FROM EPISODES e WHERE e.symptom = 'rx_dropped'
