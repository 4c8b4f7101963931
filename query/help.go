package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"netsql/store"
	"netsql/store/glossary"
)

const helpText = `Type SQL, and ; and Enter. Every recorded table has the time, ts:
  SELECT * FROM sockets_now;                       the newest sample
  SELECT * FROM sockets WHERE ts = at('03:14');    at a moment of the past
  SELECT * FROM interface_rates WHERE ts > ago('10m') AND name = 'eth0';
  SELECT * FROM leaks;               who opens sockets and does not close them
  SELECT * FROM connections WHERE remote_addr = '203.0.113.7';
  SELECT * FROM top_talkers;         who moved most over TCP
  SELECT * FROM gaps;                when nobody looked
  SELECT * FROM live.sockets;        this moment, asked of the kernel
  netstat -tulpn --at 03:14          as netstat printed it then; so do ss, ip …
  .around 03:14                      what happened then, in order
  .diff 03:10 now                    what is different since
  .since '2h ago'                    leaks, connections … look at so much
  .last                              the whole of the last result, in a pager
More: .tables   what there is        .help topics      the manual, by topics
      .describe sockets              .help commands    all commands
      .help recv_q, .help TIME_WAIT  .help times       how times are written
      .help leaks, .help around      .help functions   what SQL has besides
Ctrl-C cancels a statement, also one half typed; Tab completes names; the arrow
keys bring back earlier statements; Ctrl-D leaves.
`

const helpTimes = `Times are words, in at(), ts(), .at, .since, .until, .around, .diff and flags:
  03:14  03:14:05  3:14pm            today, or yesterday if that is to come
  yesterday 14:00, monday 09:30, 23 nov 14:00
  2026-11-23 03:14:05                also with T, Z or +01:00: RFC 3339
  10m ago, 2h ago, 3 days ago        in ago(): ago('10m')
  1795400045                         unix seconds, as ts has them
  now
at('03:14') is the ts of the last sample then: WHERE ts = at('03:14').
ts('03:14') is the moment itself: WHERE ts > ts('03:14') AND ts < ts('03:20').
A second is meant to its end. .at 03:14 makes at() that sample.
`

// help is .help [WORD].
func (s *Shell) help(ctx context.Context, arg string) error {
	out, _ := s.target()
	text, err := helpOn(ctx, s.recording, arg, s.width(), s.config.Manual)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, text)
	return err
}

// Help is what .help says of a word that is no topic of the manual, for a terminal of that many columns.
func Help(word string, width int) (text string, ok bool) {
	text, err := helpOn(context.Background(), nil, word, width, nil)
	return text, err == nil
}

