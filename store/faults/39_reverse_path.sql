-- Does the kernel drop packets because they came in by an interface that does not lead back to their sender?
--
-- A broadcast that two interfaces on one network receive is none: one of them drops it.
SELECT iif(e.amount >= 3 AND e.samples > 1
           AND coalesce((SELECT sum(value) FROM protocol_deltas WHERE WHENEVER(e) AND netns IS e.netns AND name IN ('InBcastPkts', 'InMcastPkts') AND proto = 'IpExt'), 0) * 10 < e.amount * 9, 'warning', NULL) AS severity, 'likely' AS sure, e.since, e.until, e.last, e.netns,
       printf('%d packets were dropped because they came in by an interface that does not lead back to their sender', e.amount) AS what,
       NULL AS who, NULL AS pid, NULL AS comm, NULL AS local_port, NULL AS remote_addr, NULL AS remote_port, NULL AS dev, e.symptom AS symptom,
       'SELECT ts, value FROM protocol_deltas WHERE WHEN(e) AND NETNS(e) AND name = ''IPReversePathFilter'' AND value > 0' AS evidence,
       'Where the way back is another on purpose, set net.ipv4.conf.all.rp_filter and that of the interface to 2; else look at the routes.' AS next
  FROM EPISODES e WHERE e.symptom = 'IPReversePathFilter'
