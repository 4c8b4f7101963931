package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"netsql/query"
)

// A runner does what a command is for. The words are those that are no flags.
type runner func(ctx context.Context, words []string, std stdio) error

// subcommand is a word that may stand first on the command line. One without a doc is for this program only.
type subcommand struct {
	name, args, doc string
	define          func(*flags) runner // defines the flags of the command
	raw             bool                // its words may look like flags
	topic           string              // the one of the manual that explains it; "": there is none
	examples        []string            // command lines that work
}

// asking is netsql without a subcommand.
func asking() subcommand {
	return subcommand{args: "[RECORDING] [SQL …]", doc: "ask: a shell, or the answer to the SQL", define: shell, topic: "scripts", examples: []string{
		"netsql night.db 'SELECT comm, state, last_count FROM leaks'",
		"netsql night.db --at 03:14 'SELECT dst, gateway FROM routes WHERE ts = at()'",
		"netsql night.db -p port=443 -f questions.sql --mode csv",
	}}
}

// subcommands feeds the tree of commands and help.
func subcommands() []subcommand {
	return slices.Concat([]subcommand{
		{name: "record", args: "[--interval 5s] [--keep 30d] [--max-size 2GiB] [--for 1h]",
			doc: "record the network until stopped", define: record, topic: "recording", examples: []string{
				"netsql record --keep 7d --max-size 500MB --without conntrack",
				"netsql record --interval 1s --for 10m --db incident.db",
				"netsql record --once --db now.db",
			}},
		{name: "status", args: "[--json|--prometheus] [RECORDING]",
			doc: "is it recording, since when, what is kept, what it costs", define: status, topic: "recording", examples: []string{
				"netsql status",
				"netsql status --json night.db",
				"netsql status --prometheus > netsql.prom",
			}},
		{name: "service", args: "install|status|uninstall [--user] [--purge]",
			doc: "have systemd or OpenRC run the recorder, from now on", define: runService, topic: "recording", examples: []string{
				"netsql service install",
				"netsql service install --user",
				"netsql service uninstall --purge",
			}},
		{name: "doctor", args: "[--since TIME] [--until TIME] [--new] [--json] [RECORDING]",
			doc: "what is wrong, who it is and what shows it", define: doctor, topic: "findings", examples: []string{
				"netsql doctor",
				"netsql doctor --since 02:00 --until 04:00 night.db",
				"netsql doctor --new --json",
			}},
		{name: "export", args: "[--since TIME] [--until TIME] [--format csv] DIR [TABLE …]",
			doc: "write a stretch of time as CSV or JSON lines", define: export, topic: "export", examples: []string{
				"netsql export --since 02:00 --until 04:00 post-mortem",
				"netsql export --since '2h ago' --format jsonl --gzip for-ann sockets routes",
			}},
		{name: "slice", args: "[--since TIME] [--until TIME] -o FILE",
			doc: "write a stretch of time as a recording of its own", define: slice, topic: "export", examples: []string{
				"netsql slice --since 02:00 --until 04:00 -o incident.db",
				"netsql slice --db night.db --since '30m ago' -o deploy.db",
			}},
		{name: "backup", args: "FILE",
			doc: "copy the recording, which may be being written", define: backup, topic: "export", examples: []string{
				"netsql backup copy.db",
				"netsql backup --db night.db copy-of-night.db",
			}},
		{name: "merge", args: "-o FILE [HOST=]RECORDING …",
			doc: "put recordings of several hosts into one file, with a column host", define: merge, topic: "export", examples: []string{
				"netsql merge -o both.db web1=night.db db1=monday.db",
				"netsql merge --only web1 -o web1.db both.db",
			}},
		{name: "note", args: "[--at TIME] TEXT …",
			doc: "write a remark into the recording: netsql note 'deploy 1.4'", define: note, topic: "events", examples: []string{
				"netsql note 'deploy 1.4'",
				"netsql note --at 03:14 'the gateway was replaced'",
			}},
		{name: "check", args: "[--quick] [RECORDING]",
			doc: "verify a recording, which may be being written", define: check, topic: "repair", examples: []string{
				"netsql check",
				"netsql check --quick night.db",
			}},
		{name: "upgrade", args: "[RECORDING]",
			doc: "bring a recording of an older netsql up to date, in place", define: upgrade, topic: "repair", examples: []string{
				"netsql upgrade",
				"netsql upgrade night.db",
			}},
		{name: "recover", args: "DAMAGED NEW",
			doc: "save what can be read of a damaged recording", define: recoverRecording, topic: "repair", examples: []string{
				"netsql recover damaged.db saved.db",
				"netsql recover --db damaged.db saved-too.db",
			}},
		{name: "tables", args: "[--markdown|--json] [TABLE]",
			doc: "the reference of all tables and their columns", define: tables, topic: "tables", examples: []string{
				"netsql tables sockets",
				"netsql tables --markdown > tables.md",
			}},
		{name: "explain", args: "[--at TIME] [--json] WORD",
			doc: "what a word of the network means, and its figures here", define: explain, topic: "explain", examples: []string{
				"netsql explain TcpExtListenOverflows",
				"netsql explain Recv-Q",
				"netsql explain --at 03:14 --db night.db TIME_WAIT",
			}},
		{name: "ask", args: "[--hosts FILE] [HOST|@GROUP …] SQL",
			doc: "ask the netsql of many hosts over ssh, at the same time", define: askHosts, topic: "hosts", examples: []string{
				"netsql ask web1 web2 ann@db1 'SELECT comm, state, last_count FROM leaks'",
				"netsql ask @web --at 03:14 'SELECT dst, gateway FROM routes WHERE ts = at()'",
				"netsql ask --hosts hosts -e 'ssh -p 2222' --mode csv 'SELECT * FROM findings'",
			}},
	}, replayed(), []subcommand{
		{name: "bench", args: "[--sockets 1000,20000] [--days 7] [--quick] [--json]",
			doc: "measure what recording and asking cost, against ss, netstat and others", define: bench, topic: "cost", examples: []string{
				"netsql bench --quick",
				"netsql bench --sockets 1000,20000 --days 0.1 --json",
			}},
		{name: "completion", args: "bash|zsh|fish|powershell",
			doc: "the script that completes commands, flags and names in your shell", define: completion, topic: "scripts", examples: []string{
				"netsql completion bash > /etc/bash_completion.d/netsql",
				`netsql completion zsh > "${fpath[1]}/_netsql"`,
				"netsql completion fish > ~/.config/fish/completions/netsql.fish",
			}},
		{name: "bench-part", define: benchPart, raw: true},
		{name: helperWord, define: helper, raw: true},
		{name: "version", doc: "print the version, and the commit, date and Go of the build", define: printVersion, raw: true, examples: []string{
			"netsql version",
			"netsql --version",
		}},
		{name: "help", args: "[TOPIC | COMMAND | --json | --man DIR]",
			doc: "the manual, by topics; as JSON; as man pages", define: helpWords, raw: true, examples: []string{
				"netsql help leaks",
				"netsql help record",
				"netsql help --man man1",
			}},
	})
}

