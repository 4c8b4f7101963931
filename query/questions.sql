-- leaking: Who opens sockets and does not close them?
SELECT comm, pid, state, last_count, per_hour, oldest_s, remote, remote_count, limit_at FROM leaks ORDER BY last_count DESC;

-- port: Who held a port, and who was connected to it? port=5432 at=now
SELECT comm, pid, state, remote_addr, count(*) AS sockets, sum(recv_q) AS recv_q FROM sockets
 WHERE ts = at(:at) AND local_port = :port GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC;

-- peer: Who had to do with an address? addr
SELECT opened, closed, comm, pid, local_port, remote_port, state, bytes_sent, bytes_received, retransmits FROM connections
 WHERE remote_addr = :addr ORDER BY opened DESC;

-- talkers: Who moved most over TCP?
SELECT comm, pid, bytes_sent, bytes_received, retransmits, closed FROM top_talkers LIMIT 20;

-- routes: What happened to the default routes?
SELECT ts, change, dst, gateway, dev, was, now, learnt FROM route_changes WHERE dst IN ('0.0.0.0/0', '::/0') ORDER BY ts DESC LIMIT 40;

-- queues: Which programs do not read what they got, or cannot get rid of what they sent? at=now
SELECT comm, pid, state, local_port, remote_addr, remote_port, recv_q, send_q FROM sockets
 WHERE ts = at(:at) AND state <> 'LISTEN' AND (recv_q > 0 OR send_q > 0) ORDER BY max(recv_q, send_q) DESC LIMIT 40;

-- backlog: Which listeners do not accept fast enough? at=now
SELECT comm, pid, local_addr, local_port, recv_q AS waiting, send_q AS backlog, drops FROM sockets
 WHERE ts = at(:at) AND state = 'LISTEN' AND (recv_q > 0 OR drops > 0) ORDER BY drops DESC, recv_q DESC;

-- drops: Which interfaces dropped or lost packets, and since when?
SELECT name, min(ts) AS since, max(ts) AS until, sum(rx_dropped) AS rx_dropped, sum(tx_dropped) AS tx_dropped, sum(rx_errors) AS rx_errors, sum(tx_errors) AS tx_errors
  FROM interface_deltas WHERE ts >= (SELECT since FROM "window") AND rx_dropped + tx_dropped + rx_errors + tx_errors > 0 GROUP BY netns, name;

-- listeners: What listens, and since when?
SELECT first_seen, proto, local_addr, local_port, comm, pid, user, open FROM listeners ORDER BY first_seen DESC;

-- counters: Which counters of the protocols grew in the last sample? at=now
SELECT proto, name, value, description FROM protocol_deltas WHERE ts = at(:at) AND value > 0 AND kind = 'counter' ORDER BY value DESC LIMIT 40;
