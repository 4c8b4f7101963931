-- Which listener does not accept connections fast enough, so that the kernel dropped some?
--
-- A herd that comes in the first minute of a listener and is accepted is none.
SELECT CASE WHEN l.most_total <= 60 AND (q.samples IS NULL OR q.last - q.since <= 10 AND q.last < (SELECT max(ts) FROM sample)) THEN NULL
            WHEN o.amount >= 5 * max(o.last - o.since, 60) OR o.samples > 1 AND q.until IS NULL AND q.samples > 1 THEN 'fault'
            WHEN o.samples > 1 OR o.amount >= 5 THEN 'warning' END AS severity, 'certain' AS sure, o.since, o.until, o.last, o.netns,
       printf('%s did not accept connections to port %s fast enough: its accept queue was full and the kernel dropped %d attempts',
         coalesce(l.who, q.who, 'A program'), coalesce(l.local_port, q.local_port, '(not known)'), coalesce(iif(others.n = 1, o.amount, l.amount), o.amount))
       || iif(q.most IS NULL, '', printf(' (%d waited, the backlog is %d)', q.most, q.least_total)) AS what,
       coalesce(l.who, q.who) AS who, coalesce(l.pid, q.pid) AS pid, coalesce(l.comm, q.comm) AS comm, coalesce(l.local_port, q.local_port) AS local_port,
       NULL AS remote_addr, NULL AS remote_port, NULL AS dev, o.symptom AS symptom,
       'SELECT ts, local_port, comm, recv_q AS waiting, send_q AS backlog, drops FROM sockets WHERE WHEN(o) AND state = ''LISTEN'' AND '
       || coalesce('local_port = ' || coalesce(l.local_port, q.local_port), 'drops > 0') AS evidence,
       'Have the program accept faster or raise the backlog of its listen(), which net.core.somaxconn limits; tcp_max_syn_backlog is another queue.' AS next
  FROM EPISODES o
  LEFT JOIN EPISODES l ON l.symptom = 'listener drops' AND l.netns IS o.netns AND l.since <= o.last AND l.last >= o.since
  LEFT JOIN EPISODES q ON q.symptom = 'accept queue full' AND q.netns IS o.netns AND q.since <= o.last AND q.last >= o.since AND (l.local_port IS NULL OR q.local_port = l.local_port)
  LEFT JOIN (SELECT netns, count(*) AS n FROM EPISODES WHERE symptom = 'listener drops' GROUP BY 1) others ON others.netns IS o.netns
 WHERE o.symptom = 'ListenOverflows'
