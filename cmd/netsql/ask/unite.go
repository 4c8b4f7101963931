package ask

import (
	"fmt"
	"slices"
	"strings"
)

// Unite makes one table of the answers, with the column host before all others. Columns are united by their names, the n-th of a name with the n-th; a
// host that lacks one has NULL there, which the notes say.
func Unite(answers []Answer) (columns []string, rows [][]any, notes []string) {
	var all []column
	for _, a := range answers {
		at := 0
		for _, c := range columnsOf(a) {
			if i := slices.Index(all, c); i >= 0 {
				at = i + 1
				continue
			}
			all = slices.Insert(all, at, c) // beside those it stands with
			at++
		}
	}
	lack := map[string][]string{} // hosts, by what they lack
	var order []string
	columns = []string{"host"}
	for _, c := range all {
		columns = append(columns, c.name)
	}
	for _, a := range answers {
		own := columnsOf(a)
		if own == nil {
			continue
		}
		from := make([]int, len(all))
		var lacking []string
		for i, c := range all {
			if from[i] = slices.Index(own, c); from[i] < 0 {
				lacking = append(lacking, c.name)
			}
		}
		if lacking != nil {
			if more := len(lacking) - mostLacking; more > 1 {
				lacking = append(lacking[:mostLacking:mostLacking], fmt.Sprintf("… and %d more", more))
			}
			text := strings.Join(lacking, ", ") + ": NULL there"
			if a.Version != "" {
				text += " (netsql " + a.Version + ")"
			}
			if lack[text] == nil {
				order = append(order, text)
			}
			lack[text] = append(lack[text], a.Host)
		}
		for _, row := range a.Rows {
			united := make([]any, 1, 1+len(all))
			united[0] = a.Host
			for _, i := range from {
				if i < 0 {
					united = append(united, nil)
				} else {
					united = append(united, row[i])
				}
			}
			rows = append(rows, united)
		}
	}
	for _, text := range order {
		notes = append(notes, strings.Join(lack[text], ", ")+": no "+text)
	}
	return columns, rows, notes
}

// mostLacking columns are named.
const mostLacking = 12

// A column is the n-th of its name.
type column struct {
	name string
	nth  int
}

func columnsOf(a Answer) (all []column) {
	seen := map[string]int{}
	for _, name := range a.Columns {
		all = append(all, column{name, seen[name]})
		seen[name]++
	}
	return all
}

// A Note is what several hosts say alike.
type Note struct {
	Hosts []string
	Text  string
}

// Notes are those of all answers, each once.
func Notes(answers []Answer) (all []Note) {
	for _, a := range answers {
		for _, text := range a.Notes {
			i := slices.IndexFunc(all, func(n Note) bool { return n.Text == text })
			if i < 0 {
				all, i = append(all, Note{Text: text}), len(all)
			}
			if !slices.Contains(all[i].Hosts, a.Host) {
				all[i].Hosts = append(all[i].Hosts, a.Host)
			}
		}
	}
	return all
}
