package store

import (
	"fmt"
	"regexp"
	"strings"
)

const hostColumn = "host"

// OfNoHost tells whether the view is the same in all recordings: it is one in a merged file, too.
func (v View) OfNoHost() bool { return v.Name == glossaryName }

// Merged is the view as a merged file of these hosts has it: the rows of all of them, and a column that says of which host each is.
func (v View) Merged(hosts []string) View {
	if v.OfNoHost() {
		return v
	}
	columns := []Column{{Name: hostColumn, Role: Value, Doc: "The host whose recording says so; see hosts."}}
	read := ""
	for _, c := range v.Columns {
		read += ", " + identifier(c.Name)
		if c.Name == hostColumn { // what the machine called itself
			c.Name = "host_name"
			read += " AS " + c.Name
		}
		columns = append(columns, c)
	}
	var b strings.Builder
	for i, host := range hosts {
		if i > 0 {
			b.WriteString("\nUNION ALL ")
		}
		fmt.Fprintf(&b, "SELECT %s AS %s%s FROM %s", quoted(host), hostColumn, read, identifier(host+"/"+v.Name))
	}
	v.Columns, v.Body, v.Lives, v.InFile, v.template = columns, b.String(), "", "", ""
	return v
}

// HostsView is the table of a merged file that says what is in it. It has no SELECT.
func HostsView() View {
	return View{Name: "hosts", Doc: "What is in this file: a row for each host whose recording was merged into it.", Columns: []Column{
		{Name: hostColumn, Doc: "Its name, in the column host of all tables.", Role: Value},
		{Name: "recording", Doc: "UUID of its recording.", Role: Value},
		{Name: "samples", Doc: "Samples in it.", Role: Value},
		{Name: "first", Unit: "unix s", kind: kindTime, Doc: "Time of the first of them, by the clock of the host.", Role: Value},
		{Name: "last", Unit: "unix s", kind: kindTime, Doc: "Time of the last of them.", Role: Value},
	}}
}

// sqlPiece is a comment, a text, a name in quotes, a word, or any other character of SQL.
var sqlPiece = regexp.MustCompile(`--[^\n]*|/\*(?s:.*?)\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\w+|\s+|.`)

var sqlComment = regexp.MustCompile(`--[^\n]*`)

// sqlCTE is the name of a part of a WITH.
var sqlCTE = regexp.MustCompile(`(?i)(\w+)\s*(?:\([^()]*\))?\s+AS\s+(?:NOT\s+)?(?:MATERIALIZED\s+)?\(\s*(?:SELECT|WITH|VALUES)\b`)

// OfHost is the SQL with the tables of one host of a merged file. It knows no more SQL than views of ours are written in: a test has SQLite read them all.
func OfHost(sql, host string) string {
	return renamed(sql, func(table string) string { return identifier(host + "/" + table) })
}

// OfRecording is the SQL with the tables of the recording, whatever temporary tables there are.
func OfRecording(sql string) string {
	return renamed(sql, func(table string) string { return "main." + identifier(table) })
}

// renamed is the SQL with other names for tables.
func renamed(body string, other func(table string) string) string {
	ctes := map[string]bool{}
	for _, m := range sqlCTE.FindAllStringSubmatch(sqlComment.ReplaceAllString(body, ""), -1) {
		ctes[strings.ToLower(m[1])] = true
	}
	pieces := sqlPiece.FindAllString(body, -1)
	next := func(i int) string { // what follows
		for i++; i < len(pieces); i++ {
			if p := pieces[i]; strings.TrimSpace(p) != "" && !strings.HasPrefix(p, "--") && !strings.HasPrefix(p, "/*") {
				return p
			}
		}
		return ""
	}
	var b strings.Builder
	wanted := false // a table comes next
	last := ""
	for i, p := range pieces {
		if strings.TrimSpace(p) == "" || strings.HasPrefix(p, "--") || strings.HasPrefix(p, "/*") {
			b.WriteString(p)
			continue
		}
		word := strings.ToUpper(p)
		isName := p[0] == '"' || p[0] == '_' || word[0] >= 'A' && word[0] <= 'Z'
		switch {
		case word == "FROM" && last != "DISTINCT", word == "JOIN":
			wanted = true
		case word == "SELECT", word == "WITH":
			wanted = false // one in the place of a table
		case wanted && isName:
			wanted = false
			name := strings.Trim(p, `"`)
			if !ctes[strings.ToLower(name)] && next(i) != "(" {
				p = other(name)
			}
		}
		last = word
		b.WriteString(p)
	}
	return b.String()
}
