package glossary

import "strings"

// hereFor are the SELECTs that say how things stand with a word on the machine of a recording, at the sample that at() means. Each gives one
// sentence at most, without its capital. An entry names one of them, or has its own; those named state and counter are of all entries of that
// kind. {word} is the word of the entry, {group} and {name} what stands before and behind its dot.
var hereFor = map[string]string{
	"state": `WITH s AS MATERIALIZED (SELECT comm, pid FROM sockets WHERE ts = at() AND state = '{word}' AND proto IN ('tcp', 'udp', 'mptcp', 'sctp')),
 most AS (SELECT comm, count(*) AS n FROM s WHERE comm IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 1)
SELECT iif((SELECT count(*) FROM s) = 0, 'no TCP or UDP socket is in {word}.',
 printf('%,d in {word}', (SELECT count(*) FROM s)) || coalesce((SELECT printf('; %s has most, %,d', comm, n) FROM most), '; no program is known to hold one') || '.')`,

	// A counter by itself says little: whether it grows, and whether it did before, says more. Namespaces that are new, and counts before a boot, have no growth.
	"counter": `WITH t AS MATERIALIZED (SELECT at() AS z,
  (SELECT min(ts) FROM samples WHERE ts >= at() - 3600 AND boot = (SELECT boot FROM samples WHERE ts = at())) AS hour,
  (SELECT min(ts) FROM samples WHERE ts >= at() - 90000 AND boot = (SELECT boot FROM samples WHERE ts = at())) AS day),
 v AS MATERIALIZED (SELECT ts, netns, kind, value FROM protocol_counters WHERE ts IN (SELECT z FROM t UNION SELECT hour FROM t UNION SELECT day FROM t)
  AND proto = '{group}' AND name = '{name}'),
 g AS (SELECT t.z, t.hour, t.day, (SELECT max(kind) FROM v) AS kind, (SELECT sum(value) FROM v WHERE ts = z) AS now, (SELECT sum(value) FROM v WHERE ts = hour) AS was,
  (SELECT sum(b.value - a.value) FROM v a JOIN v b ON b.netns IS a.netns AND b.value >= a.value WHERE a.ts = hour AND b.ts = z) AS late,
  (SELECT sum(b.value - a.value) FROM v a JOIN v b ON b.netns IS a.netns AND b.value >= a.value WHERE a.ts = day AND b.ts = hour) AS before FROM t)
SELECT CASE WHEN now IS NULL THEN 'this kernel has no such counter, or nobody read it.'
 WHEN kind = 'gauge' THEN printf('it is %,d', now) || iif(hour < z AND was IS NOT NULL, printf('; %s before, it was %,d', duration(z - hour), was), '') || '.'
 WHEN hour = z OR late IS NULL THEN printf('it is %,d since boot; how it grows, one sample does not tell.', now)
 ELSE printf('it is %,d since boot, and ', now) || iif(late = 0, 'stood still', printf('grew by %,d', late)) || ' in the ' || duration(z - hour) || ' before'
  || CASE WHEN day = hour OR before IS NULL THEN '; whether it normally stands still is not known, for lack of older samples'
     WHEN before = 0 THEN '; it stood still in the ' || duration(hour - day) || ' before that, too'
     ELSE printf('; in the %s before that by %,d', duration(hour - day), before) END || '.' END FROM g`,

	// Of an interface, how far a counter grew.
	"interface": `WITH t AS MATERIALIZED (SELECT at() AS z, (SELECT min(ts) FROM samples WHERE ts >= at() - 3600 AND boot = (SELECT boot FROM samples WHERE ts = at())) AS a),
 v AS MATERIALIZED (SELECT ts, netns, ifindex, name, {word} AS value, rx_packets + tx_packets AS packets FROM interface_counters WHERE ts IN (SELECT z FROM t UNION SELECT a FROM t)),
 g AS MATERIALIZED (SELECT b.name, b.value - a.value AS n, b.packets - a.packets AS packets FROM t JOIN v a ON a.ts = t.a
  JOIN v b ON b.ts = t.z AND b.netns IS a.netns AND b.ifindex = a.ifindex AND b.name = a.name WHERE t.a < t.z AND b.value >= a.value)
SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM g) THEN 'how it grows is not known: no older sample has it.'
 WHEN NOT EXISTS (SELECT 1 FROM g WHERE n > 0) THEN printf('it stood still on every interface (%d) in the %s before.', (SELECT count(*) FROM g), duration((SELECT z - a FROM t)))
 ELSE (SELECT 'in the ' || duration((SELECT z - a FROM t)) || ' before it grew on ' || group_concat(printf('%s by %,d, with %,d packets in all', name, n, packets), '; ')
  FROM (SELECT * FROM g WHERE n > 0 ORDER BY n DESC LIMIT 3)) || '.' END`,

	"setting": `WITH v AS MATERIALIZED (SELECT value, count(*) AS n FROM settings WHERE ts = at() AND name = '{word}' GROUP BY 1)
SELECT iif(EXISTS (SELECT 1 FROM v), 'it is ' || (SELECT group_concat(value || iif((SELECT count(*) FROM v) = 1, '', printf(' in %,d network namespaces', n)), ', ') FROM (SELECT * FROM v ORDER BY n DESC LIMIT 4)) || '.',
 'this kernel has no such setting, or it is not recorded.')`,

	"neighbor state": `SELECT printf('neighbors in {word}: %,d of %,d', count(*) FILTER (WHERE state = '{word}'), count(*))
 || coalesce('; ' || (SELECT group_concat(addr || ' on ' || dev, ', ') FROM (SELECT addr, dev FROM neighbors WHERE ts = at() AND state = '{word}' LIMIT 3)) || iif(count(*) FILTER (WHERE state = '{word}') > 3, ' …', ''), '') || '.'
 FROM neighbors WHERE ts = at()`,

	"interface flag": `SELECT printf('interfaces with it: %,d of %,d', count(*) FILTER (WHERE has), count(*)) || coalesce('; ' || group_concat(name, ', ') FILTER (WHERE has AND nth <= 5) || iif(count(*) FILTER (WHERE has) > 5, ' …', ''), '') || '.'
 FROM (SELECT name, has, row_number() OVER (PARTITION BY has ORDER BY name) AS nth FROM (SELECT name, ',' || flags || ',' LIKE '%,{word},%' AS has FROM interfaces WHERE ts = at()))`,

	"drop reason": `SELECT iif(count(*) = 0, 'no packet was dropped for that in the hour before.', printf('%,d packets were dropped for that in the hour before, last at %s.', sum(packets), localtime(max(ts))))
 FROM packet_drops WHERE ts BETWEEN at() - 3600 AND at() AND reason = '{word}'`,

	"gateways": `SELECT iif(count(*) = 0, 'no default route leads to a gateway.', 'the default route leads ' || group_concat(DISTINCT 'to ' || gateway || coalesce(' over ' || dev, '')) || '.')
 FROM routes WHERE ts = at() AND dst IN ('0.0.0.0/0', '::/0') AND gateway IS NOT NULL`,
}

