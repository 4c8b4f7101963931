package store

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

//go:embed faults/*.sql
var faultFiles embed.FS

// Findings is the view of all faults.
const Findings = "findings"

// faultViews has a view for each fault that the recording shows, and findings, which is all of them. Each stands in a file of its own, with the number
// of its rule, and gives of the fault what the columns below ask for. A row whose severity is NULL is none.
//
// In their SQL EPISODES stands for symptom_episodes; in the text of evidence WHEN(e) for the time of the episode e, and NETNS(e) for its network namespace;
// elsewhere WHENEVER(e) for its time. None of this may use WITH: from version 3.54 on SQLite refuses a statement with a thousand cursors in which it comes to
// the name of a common table expression, and findings has more.
func faultViews() []View {
	names, err := fs.Glob(faultFiles, "faults/*.sql")
	if err != nil {
		panic(err)
	}
	columns := faultColumns()
	list := columnNames(columns[1:])
	var views []View
	var all []string
	for _, name := range names {
		text, err := faultFiles.ReadFile(name)
		if err != nil {
			panic(err)
		}
		short := viewNumber.ReplaceAllString(strings.TrimSuffix(path.Base(name), ".sql"), "")
		v, err := parseView("fault_"+short, faultWords(string(text)))
		if err != nil {
			panic(err)
		}
		fault := strings.ReplaceAll(short, "_", " ")
		v.Columns, v.Body = columns, fmt.Sprintf("SELECT '%s' AS fault, %s FROM (%s)\n WHERE severity IS NOT NULL", fault, list, v.Body)
		all = append(all, "SELECT * FROM "+v.Name)
		views = append(views, v)
	}
	return append(views, View{
		Name:    Findings,
		Doc:     "What was wrong in the window, the worst first: the faults of all views fault_….",
		Columns: columns,
		Body: "SELECT * FROM (" + strings.Join(all, "\nUNION ALL ") + ")\n ORDER BY CASE severity WHEN 'fault' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END,\n" +
			"          CASE sure WHEN 'certain' THEN 0 WHEN 'likely' THEN 1 ELSE 2 END, since",
	})
}

var faultWord = regexp.MustCompile(`\b(WHENEVER|WHEN|NETNS)\((\w+)\)|\bEPISODES\b`)

// faultWords puts in what the words in capitals stand for.
func faultWords(text string) string {
	return faultWord.ReplaceAllStringFunc(text, func(word string) string {
		name, of, _ := strings.Cut(strings.TrimSuffix(word, ")"), "(")
		switch name {
		case "WHEN":
			return fmt.Sprintf("ts BETWEEN ' || CAST(%[1]s.since - 1 AS INTEGER) || ' AND ' || CAST(%[1]s.last + 2 AS INTEGER) || '", of)
		case "WHENEVER":
			return fmt.Sprintf("ts BETWEEN %[1]s.since AND %[1]s.last", of)
		case "NETNS":
			return fmt.Sprintf("netns IS ' || coalesce(%s.netns, 'NULL') || '", of)
		}
		return "symptom_episodes"
	})
}

func faultColumns() []Column {
	text := func(name, doc string) Column { return Column{Name: name, stored: name, Doc: doc, Role: Value} }
	moment := func(name, doc string) Column {
		return Column{Name: name, stored: name, Unit: "unix s", Doc: doc, Role: Value, kind: kindTime}
	}
	return []Column{
		text("fault", "Short name of the fault, as in the name of its view."),
		text("severity", "fault: something was lost or does not work; warning: it is near that, or looks like it; info: worth knowing."),
		text("sure", "certain: the kernel counted it; likely: what is seen fits, and hardly anything else; hint: it may be something else."),
		moment("since", "First sample that saw it."),
		moment("until", "Last sample that saw it; NULL where it may go on: it was seen in the last five minutes of the window."),
		text("what", "What is wrong, in a sentence."),
		text("who", "Program and process; NULL where none is known, and where it is of no program."),
		text("evidence", "The SELECT that shows it."),
		text("next", "What to look at or do next."),
		text("pid", "Process id of who; NULL where it is not known, or of several."),
		text("comm", "Name of the program."),
		text("local_port", "Local port."),
		text("remote_addr", "Address of the other end."),
		text("remote_port", "Port of the other end."),
		text("dev", "Interface."),
		text("symptom", "The symptom that shows it best; see symptoms."),
		text("netns", "Inode number of the network namespace; NULL for what is of the whole machine."),
		moment("last", "Last sample that saw it."),
	}
}
