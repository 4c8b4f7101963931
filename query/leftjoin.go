package query

import (
	"regexp"
	"slices"
	"strings"

	"netsql/store"
)

// SQLite works out the whole right side of a LEFT JOIN if that is a view of several tables: a history joined by its ts would be read for
// every sample of the recording. So the shell says in the statement which moments are wanted: those of the other side.
//
//	… FROM route_changes c LEFT JOIN sockets s ON s.ts = c.ts
//	… FROM route_changes c LEFT JOIN (SELECT * FROM sockets WHERE ts IN (SELECT c.ts FROM route_changes AS c)) AS s ON s.ts = c.ts
//
// What the WHERE clause asks of the other side alone is asked of these moments, too. The rows are the same: others never match.

// A word is a token that is not blank, in small letters, and where it stands.
type word struct {
	text       string
	kind       tokenKind
	start, end int
	depth      int // of parentheses, before an opening one and after a closing one
}

func wordsOf(statement string) []word {
	var all []word
	depth := 0
	for _, t := range tokens(statement) {
		if t.blank() {
			continue
		}
		w := word{text: strings.ToLower(statement[t.start:t.end]), kind: t.kind, start: t.start, end: t.end}
		if w.text == ")" {
			depth--
		}
		if w.depth = depth; w.text == "(" {
			depth++
		}
		all = append(all, w)
	}
	return all
}

// endsClause are the words with which what stands before them in a SELECT ends.
var endsClause = map[string]bool{"where": true, "group": true, "having": true, "order": true, "limit": true, "window": true,
	"union": true, "except": true, "intersect": true, ";": true}

// joins are the words of a FROM clause between two tables.
var joins = map[string]bool{",": true, "join": true, "left": true, "right": true, "full": true, "inner": true, "cross": true, "natural": true, "outer": true, "on": true, "using": true}

var aLeftJoin = regexp.MustCompile(`(?i)\bleft\b`)

// drivenLeftJoins is the statement with the moments said in it.
func drivenLeftJoins(statement string) string {
	if !aLeftJoin.MatchString(statement) {
		return statement
	}
	all := wordsOf(statement)
	if len(all) == 0 || all[0].text == "create" {
		return statement
	}
	at := func(i int) word {
		if i < 0 || i >= len(all) {
			return word{}
		}
		return all[i]
	}
	var out strings.Builder
	done := 0
	for i := range all {
		if all[i].text != "left" {
			continue
		}
		name := i + 1
		if at(name).text == "outer" {
			name++
		}
		name++
		v, is := viewsByName()[strings.Trim(at(name).text, `"`)]
		if at(name-1).text != "join" || !is || v.Rollup != nil || !showsSamples(v) {
			continue
		}
		alias, on := at(name).text, name+1
		if at(on).text == "as" {
			on++
		}
		if w := at(on); w.text != "on" && w.text != "using" {
			alias, on = w.text, on+1
		}
		item, ok := otherSide(all, i, on, alias)
		if !ok {
			continue
		}
		moments := "SELECT " + item.alias + ".ts FROM " + statement[all[item.first].start:all[item.last].end] + " AS " + item.alias
		if about := item.asked(statement, all, on); len(about) > 0 {
			moments += " WHERE " + strings.Join(about, " AND ")
		}
		out.WriteString(statement[done:all[name].start])
		out.WriteString("(SELECT * FROM " + v.Name + " WHERE ts IN (" + moments + ")) AS " + alias)
		done = all[on-1].end
	}
	return out.String() + statement[done:]
}

// showsSamples reports whether a view has the rows of each sample, its ts being the sample's.
func showsSamples(v store.View) bool {
	return v.From != nil && !strings.HasSuffix(v.Name, changesSuffix) && !strings.HasSuffix(v.Name, spansSuffix) && !strings.HasSuffix(v.Name, nowSuffix)
}

// A fromItem is a table, a view or a SELECT in a FROM clause: the words first … last, and its alias.
type fromItem struct {
	first, last int
	alias       string
}

