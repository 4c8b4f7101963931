package query

import (
	"encoding/json"
	"strings"

	"netsql/store"
)

// ReferenceJSON is the reference for programs: every table with its columns, their units and meanings, the functions that SQL has here besides its
// own, the commands of the shell and the modes of results.
func ReferenceJSON() ([]byte, error) {
	type named struct {
		Name  string `json:"name"`
		Args  string `json:"args"`
		About string `json:"about"`
	}
	type column struct {
		Name  string `json:"name"`
		Unit  string `json:"unit,omitempty"`
		Time  bool   `json:"time,omitempty"` // unix seconds, which the shell shows as a time
		About string `json:"about"`
	}
	type table struct {
		Name    string   `json:"name"`
		Group   string   `json:"group"`
		About   string   `json:"about"`
		Window  bool     `json:"window"` // it looks at the window that --since and --until set
		Columns []column `json:"columns"`
	}
	var all struct {
		Tables    []table  `json:"tables"`
		Functions []named  `json:"functions"`
		Commands  []named  `json:"commands"`
		Modes     []string `json:"modes"`
	}
	add := func(group string, v store.View) {
		t := table{Name: v.Name, Group: group, About: v.Doc, Window: windowed()[v.Name]}
		for _, c := range v.Columns {
			t.Columns = append(t.Columns, column{c.Name, c.Unit, c.Time(), c.Doc})
		}
		all.Tables = append(all.Tables, t)
	}
	for _, c := range chapters() {
		for _, v := range c.views {
			add(c.title, v)
		}
	}
	for _, v := range store.Views() {
		if strings.HasSuffix(v.Name, nowSuffix) {
			add("The newest sample", v)
		}
	}
	for _, f := range Functions() {
		all.Functions = append(all.Functions, named{f.Name, f.Args, f.Doc})
	}
	for _, c := range commands() {
		all.Commands = append(all.Commands, named{c.name, c.args, c.doc})
	}
	all.Modes = Modes()
	return json.MarshalIndent(all, "", " ")
}