// helpOn answers .help: first what the manual says, then what commands, functions, the glossary, columns and tables say. The recording, which may be
// nil, gives the figures.
func helpOn(ctx context.Context, r *Recording, arg string, width int, topics []Topic) (string, error) {
	var b strings.Builder
	item := func(head, text string) { b.WriteString(wrapped(text, padded(head, 24)+" ", width)) }
	word, dotted := strings.CutPrefix(strings.ToLower(arg), ".")
	list := commands()
	command := slices.IndexFunc(list, func(c command) bool { return c.name == "."+word })
	if command >= 0 {
		item(list[command].name+" "+list[command].args, list[command].doc)
	}
	topic := slices.IndexFunc(topics, func(t Topic) bool { return t.Name == word })
	switch {
	case topic >= 0 && !dotted:
		if command >= 0 {
			b.WriteByte('\n')
		}
		err := topics[topic].Write(&b, width)
		return b.String(), err
	case word == "":
		return helpText, nil
	case word == "topics" && len(topics) > 0, word == "topic" && len(topics) > 0, word == "manual" && len(topics) > 0:
		for _, t := range topics {
			b.WriteString(wrapped(t.Summary, padded("  "+t.Name, 18), width))
		}
		return b.String() + ".help TOPIC shows one; outside the shell, netsql help TOPIC.\n", nil
	case word == "times" || word == "time":
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(helpTimes)
		if len(topics) > 0 {
			b.WriteString("Moments, joins and windows: .help time\n")
		}
		return b.String(), nil
	case word == "commands":
		for _, c := range list {
			item(c.name+" "+c.args, c.doc)
		}
		return b.String(), nil
	case word == "functions":
		for _, f := range Functions() {
			item(f.Name+"("+f.Args+")", f.Doc)
		}
		return b.String(), nil
	case command >= 0:
		if word == "at" || word == "since" || word == "until" {
			b.WriteString("\n" + helpTimes)
		}
		return b.String(), nil
	}
	for _, f := range Functions() {
		if f.Name == strings.TrimSuffix(word, "()") {
			item(f.Name+"("+f.Args+")", f.Doc)
		}
	}
	if viewsByName()[word].Name == "" { // a table says more of itself
		if entries := glossary.Find(arg); len(entries) > 0 {
			if err := WriteGlossary(&b, Here(ctx, r, entries), width); err != nil {
				return "", err
			}
		}
	}
	helpOnColumn(&b, word, width)
	if b.Len() > 0 {
		return b.String(), nil
	}
	if err := Describe(&b, arg); err == nil {
		return b.String(), nil
	}
	b.Reset()
	entries := glossary.FindIn(arg)
	if len(entries) == 0 {
		return "", noHelp(arg, topics)
	}
	err := WriteGlossary(&b, Here(ctx, r, entries), width)
	return b.String(), err
}

// noHelp says which word was meant.
func noHelp(arg string, topics []Topic) error {
	var known []string
	for _, t := range topics {
		known = append(known, t.Name)
	}
	for _, c := range commands() {
		known = append(known, strings.TrimPrefix(c.name, "."))
	}
	for _, v := range store.Views() {
		known = append(known, v.Name)
	}
	if near, ok := Suggest(arg, known); ok {
		return fmt.Errorf("no help on %s; did you mean .help %s?", quoteWords(arg), near)
	}
	return fmt.Errorf("no help on %s: .help topics, .help commands, .help functions and .tables list what there is", quoteWords(arg))
}

// helpOnColumn says what a column means: once where it means the same in several tables.
func helpOnColumn(b *strings.Builder, name string, width int) {
	tables := map[string][]string{} // by what is said of the column
	var order []string
	for _, v := range store.Views() {
		if strings.HasSuffix(v.Name, nowSuffix) {
			continue
		}
		for _, c := range v.Columns {
			if c.Name != name {
				continue
			}
			doc := c.Doc
			if c.Unit != "" {
				doc = c.Unit + ". " + doc
			}
			if tables[doc] == nil {
				order = append(order, doc)
			}
			tables[doc] = append(tables[doc], v.Name)
		}
	}
	for _, doc := range order {
		in := tables[doc]
		more := ""
		if len(in) > 3 {
			in, more = in[:3], " …"
		}
		b.WriteString(wrapped(doc+" ("+strings.Join(in, ", ")+more+")", padded(name, 24)+" ", width))
	}
}