// otherSide is what the join at that word takes its ts from. It must be certain: the condition, behind the word on, has no OR.
func otherSide(all []word, join, on int, alias string) (fromItem, bool) {
	depth := all[join].depth
	items := itemsBefore(all, join)
	if len(items) == 0 || on >= len(all) {
		return fromItem{}, false
	}
	if all[on].text == "using" {
		return items[0], len(items) == 1 && on+3 < len(all) && all[on+1].text == "(" && all[on+2].text == "ts" && all[on+3].text == ")"
	}
	if all[on].text != "on" {
		return fromItem{}, false
	}
	other := ""
	for k := on + 1; k < len(all) && all[k].depth >= depth; k++ {
		w := all[k]
		if w.depth > depth {
			continue
		}
		if endsClause[w.text] || joins[w.text] {
			break
		}
		if w.text == "or" {
			return fromItem{}, false
		}
		// a.ts = b.ts: seven words.
		if k+6 < len(all) && all[k+1].text == "." && all[k+2].text == "ts" && all[k+3].text == "=" && all[k+5].text == "." && all[k+6].text == "ts" && all[k-1].text != "." &&
			(all[k-1].text == "on" || all[k-1].text == "and") && (k+7 == len(all) || all[k+7].text == "and" || endsClause[all[k+7].text] || joins[all[k+7].text] || all[k+7].text == ")") {
			switch alias {
			case w.text:
				other = all[k+4].text
			case all[k+4].text:
				other = w.text
			}
		}
	}
	for _, item := range items {
		if item.alias == other {
			return item, true
		}
	}
	return fromItem{}, false
}

// itemsBefore are the items of the FROM clause up to that join. Where one cannot be told from what joins it, there are none.
func itemsBefore(all []word, join int) []fromItem {
	from := join - 1
	for from >= 0 && (all[from].depth > all[join].depth || all[from].depth == all[join].depth && all[from].text != "from") {
		from--
	}
	if from < 0 || all[from].depth < all[join].depth {
		return nil
	}
	var items []fromItem
	for k := from + 1; k < join; {
		item := fromItem{first: k, last: k}
		switch {
		case all[k].text == "(":
			for item.last++; item.last < join && all[item.last].depth > all[k].depth; item.last++ {
			}
		case k+2 < join && all[k+1].text == ".":
			item.last = k + 2
			item.alias = all[k+2].text
		default:
			item.alias = all[k].text
		}
		if k = item.last + 1; k < join && all[k].text == "as" {
			k++
		}
		if k < join && !joins[all[k].text] {
			item.alias = all[k].text
			k++
		}
		if item.alias != "" {
			items = append(items, item)
		}
		// On to the next: behind a comma or JOIN.
		for ; k < join && !(all[k].depth == all[join].depth && (all[k].text == "," || all[k].text == "join")); k++ {
		}
		k++
	}
	return items
}

// asked are the parts of the WHERE clause behind that word, joined by AND, that are about the item alone.
func (item fromItem) asked(statement string, all []word, on int) []string {
	depth := all[on].depth
	k := on
	for ; k < len(all) && all[k].depth >= depth && !(all[k].depth == depth && endsClause[all[k].text]); k++ {
	}
	if k >= len(all) || all[k].text != "where" || all[k].depth != depth {
		return nil
	}
	var parts []string
	first, own, between := k+1, true, false
	end := func(k int) {
		if own && first < k {
			parts = append(parts, statement[all[first].start:all[k-1].end])
		}
		first, own = k+1, true
	}
	for k++; k < len(all) && all[k].depth >= depth && !(all[k].depth == depth && endsClause[all[k].text]); k++ {
		w := all[k]
		switch {
		case w.depth == depth && w.text == "or":
			return nil
		case w.depth == depth && w.text == "between":
			between = true
		case w.depth == depth && w.text == "and" && between:
			between = false
		case w.depth == depth && w.text == "and":
			end(k)
		case w.kind != tokenWord && w.kind != tokenName || all[k-1].text == ".":
		case k+1 < len(all) && all[k+1].text == ".":
			own = own && w.text == item.alias
		case k+1 < len(all) && all[k+1].text == "(" && w.text != "in" && w.text != "exists":
		default:
			own = own && slices.Contains([]string{"in", "is", "not", "null", "like", "glob", "escape", "collate", "nocase", "and", "or", "between"}, w.text)
		}
	}
	end(k)
	return parts
}