// run finds the command in the arguments and runs it.
func run(ctx context.Context, args []string, std stdio) error {
	if len(args) > 0 && (args[0] == "--version" || args[0] == "-V") {
		return writeVersion(std.out)
	}
	root := tree(std)
	if isCompletion(args) {
		forCompletion(root)
	} else if c, rest, err := root.Find(args); err == nil && !c.DisableFlagParsing {
		if err := oneDash(c.Flags(), rest); err != nil {
			return err
		}
	}
	var written error
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		if first := args[0]; c == root && (first == "-h" || first == "--help") {
			written = help(std.out)
			return
		}
		written = writeUsage(std.out, c)
	})
	root.SetArgs(append([]string{}, args...)) // nil would be the arguments of the process
	if err := root.ExecuteContext(ctx); err != nil {
		return err
	}
	return written
}

// oneDash catches a long flag with one dash, as package flag of Go allowed it: -color would be -c with the value olor.
func oneDash(flags *pflag.FlagSet, args []string) error {
	for i := 0; i < len(args); i++ {
		name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		flag := flags.Lookup(name)
		switch {
		case args[i] == "--":
			return nil
		case strings.HasPrefix(args[i], "--"):
			if flag != nil && flag.NoOptDefVal == "" && !hasValue {
				i++ // its value
			}
		case !strings.HasPrefix(args[i], "-"):
		case flag != nil:
			return usagef("no flag -%s: did you mean --%[1]s?", name)
		default:
			for letters := args[i][1:]; letters != ""; letters = letters[1:] {
				if flag = flags.ShorthandLookup(letters[:1]); flag != nil && flag.NoOptDefVal == "" {
					if len(letters) == 1 {
						i++
					}
					break // the rest is its value
				}
			}
		}
	}
	return nil
}

// tree is the command line of the program.
func tree(std stdio) *cobra.Command {
	root := asking().command(std)
	root.CompletionOptions.DisableDefaultCmd = true
	for _, c := range subcommands() {
		made := c.command(std)
		if c.name == "help" {
			root.SetHelpCommand(made)
		}
		root.AddCommand(made)
	}
	return root
}

// command is the command in the tree.
func (c subcommand) command(std stdio) *cobra.Command {
	made := &cobra.Command{
		Use: strings.TrimSpace(cmp.Or(c.name, "netsql") + " " + c.args), Short: c.doc, Example: strings.Join(c.examples, "\n"), Hidden: c.doc == "",
		DisableFlagsInUseLine: true, Annotations: map[string]string{"topic": c.topic},
		Args: cobra.ArbitraryArgs, DisableFlagParsing: c.raw, SilenceErrors: true, SilenceUsage: true,
	}
	made.SetOut(std.out)
	made.SetErr(std.err)
	f := &flags{FlagSet: made.Flags(), made: made}
	f.SortFlags = false
	if !c.raw {
		f.StringVarP(&f.db, "db", "d", "", "the recording, a `FILE`")
		f.complete("db", recordings)
	}
	run := c.define(f)
	if !c.raw {
		f.BoolP("help", "h", false, "show this")
	}
	made.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return f.explain(err) })
	made.RunE = func(made *cobra.Command, words []string) error {
		if !c.raw && c.name != "completion" { // those never fail for a setting
			if err := f.fill(); err != nil {
				return err
			}
		}
		return f.blame(run(made.Context(), words, std))
	}
	return made
}

