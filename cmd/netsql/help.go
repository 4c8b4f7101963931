package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"netsql/cmd/netsql/manual"
	"netsql/cmd/netsql/tools"
	"netsql/query"
)

// commonFlags are the flags of the shell that the first screen shows.
var commonFlags = []string{"command", "mode", "at", "since", "db"}

// help is the first screen: what there is, on 40 lines of 80 columns.
func help(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`netsql records this machine's network, and answers SQL about any moment of it.

`)
	line := func(usage, about string) { fmt.Fprintf(&b, "  %-28s %s\n", usage, about) }
	line("netsql [RECORDING] [SQL …]", "ask: a shell, or the answer to the SQL")
	var names []string
	for _, c := range subcommands() {
		if t, _ := tools.Named(c.name); c.doc != "" && t.Like == "" {
			usage, about := c.brief()
			line("netsql "+usage, about)
		}
	}
	var replayed []string
	for _, t := range tools.All() {
		if t.Like != "" {
			replayed = append(replayed, t.Name)
		}
	}
	line("netsql TOOL …, of any moment", strings.Join(replayed, " "))
	b.WriteString("\nFlags for asking; netsql RECORDING --help lists all:\n")
	all, shown := tree(stdio{}).Flags(), pflag.NewFlagSet("", pflag.ContinueOnError)
	shown.SortFlags = false
	for _, name := range commonFlags {
		flag := *all.Lookup(name)
		flag.Usage, _, _ = strings.Cut(flag.Usage, "; ")
		flag.Usage, _, _ = strings.Cut(flag.Usage, ": ")
		shown.AddFlag(&flag)
	}
	b.WriteString(shown.FlagUsages())
	for _, t := range manual.Topics() {
		names = append(names, t.Name)
	}
	b.WriteString("\nnetsql COMMAND --help lists the flags. netsql help TOPIC shows the manual:\n")
	b.WriteString(filled(names, "  ", 80))
	b.WriteString(`The recording is --db FILE, else $NETSQL_DB, else ` + systemRecording + `
(root) or ~/.local/state/netsql/netsql.db (others).
`)
	_, err := io.WriteString(w, b.String())
	return err
}

// brief is a command on one line of the first screen.
func (c subcommand) brief() (usage, about string) {
	usage, about = c.name, c.doc
	if args := c.args; args != "" && !strings.HasPrefix(args, "[--") && len(args) < 15 {
		usage += " " + args
	}
	if first, _, more := strings.Cut(about, ", "); more && len(about) > 48 {
		about = first
	}
	if first, _, more := strings.Cut(about, ": "); more {
		about = first
	}
	return usage, about
}

// filled sets words into lines of that many columns.
func filled(words []string, indent string, width int) string {
	text, column := indent, len(indent)
	for i, word := range words {
		if i > 0 && column+1+len(word) > width {
			text, column = text+"\n"+indent, len(indent)
		} else if i > 0 {
			text, column = text+" ", column+1
		}
		text, column = text+word, column+len(word)
	}
	return text + "\n"
}

// helpOn is netsql help WORD: a topic of the manual, a command, or a word that .help of the shell knows.
func helpOn(ctx context.Context, word string, std stdio) error {
	width := 80
	if w, _ := screenSize(std.out); isTerminal(std.out) && w > 0 {
		width = w
	}
	var text bytes.Buffer
	topic, isTopic := manual.Find(word)
	switch {
	case isTopic:
		if err := topic.Write(&text, width); err != nil {
			return err
		}
		if isCommand(topic.Name) {
			fmt.Fprintf(&text, "\nnetsql %s --help lists the flags of the command.\n", topic.Name)
		}
	case isCommand(word):
		return run(ctx, []string{word, "--help"}, std)
	default:
		answer, ok := query.Help(word, width)
		if !ok {
			return usagef("no help on %q%s", word, meantHelp(word))
		}
		text.WriteString(answer)
	}
	return showLong(ctx, text.Bytes(), std)
}

// meantHelp says which word was meant, or where all stand.
func meantHelp(word string) string {
	var names []string
	for _, t := range manual.Topics() {
		names = append(names, t.Name)
	}
	for _, c := range subcommands() {
		if c.doc != "" {
			names = append(names, c.name)
		}
	}
	if near, ok := query.Suggest(word, names); ok {
		return fmt.Sprintf("; did you mean netsql help %s?", near)
	}
	return ": netsql help topics lists the topics of the manual"
}

func isCommand(word string) bool {
	for _, c := range subcommands() {
		if c.name == word && c.doc != "" && word != "help" {
			return true
		}
	}
	return false
}

// showLong writes a text, to a person through the pager where it is longer than the screen.
func showLong(ctx context.Context, text []byte, std stdio) error {
	write := func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	}
	_, height := screenSize(std.out)
	if isTerminal(std.in) && isTerminal(std.out) && height > 0 && bytes.Count(text, []byte("\n")) >= height {
		return page(ctx, query.ThisProcess{}, std, write)
	}
	return write(std.out)
}

// helpTopics writes the topics of the manual.
func helpTopics(w io.Writer) error {
	if _, err := io.WriteString(w, "Topics of the manual, for netsql help TOPIC:\n\n"); err != nil {
		return err
	}
	return manual.List(w, 80)
}

// writeMan is netsql help --man DIR.
func writeMan(dir string) error {
	if dir == "" {
		return usagef("which folder? netsql help --man DIR")
	}
	commands := []manual.Command{{Name: "", Args: "[RECORDING] [SQL …]", About: "ask: a shell, or the answer to the SQL given here or on standard input"}}
	for _, c := range subcommands() {
		if c.doc != "" {
			commands = append(commands, manual.Command{Name: c.name, Args: c.args, About: c.doc})
		}
	}
	return manual.WriteMan(dir, commands)
}

// manualTopics are the topics for the shell.
func manualTopics() []query.Topic {
	var all []query.Topic
	for _, t := range manual.Topics() {
		all = append(all, query.Topic{Name: t.Name, Summary: t.Summary, Write: t.Write})
	}
	return all
}

// helpWords is netsql help with what follows it.
func helpWords(f *flags) runner {
	f.completeWords(helpWordsThere, nothing)
	return func(ctx context.Context, words []string, std stdio) error {
		if len(words) == 0 {
			return help(std.out)
		}
		rest := strings.Join(words[1:], " ")
		switch strings.TrimLeft(words[0], "-") {
		case "json":
			return helpJSON(std.out)
		case "man":
			return writeMan(rest)
		case "help", "h":
			return help(std.out)
		case "topics":
			return helpTopics(std.out)
		}
		return helpOn(ctx, strings.Join(words, " "), std)
	}
}