// sourcesFor are the sources that such a SELECT rests on: where none of them was read, nothing is known.
var sourcesFor = map[string][]string{
	"counter": {"protocol_counters"}, "interface": {"interfaces"}, "setting": {"settings"}, "neighbor state": {"neighbors"}, "interface flag": {"interfaces"},
	"drop reason": {"drops"}, "gateways": {"routes"}, "": {"tcp4", "tcp6"},
}

// measured is e with the SELECT of its machine.
func measured(e Entry) Entry {
	named := e.HereSQL
	if named == "" {
		named = e.Kind
	}
	template, is := hereFor[named]
	switch {
	case is:
		if e.Kind == "setting" && e.Next == "" {
			e.Next = "SELECT ts, was, now FROM setting_changes WHERE name = '" + e.Word + "'"
		}
		group, name, _ := strings.Cut(e.Word, ".")
		e.HereSQL = template
		for place, text := range map[string]string{"{word}": e.Word, "{group}": group, "{name}": name} {
			e.HereSQL = strings.ReplaceAll(e.HereSQL, place, text)
		}
	case e.HereSQL == "":
		return e
	}
	if e.Sources == nil {
		e.Sources = sourcesFor[named]
	}
	if e.Sources == nil {
		e.Sources = sourcesFor[""]
	}
	return e
}
