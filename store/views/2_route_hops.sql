-- Every next hop of every route, a row for each: a multipath route has several.
--
-- ts (unix s): Time of the sample; the same in every table, so tables join on it.
-- netns: Inode number of the network namespace.
-- family: 4 for IPv4, 6 for IPv6.
-- table_id: Number of the routing table: 254 main, 255 local, 253 default.
-- table_name: Name of the routing table.
-- dst: Destination network; the default route is 0.0.0.0/0 or ::/0.
-- src_net: Source network, for source-specific routes.
-- tos: Type of service it is for; 0 for all.
-- metric: Priority: the lowest wins.
-- nth: Tells routes with the same key apart.
-- type: unicast, local, broadcast, multicast, blackhole, unreachable, prohibit and so on.
-- hop: Number of the next hop within its route, from 0.
-- gateway: Router it goes through; NULL when the destination is on the link.
-- dev: Interface it leaves by; NULL where there is none, or where the route is by a nexthop object that was not known.
-- weight: Its share of the traffic, among those of its route; NULL for the only one.
-- flags: Flags of the next hop such as onlink, linkdown, dead, parted by commas.
-- encap: How it wraps packets.
SELECT ts, netns, family, table_id, table_name, dst, src_net, tos, metric, nth, type, 0 AS hop, gateway, dev, weight, flags, encap
  FROM routes WHERE nexthops IS NULL OR nexthops LIKE 'nhid %'
UNION ALL
-- A hop is "via GATEWAY dev NAME weight N FLAGS encap WORDS", some of which may be missing; no name of an interface has a blank.
SELECT ts, netns, family, table_id, table_name, dst, src_net, tos, metric, nth, type, hop,
       CASE WHEN text LIKE 'via %' THEN substr(text, 5, instr(substr(text, 5), ' ') - 1) END AS gateway,
       CASE WHEN rest LIKE 'dev %' THEN substr(rest, 5, instr(substr(rest, 5), ' ') - 1) END AS dev,
       CAST(named AS INTEGER) AS weight,
       nullif(replace(trim(CASE WHEN at > 0 THEN substr(tail, 1, at) ELSE tail END), ' ', ','), '') AS flags,
       CASE WHEN at > 0 THEN substr(tail, at + length(' encap ')) END AS encap
  FROM (SELECT *, instr(tail, ' encap ') AS at
          FROM (SELECT *, CASE WHEN instr(named, ' ') > 0 THEN substr(named, instr(named, ' ')) ELSE '' END AS tail
                  FROM (SELECT *, CASE WHEN rest LIKE 'dev %' THEN substr(rest, 5 + instr(substr(rest, 5), ' ') + length('weight ')) ELSE substr(rest, length('weight ') + 1) END AS named
                          FROM (SELECT r.*, j.key AS hop, j.value AS text,
                                       CASE WHEN j.value LIKE 'via %' THEN substr(j.value, 5 + instr(substr(j.value, 5), ' ')) ELSE j.value END AS rest
                                  FROM routes r CROSS JOIN json_each('[' || replace(replace(json_quote(nexthops), '; via ', '","via '), '; dev ', '","dev ') || ']') j
                                 WHERE nexthops IS NOT NULL AND nexthops NOT LIKE 'nhid %'))))
