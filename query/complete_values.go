package query

import (
	"cmp"
	"context"
	"fmt"
	"netsql/store/glossary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// valueAsked is a place in a statement where a value of a column belongs, or the words for a time.
type valueAsked struct {
	column string
	time   bool   // an argument of at(), ts() or ago()
	prefix string // what of it stands there already, with the quote if that does
}

// valueAt finds whether a value belongs at the cursor: behind =, <> or LIKE, in the list of IN, or in a call that takes a time. A quote may be open.
func valueAt(stmt string, cursor int) (v valueAsked, ok bool) {
	var before []token
	for _, t := range tokens(stmt) {
		if t.start >= cursor {
			break
		}
		switch {
		case t.kind == tokenString && (cursor < t.end || t.open):
			v.prefix = stmt[t.start:cursor]
		case t.kind == tokenWord && cursor <= t.end:
			v.prefix = stmt[t.start:cursor]
		case cursor < t.end && !t.blank(), t.open:
			return v, false
		case !t.blank():
			before = append(before, t)
		}
	}
	word := func(back int) string {
		if len(before) < back {
			return ""
		}
		t := before[len(before)-back]
		return strings.ToLower(strings.Trim(stmt[t.start:t.end], "\"`[]"))
	}
	if v.prefix != "" && v.prefix[0] != '\'' { // a word may be a column or a function as well
		return v, false
	}
	back := 1
	switch {
	case word(1) == "(" && (word(2) == "at" || word(2) == "ts" || word(2) == "ago"):
		v.time, v.column = true, word(2)
		return v, true
	case word(1) == "=" || word(1) == "like" || word(1) == "is":
		back = 2
		for word(back) == "=" || word(back) == "!" {
			back++
		}
	case word(1) == ">" && word(2) == "<":
		back = 3
	default: // … IN ('a', 'b', ‸
		for back <= len(before) && word(back) != "(" {
			if t := before[len(before)-back]; t.kind != tokenString && word(back) != "," {
				return v, false
			}
			back++
		}
		if word(back) != "(" || word(back+1) != "in" {
			return v, false
		}
		back += 2
		if word(back) == "not" {
			back++
		}
	}
	if back > len(before) {
		return v, false
	}
	if t := before[len(before)-back]; t.kind != tokenWord && t.kind != tokenName {
		return v, false
	}
	v.column = word(back)
	return v, true
}

// timesOffered are words for times.
var timesOffered = map[string][]string{
	"ago": {"30s", "1m", "5m", "10m", "1h", "2h", "1d", "7d"},
	"at":  {"now", "5m ago", "1h ago", "today 03:14", "yesterday 03:14"},
	"ts":  {"now", "5m ago", "1h ago", "today 03:14", "yesterday 03:14"},
}

// candidates are what may stand there, as SQL strings.
func (v valueAsked) candidates(names Names) []string {
	list := timesOffered[v.column]
	if !v.time {
		if list = values[v.column]; list == nil && names.Values != nil {
			list = names.Values(v.column)
		}
	}
	typed := strings.TrimPrefix(v.prefix, "'")
	var found []string
	for _, text := range startingWith(list, typed) {
		found = append(found, "'"+strings.ReplaceAll(text, "'", "''")+"'")
	}
	return found
}

// valueSources are where the values of columns are looked up: those of the newest sample.
var valueSources = map[string]string{
	"comm": "processes_now", "user": "processes_now", "unit": "processes_now", "exe": "processes_now",
	"dev": "interfaces_now.name", "name": "interfaces_now", "operstate": "interfaces_now",
	"local_addr": "sockets_now", "remote_addr": "sockets_now", "addr": "addresses_now", "gateway": "routes_now", "dst": "routes_now",
	"source": "sources_now",
}

// completionWait is how long who presses Tab waits for values.
const completionWait = 200 * time.Millisecond

// mostCompleted is how long a value may be that completion offers.
const mostCompleted = 200

// valuesOf are values that a column has now, for completion.
func (r *Recording) valuesOf(ctx context.Context, column string) []string {
	if column == "host" {
		return r.hosts
	}
	source, ok := valueSources[column]
	if !ok {
		return nil
	}
	table, other, ok := strings.Cut(source, ".")
	if ok {
		column = other
	}
	rows, err := r.conn.QueryContext(ctx, fmt.Sprintf("SELECT DISTINCT %s FROM %s WHERE %[1]s IS NOT NULL LIMIT 500", quotedName(column), table))
	if err != nil {
		return nil
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var text string
		if rows.Scan(&text) == nil && text != "" && len(text) <= mostCompleted && isClean(text) {
			found = append(found, text)
		}
	}
	return found
}

// fileCommands take the name of a file.
var fileCommands = map[string]bool{".read": true, ".output": true, ".once": true, ".import": true, ".backup": true, `\i`: true, `\o`: true}

// fileNames are files and folders that begin so.
func fileNames(prefix string) []string {
	dir, base := filepath.Split(prefix)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), base) || base == "" && strings.HasPrefix(e.Name(), ".") || strings.Contains(e.Name(), " ") || !isClean(e.Name()) {
			continue
		}
		name := dir + e.Name()
		if e.IsDir() {
			name += string(filepath.Separator)
		}
		found = append(found, name)
	}
	return found
}

// wordsOfCommand are what a dot-command may be given.
func wordsOfCommand(command string, names Names) []string {
	onOff := []string{"on", "off"}
	switch command {
	case ".mode":
		return Modes()
	case ".times":
		return []string{"local", "utc", "unix"}
	case ".timer", ".headers", ".echo", ".bail", ".human":
		return onOff
	case ".param":
		return []string{"set", "list", "unset", "clear"}
	case ".help":
		words := slices.Concat([]string{"commands", "functions", "times", "topics"}, names.Topics)
		for _, c := range names.Commands {
			words = append(words, strings.TrimPrefix(c, "."))
		}
		return words
	case ".explain":
		return glossary.Words()
	case ".tables":
		return []string{"all"}
	}
	if tableCommands[command] {
		return names.TableNames()
	}
	return nil
}

// secondWords are what a dot-command may be given behind a first word.
func secondWords(command, first string, names Names) []string {
	if command == ".describe" {
		return slices.Clone(names.columns(first))
	}
	return nil
}
