package query

import "strings"

// keywords are those of SQLite that a question needs; what only sets up
// schemas and transactions would crowd the list.
var keywords = strings.Fields(`
ALL ANALYZE AND AS ASC ATTACH BEGIN BETWEEN BY CASE CAST COLLATE CREATE CROSS CURRENT DELETE DESC DETACH DISTINCT DROP
ELSE END ESCAPE EXCEPT EXISTS EXPLAIN FILTER FOLLOWING FROM FULL GLOB GROUP HAVING IF IN INDEX INNER INSERT INTERSECT
INTO IS ISNULL JOIN LEFT LIKE LIMIT MATCH MATERIALIZED NATURAL NOT NOTNULL NULL NULLS OFFSET ON OR ORDER OUTER OVER
PARTITION PLAN PRAGMA PRECEDING QUERY RANGE RECURSIVE REGEXP REPLACE RIGHT ROWS SELECT SET TABLE TEMP THEN UNBOUNDED
UNION UPDATE USING VALUES VIEW WHEN WHERE WINDOW WITH`)

// reserved words cannot stand as a plain name. (Many keywords can: SQLite takes
// "plan" or "query" for a name where no keyword fits.)
var reserved = wordSet(`
ADD ALL ALTER AND AS AUTOINCREMENT BETWEEN CASE CAST CHECK COLLATE COMMIT CONSTRAINT CREATE DEFAULT DEFERRABLE DELETE
DISTINCT DROP ELSE ESCAPE EXCEPT EXISTS FOREIGN FROM GROUP HAVING IN INDEX INSERT INTERSECT INTO IS ISNULL JOIN LIMIT
NOT NOTHING NOTNULL NULL ON OR ORDER PRIMARY REFERENCES RETURNING SELECT SET TABLE THEN TO TRANSACTION UNION UNIQUE
UPDATE USING VALUES WHEN WHERE`)

// joinWords can stand as names, but after a table they begin a join.
var joinWords = wordSet("CROSS FULL INNER LEFT NATURAL OUTER RIGHT")

// builtinFunctions are SQLite's own that go with what a recording holds.
var builtinFunctions = strings.Fields(`
abs avg ceil changes char coalesce count cume_dist date datetime dense_rank first_value floor format glob group_concat
hex ifnull iif instr json_array json_extract json_group_array json_group_object json_object julianday lag
last_value lead length like ln log log10 lower ltrim max min mod nth_value ntile nullif percent_rank pow power printf
quote random rank replace round row_number rtrim sign sqrt strftime string_agg substr sum time total trim trunc typeof
unicode unixepoch upper`)

func wordSet(words string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		set[w] = true
	}
	return set
}
