-- Which addresses of other machines had to do with this one in the window, and since when are they known?
--
-- remote_addr: Address.
-- class: What kind of address it is: public, private, link-local, shared (100.64.0.0/10, of a provider's NAT), documentation, multicast or reserved.
-- programs: Programs that spoke with it, parted by commas; ? where one is not known.
-- services: Protocols and ports, those on this machine as in tcp 22, those on the other as out tcp 443.
-- connections (sockets): Connections that were there in the window; see links.
-- opened (sockets): Of these, those that no sample saw before the window.
-- bytes_sent (bytes): Payload that this machine sent it in the window; NULL where it is not known.
-- bytes_received (bytes): Payload that it received.
-- first_seen (unix s): When it is known to have had a connection first, in all of the recording: in the window, or before it by peers_1d and peers_1h.
-- last_seen (unix s): When it was there last, in the window.
-- known_since (unix s): When the recording begins: who was there before that nobody knows.
-- maybe_before: 1 where some time had so many addresses that of those of its network peers_1h has only the network: it may have been there before. Else 0.
WITH
w AS MATERIALIZED (SELECT since, until, coalesce((SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1), 1e12) AS a FROM "window"),
known AS MATERIALIZED (
  SELECT min((SELECT min(ts) FROM sample), coalesce((SELECT min(ts) FROM period_1h), 1e12), coalesce((SELECT min(ts) FROM period_1d), 1e12)) AS since, (SELECT day FROM peer_upto) AS day,
         (SELECT sample FROM peer_upto) AS upto, coalesce((SELECT ts FROM sample WHERE id >= (SELECT sample FROM peer_upto) ORDER BY id LIMIT 1), 0) AS upto_ts),
there AS MATERIALIZED (
  SELECT iif(here = 'from', to_addr, from_addr) AS remote_addr, replace(group_concat(DISTINCT coalesce(iif(here = 'from', from_comm, to_comm), '?')), ',', ', ') AS programs,
         replace(group_concat(DISTINCT iif(here = 'from', 'out ', '') || proto || ' ' || port), ',', ', ') AS services, sum(connections) AS connections, sum(opened) AS opened,
         sum(iif(here = 'from', bytes_sent, bytes_received)) AS bytes_sent, sum(iif(here = 'from', bytes_received, bytes_sent)) AS bytes_received, min(first) AS first, max(last) AS last
    FROM links WHERE here <> 'both' AND from_addr NOT LIKE '127.%' AND from_addr <> '::1' GROUP BY 1),
-- Who was there before the window, at times that are not summed up yet.
recent AS MATERIALIZED (
  SELECT remote_addr, min(first) AS first
    FROM (SELECT s.remote_addr, coalesce(s.since, (SELECT ts FROM sample WHERE id = s.first_sample)) AS first
            FROM known k CROSS JOIN w CROSS JOIN socket s ON s.last_sample > k.upto WHERE s.first_sample < w.a AND s.remote_port > 0 AND s.proto IN ('tcp', 'udp')
          UNION ALL
          SELECT s.remote_addr, coalesce(s.since, (SELECT ts FROM sample WHERE id = s.first_sample))
            FROM w CROSS JOIN socket_open p CROSS JOIN socket s ON s.id = p.subject WHERE s.first_sample < w.a AND s.remote_port > 0 AND s.proto IN ('tcp', 'udp')
          UNION ALL
          SELECT c.remote_addr, c.ts - coalesce(c.lived_us / 1e6, c.lived_ms / 1000.0, 0)
            FROM known k CROSS JOIN w CROSS JOIN WHOLE_close c ON c.ts >= k.upto_ts AND c.ts < w.since WHERE c.socket IS NULL AND c.remote_port > 0)
   GROUP BY remote_addr),
-- The roll-ups of an address: of the group that was made first, the first day, and where that is not summed up, the first hour.
found AS MATERIALIZED (
  SELECT t.*, min(t.first, coalesce(r.first, 1e12),
           coalesce((SELECT min((SELECT d.ts + p.first_ms / 1000.0 FROM period_1d d CROSS JOIN peer_1d p ON p.id = (d.id << 32) + g.id WHERE g.last_1d > 0 ORDER BY d.id LIMIT 1))
                       FROM peer_group g WHERE g.remote_addr = t.remote_addr), 1e12),
           coalesce((SELECT min((SELECT h.ts + p.first_ms / 1000.0 FROM period_1h h CROSS JOIN peer_1h p ON p.id = (h.id << 32) + g.id WHERE h.id >= 24 * k.day ORDER BY h.id LIMIT 1))
                       FROM peer_group g WHERE g.remote_addr = t.remote_addr), 1e12)) AS first_seen
    FROM there t CROSS JOIN known k LEFT JOIN recent r ON r.remote_addr = t.remote_addr)
SELECT remote_addr,
       CASE WHEN remote_addr LIKE '%:%' THEN CASE
              WHEN remote_addr GLOB 'fe[89ab]*' THEN 'link-local' WHEN remote_addr GLOB 'f[cd]*' THEN 'private'
              WHEN remote_addr GLOB 'ff*' THEN 'multicast' WHEN remote_addr GLOB '2001:db8:*' THEN 'documentation' WHEN remote_addr GLOB '[23]*' THEN 'public' ELSE 'reserved' END
            WHEN remote_addr GLOB '10.*' OR remote_addr GLOB '192.168.*' OR remote_addr GLOB '172.1[6-9].*' OR remote_addr GLOB '172.2[0-9].*' OR remote_addr GLOB '172.3[01].*' THEN 'private'
            WHEN remote_addr GLOB '169.254.*' THEN 'link-local' WHEN remote_addr GLOB '100.*' AND CAST(substr(remote_addr, 5) AS INTEGER) BETWEEN 64 AND 127 THEN 'shared'
            WHEN remote_addr GLOB '192.0.2.*' OR remote_addr GLOB '198.51.100.*' OR remote_addr GLOB '203.0.113.*' THEN 'documentation'
            WHEN CAST(remote_addr AS INTEGER) BETWEEN 224 AND 239 THEN 'multicast' WHEN CAST(remote_addr AS INTEGER) >= 240 OR remote_addr GLOB '0.*' OR remote_addr GLOB '198.1[89].*' THEN 'reserved' ELSE 'public' END AS class,
       programs, services, connections, opened, bytes_sent, bytes_received, first_seen, last AS last_seen, k.since AS known_since,
       EXISTS (SELECT 1 FROM peer_group g WHERE g.remote_addr IS NULL) AND EXISTS (SELECT 1 FROM peer_group g WHERE g.remote_addr LIKE '%/%')
       OR EXISTS (SELECT 1 FROM peer_group g WHERE g.remote_addr = rtrim(f.remote_addr, '0123456789') || '0/24')
       OR f.remote_addr LIKE '%:%' AND EXISTS (SELECT 1 FROM peer_group g WHERE g.remote_addr BETWEEN substr(f.remote_addr, 1, instr(f.remote_addr, ':')) AND substr(f.remote_addr, 1, instr(f.remote_addr, ':')) || 'g' AND g.remote_addr LIKE '%/64') AS maybe_before
  FROM found f CROSS JOIN known k
 ORDER BY coalesce(bytes_sent, 0) + coalesce(bytes_received, 0) DESC
