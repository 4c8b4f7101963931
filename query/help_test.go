package query

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// What a newcomer reads first fits a screen of 24 lines, with the next prompt.
func TestHelpFitsTheScreen(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	for _, command := range []string{".help", ".tables", ".help times", ".help recv_q", ".help TIME_WAIT", ".help around", ".describe sockets recv_q", ".tables neighbor", ".help at"} {
		got, _ := screened(t, r, 80, 24, command)
		if lines := strings.Count(got, "\n"); lines > 23 || lines == 0 {
			t.Errorf("%s: %d lines\n%s", command, lines, got)
		}
		for line := range strings.Lines(got) {
			if w := textWidth(strings.TrimSuffix(line, "\n")); w > 80 && !strings.HasPrefix(line, "  next    ") { // a statement to be copied
				t.Errorf("%s: a line of %d: %s", command, w, line)
			}
		}
	}
	got, _ := screened(t, r, 80, 24, ".tables")
	// …_deltas, …_rates: socket, route names two tables of each.
	named, lists := map[string]bool{}, regexp.MustCompile(`(?:…_\w+, )*…_\w+: `)
	list, _, _ := strings.Cut(got, "\nRead ")
	for _, group := range regexp.MustCompile(`\n\b`).Split(list, -1) {
		kinds := []string{""}
		words := strings.Join(strings.Fields(group), " ")
		if found := lists.FindString(words); found != "" {
			var before string
			before, words, _ = strings.Cut(words, found)
			for _, word := range regexp.MustCompile(`\w+`).FindAllString(before, -1) {
				named[word] = true
			}
			kinds = strings.Split(strings.TrimSuffix(strings.ReplaceAll(found, "…", ""), ": "), ", ")
		}
		for _, word := range regexp.MustCompile(`\w+`).FindAllString(words, -1) {
			for _, kind := range kinds {
				named[word+kind] = true
			}
		}
	}
	for _, v := range store.Views() {
		stem := regexp.MustCompile(`_1[mhd]$`).ReplaceAllString(v.Name, "_1")
		if strings.HasPrefix(v.Name, faultPrefix) {
			if faults, _ := screened(t, r, 80, 24, ".tables fault"); !strings.Contains(faults, v.Name) {
				t.Errorf(".tables fault does not name %s", v.Name)
			}
			continue
		}
		if !strings.HasSuffix(v.Name, nowSuffix) && !named[v.Name] && !(stem != v.Name && strings.Contains(got, stem)) {
			t.Errorf(".tables does not name %s", v.Name)
		}
	}
	for command, want := range map[string]string{
		".help TIME_WAIT":          "Harmless, unless",
		".help recv_q":             "Bytes not yet read by the process",
		".help ts()":               "unix seconds of any words",
		".help sockets":            "Every tcp, udp, raw, udplite, packet, unix, netlink",
		".help mode":               "how results look",
		".help commands":           ".backup FILE",
		".help functions":          "in_net(addr, nets)",
		".describe sockets recv_q": "recv_q",
		".tables all":              "Made in this shell",
	} {
		got, _ := screened(t, r, 100, 50, "CREATE TEMP TABLE IF NOT EXISTS mine (a);\n"+command)
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("%s does not say %q:\n%s", command, want, got)
		}
	}
}

// What help says of times is so.
func TestTimesOfHelpAreRead(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.Local)
	some := 0
	for line := range strings.Lines(helpTimes) {
		words, ok := strings.CutPrefix(line, "  ")
		if !ok {
			continue
		}
		words, _, _ = strings.Cut(words, "   ")
		for _, word := range regexp.MustCompile(`, |  +`).Split(strings.TrimSpace(words), -1) {
			some++
			if _, err := ParseTime(word, now); err != nil {
				t.Errorf("%s: %v", word, err)
			}
		}
	}
	if some < 10 {
		t.Errorf("only %d times", some)
	}
}

// A program that knows only the JSON of the reference knows every table, column, function and command.
func TestReferenceForPrograms(t *testing.T) {
	t.Parallel()
	text, err := ReferenceJSON()
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Tables []struct {
			Name, About, Group string
			Window             bool
			Columns            []struct{ Name, Unit, About string }
		}
		Functions []struct{ Name, Args, About string }
		Commands  []struct{ Name, Args, About string }
		Modes     []string
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Tables) != len(store.Views()) || len(all.Functions) != len(Functions()) || len(all.Commands) != len(commands()) || len(all.Modes) != len(Modes()) {
		t.Errorf("%d tables, %d functions, %d commands, %d modes", len(all.Tables), len(all.Functions), len(all.Commands), len(all.Modes))
	}
	for _, table := range all.Tables {
		v, err := viewNamed(store.Views(), table.Name)
		if err != nil || table.About != v.Doc || table.Group == "" || len(table.Columns) != len(v.Columns) || table.Window != windowed()[v.Name] {
			t.Errorf("%+v, %v", table, err)
			continue
		}
		for i, c := range table.Columns {
			if c.Name != v.Columns[i].Name || c.Unit != v.Columns[i].Unit || c.About != v.Columns[i].Doc {
				t.Errorf("%s: %+v", table.Name, c)
			}
		}
	}
}

// The shell shows the topics that it is given: before what else has their name, and with the command of that name.
func TestHelpOfTopics(t *testing.T) {
	t.Parallel()
	topic := func(name string) Topic {
		return Topic{name, "about " + name, func(w io.Writer, width int) error {
			_, err := fmt.Fprintf(w, "PAGE %s of %d columns\n", name, width)
			return err
		}}
	}
	topics := []Topic{topic("leaks"), topic("tables"), topic("time")}
	for _, tt := range []struct{ word, want, not string }{
		{"leaks", "PAGE leaks of 70 columns", "steadiest"},
		{"tables", "PAGE tables", "\x00"},
		{"tables", ".tables [WORD]", "\x00"},
		{".tables", ".tables [WORD]", "PAGE"},
		{"time", "PAGE time", "yesterday"},
		{"times", "Moments, joins and windows: .help time", "PAGE"},
		{"topics", "about leaks", "PAGE"},
		{"route_changes", "gateway", "PAGE"},
	} {
		got, err := helpOn(t.Context(), nil, tt.word, 70, topics)
		if err != nil || !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) {
			t.Errorf(".help %s: %v\n%s", tt.word, err, got)
		}
	}
	if _, err := helpOn(t.Context(), nil, "topics", 70, nil); err == nil {
		t.Error(".help topics without a manual is answered")
	}
	if _, err := helpOn(t.Context(), nil, "tmie", 70, topics); err == nil || err.Error() != `no help on "tmie"; did you mean .help time?` {
		t.Error(err)
	}
}