// tables is .tables [WORD].
func (s *Shell) tables(ctx context.Context, arg string) error {
	out := s.textOut()
	word := strings.ToLower(arg)
	var b strings.Builder
	if word == "" {
		s.groupedTables(ctx, &b)
		_, err := io.WriteString(out, b.String())
		return err
	}
	known := map[string]bool{}
	for _, v := range s.recording.views() {
		known[v.Name] = true
		if word == "all" && !strings.HasSuffix(v.Name, nowSuffix) || strings.Contains(v.Name, word) {
			b.WriteString(wrapped(sentence(v.Doc), padded(v.Name, 22)+"  ", s.width()))
		}
	}
	for _, name := range s.recording.Names(ctx).TableNames() {
		if !known[name] && (word == "all" || strings.Contains(name, word)) {
			b.WriteString(padded(escapeControls(name), 22) + "  Made in this shell.\n")
		}
	}
	if b.Len() == 0 {
		return fmt.Errorf("no table has %q in its name: .tables lists them all", arg)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// sentence is the first sentence of a text.
func sentence(text string) string {
	for i := range len(text) - 1 {
		if (text[i] == '.' || text[i] == '?') && text[i+1] == ' ' {
			return text[:i+1]
		}
	}
	return text
}

// groupedTables are the names of all tables, by what one wants to know.
func (s *Shell) groupedTables(ctx context.Context, b *strings.Builder) {
	const indent = 15
	group := func(title string, names []string) {
		if len(names) > 0 {
			b.WriteString(wrapped(strings.Join(names, ", "), padded(title, indent), s.width()))
		}
	}
	var longTimes []string
	for _, c := range chapters() {
		switch names := shortNames(c.views); c.title {
		case "Long times":
			longTimes = names
		case "Peers":
			group("Long times", append(longTimes, names...))
		default:
			group(c.title, names)
		}
	}
	group("Made in this shell", s.ownTables(ctx))
	b.WriteString("Read …_changes: route as route_changes. The newest sample is …_now: routes_now.\nWith a sentence each: .tables all, .tables route. Columns: .describe sockets.\n")
}

// allFaults stands for the views of one fault each.
const allFaults = faultPrefix + "… (.tables fault)"

// shortNames are the names of views, those that differ in their end only in one: …_changes: route, rule; and traffic_rates_1m/1h/1d.
func shortNames(views []store.View) []string {
	var names, kinds, of []string
	for _, v := range views {
		at := strings.LastIndexByte(v.Name, '_')
		switch stem, kind := v.Name[:max(at, 0)], v.Name[at+1:]; {
		case v.Rollup != nil && len(names) > 0 && strings.HasPrefix(names[len(names)-1], stem+"_1"):
			names[len(names)-1] += "/" + kind
		case v.Rollup == nil && slices.Contains([]string{"changes", "deltas", "rates", "spans"}, kind) && v.Name != "socket_spans":
			if !slices.Contains(kinds, "…_"+kind) {
				kinds = append(kinds, "…_"+kind)
			}
			if !slices.Contains(of, stem) {
				of = append(of, stem)
			}
		case strings.HasPrefix(v.Name, faultPrefix):
			if !slices.Contains(names, allFaults) {
				names = append(names, allFaults)
			}
		default:
			names = append(names, v.Name)
		}
	}
	if len(of) > 0 {
		of[0] = strings.Join(kinds, ", ") + ": " + of[0]
	}
	return append(names, of...)
}

// describe is .describe TABLE [COLUMN].
func (s *Shell) describe(_ context.Context, arg string) error {
	out := s.textOut()
	words := strings.Fields(arg)
	switch len(words) {
	case 0:
		return errors.New("describe what? .describe sockets, say; .tables lists the tables")
	case 1, 2:
	default:
		return fmt.Errorf("describe one table, or one column of it: .describe %s %s", words[0], words[1])
	}
	v, err := viewNamed(s.recording.views(), words[0])
	if err != nil {
		return err
	}
	if len(words) == 1 {
		return describe(out, v)
	}
	var names []string
	for _, c := range v.Columns {
		if strings.EqualFold(c.Name, words[1]) {
			v.Columns = []store.Column{c}
			var b strings.Builder
			writeText(&b, v, s.width())
			_, err := io.WriteString(out, b.String())
			return err
		}
		names = append(names, c.Name)
	}
	return fmt.Errorf("no column %s in %s%s", quoteWords(words[1]), v.Name, meant(words[1], "", names))
}

// CommandNames are the dot-commands, with their dot, and other names that they have.
func CommandNames() []string {
	var all []string
	for _, c := range commands() {
		all = append(all, c.name)
	}
	return slices.AppendSeq(all, maps.Keys(otherNames))
}

// TableNames are the tables and views of a recording.
func TableNames() []string {
	var all []string
	for _, v := range store.Views() {
		all = append(all, v.Name)
	}
	return all
}
