package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
)

// A Command of the program, as the man page netsql(1) lists it.
type Command struct{ Name, Args, About string }

// WriteMan writes man pages into a folder, which it makes if need be: netsql.1 with the commands, and netsql-TOPIC.7
// for each topic.
func WriteMan(dir string, commands []Command) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	pages := map[string]string{"netsql.1": program(commands)}
	for _, t := range Topics() {
		pages[fmt.Sprintf("netsql-%s.7", t.Name)] = fmt.Sprintf("# netsql-%s 7 \"\" netsql\n\n# NAME\n\nnetsql-%[1]s - %[2]s\n\n# DESCRIPTION\n\n%[3]s\n# SEE ALSO\n\n**netsql(1)**\n",
			t.Name, t.Summary, forMan(t.Text))
	}
	for name, text := range pages {
		roff := strings.Replace(string(md2man.Render([]byte(text))), "\n\n.SH", "\n.ad l\n.SH", 1) // long names cannot be spread over a line
		if err := os.WriteFile(filepath.Join(dir, name), []byte(roff), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// forMan is the Markdown of a topic as md2man wants it: without comments, other topics named as man pages, and tables as
// lists of terms or set by ourselves, since a table of troff does not fit the lines of a terminal.
func forMan(text string) string {
	var b strings.Builder
	for _, block := range blocks(text) {
		switch block.kind {
		case code:
			b.WriteString("```\n" + strings.Join(block.lines, "\n") + "\n```\n")
		case table:
			if strings.Count(block.lines[1], "|") > 3 {
				p := &printer{width: manWidth}
				p.table(block.lines)
				b.WriteString("```\n" + p.String() + "```\n")
				break
			}
			for _, line := range block.lines[2:] {
				term, about, _ := strings.Cut(strings.Trim(line, "| "), " | ")
				fmt.Fprintf(&b, "%s\n: %s\n\n", term, about)
			}
		default:
			for _, line := range block.lines {
				b.WriteString(reference.ReplaceAllString(line, "**netsql-$1(7)**") + "\n")
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// manWidth is what troff leaves of 80 columns for code.
const manWidth = 71

// program is the page of the program itself.
func program(commands []Command) string {
	var b strings.Builder
	b.WriteString(`# netsql 1 "" netsql

# NAME

netsql - record the network of this machine, and ask in SQL what was there at any moment

# SYNOPSIS

`)
	for _, c := range commands {
		fmt.Fprintf(&b, "**%s** %s\n\n", strings.TrimSpace("netsql "+c.Name), literal(c.Args))
	}
	b.WriteString("# COMMANDS\n\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "**%s**\n: %s\n\n", strings.TrimSpace("netsql "+c.Name), literal(c.About))
	}
	b.WriteString(`**netsql COMMAND --help** lists the flags of a command.

# FILES

Flags that always apply stand in */etc/netsql.conf* and *$XDG_CONFIG_HOME/netsql.conf* (*~/.config/netsql.conf*), one
on each line, and in the environment, **NETSQL_KEEP** for **--keep**: see **netsql-recording(7)**.

Every command takes **--db** *FILE*. Without it the recording is **$NETSQL_DB**, else */var/lib/netsql/netsql.db* for
root, and *$XDG_STATE_HOME/netsql/netsql.db* (*~/.local/state/netsql/netsql.db*) for other users.

# EXIT STATUS

0, done; 1, a statement or a file failed; 2, wrong usage; 4, no answer within **--timeout**; 130, interrupted.

# SEE ALSO

`)
	for _, t := range Topics() {
		fmt.Fprintf(&b, "**netsql-%s(7)**\n: %s\n\n", t.Name, literal(t.Summary))
	}
	return b.String()
}

// literal keeps the characters of a text from being read as Markdown.
func literal(text string) string {
	return strings.NewReplacer("_", `\_`, "*", `\*`, "[", `\[`, "]", `\]`, "<", `\<`, ">", `\>`).Replace(text)
}