// writeUsage is netsql COMMAND --help.
func writeUsage(w io.Writer, c *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n  %s\n", c.UseLine(), c.Short)
	if c.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", c.Flags().FlagUsagesWrapped(80))
	}
	b.WriteString("\nExamples:\n")
	for line := range strings.SplitSeq(c.Example, "\n") {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	if topic := c.Annotations["topic"]; topic != "" {
		fmt.Fprintf(&b, "\nnetsql help %s explains more.\n", topic)
		if topic != "recording" {
			b.WriteString("netsql help recording says how a file and the environment give flags.\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// flags are the flags of a command. They may stand before, between and behind the other words; behind "--" nothing is a flag.
type flags struct {
	*pflag.FlagSet
	made   *cobra.Command
	db     string
	usual  string            // the recording that a file of flags names
	origin map[string]string // by flag: where its value comes from, when that is not the command line
}

// path is the recording that the flags or the environment name; explicit tells whether the user named it here.
func (f *flags) path() (path string, explicit bool, err error) {
	if f.db != "" {
		return f.db, true, nil
	}
	path, err = defaultRecording(f.usual)
	return path, false, err
}

// asked is the recording to ask: that of the machine's recorder where the user names none, has none, and may read that one.
func (f *flags) asked() (path string, explicit bool, err error) {
	path, explicit, err = f.path()
	if err != nil || explicit || os.Getenv("NETSQL_DB") != "" || f.usual != "" {
		return path, explicit, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if file, err := os.Open(systemRecording); err == nil {
			file.Close()
			return systemRecording, false, nil
		}
	}
	return path, explicit, nil
}

// explain makes one sentence of what the parser of flags complains of, with what mends it.
func (f *flags) explain(err error) error {
	var unknown *pflag.NotExistError
	var refused *pflag.InvalidValueError
	var lacking *pflag.ValueRequiredError
	var syntax *pflag.InvalidSyntaxError
	switch {
	case errors.As(err, &refused):
		return usagef("--%s: %v", refused.GetFlag().Name, whyRefused(refused))
	case errors.As(err, &lacking):
		value, _ := pflag.UnquoteUsage(lacking.GetFlag())
		return usagef("--%s lacks its value: --%[1]s %s", lacking.GetFlag().Name, value)
	case errors.As(err, &unknown):
		if strings.ContainsAny(unknown.GetSpecifiedName(), " \t\n") {
			return usagef("SQL that begins with a comment is taken for a flag: give it with -c, or behind a word that is only --")
		}
		written, name := "--"+unknown.GetSpecifiedName(), unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			written, name = "-"+short, short
		}
		return usagef("no flag %s: %s", written, f.meant(name))
	case errors.As(err, &syntax):
		return usagef("no flag %s: %s", syntax.GetSpecifiedFlag(), f.meant(""))
	}
	return usagef("%v", err)
}

// meant says which flag a name was meant for, or which there are.
func (f *flags) meant(name string) string {
	if one := f.shorthand(name); one != nil { // --o, as once was possible
		return "did you mean -" + one.Shorthand + "?"
	}
	name, _, _ = strings.Cut(name, "=")
	names := f.names()
	if f.Lookup(name) != nil {
		return "did you mean --" + name + "?"
	}
	if near, ok := query.Suggest("--"+name, names); ok {
		return "did you mean " + near + "?"
	}
	return "its flags are " + strings.Join(names, ", ")
}

func (f *flags) shorthand(name string) *pflag.Flag {
	if len(name) != 1 {
		return nil
	}
	return f.ShorthandLookup(name)
}

// names are the flags as they are written, in the order in which help shows them.
func (f *flags) names() []string {
	var names []string
	f.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return names
}

// whyRefused is why a flag takes no such value. What strconv says of numbers is put into words.
func whyRefused(err *pflag.InvalidValueError) error {
	cause := errors.Unwrap(err)
	var number *strconv.NumError
	if !errors.As(cause, &number) {
		return cause
	}
	switch kind := err.GetFlag().Value.Type(); {
	case errors.Is(number, strconv.ErrRange):
		return fmt.Errorf("%s is too large or too small", err.GetValue())
	case kind == "bool":
		return fmt.Errorf("%q is neither true nor false", err.GetValue())
	case kind == "int":
		return fmt.Errorf("%q is no whole number", err.GetValue())
	}
	return fmt.Errorf("%q is no number", err.GetValue())
}

// A repeatedFlag may stand several times; it is called with each value.
type repeatedFlag func(string) error

func (f repeatedFlag) String() string         { return "" }
func (f repeatedFlag) Set(words string) error { return f(words) }
func (f repeatedFlag) Type() string           { return "stringArray" }
