// Command netsql records what happens on a machine's network and answers questions about any
// moment of it in SQL.
//
// This package holds flags, signals, exit codes and the line editor, and no logic: recording is in
// package recorder, answering in package query.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"netsql/query"
)

// version of the program, as recordings and netsql version have it.
const version = "0.1.0"

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitTimeout     = 4
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// stdio is what the program reads from and writes to.
type stdio struct {
	in       *os.File
	out, err *os.File
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to end; a later one kills. Not one that comes at once: timeout(1) signals
	// its child and then the child's group, so that the child hears everything twice.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	std := stdio{os.Stdin, os.Stdout, os.Stderr}
	code := exitCode(run(ctx, os.Args[1:], std), std.err)
	stop()
	exit(code)
}

// exit is the only end of the program.
func exit(code int) { os.Exit(code) }

// A usageError is a command line that makes no sense; it carries the hint that mends it.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func exitCode(err error, stderr io.Writer) int {
	var usage *usageError
	var late *timeoutError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, syscall.EPIPE): // netsql … | head
		return exitOK
	}
	fmt.Fprintf(stderr, "netsql: %v\n", err)
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &late):
		return exitTimeout
	}
	return exitFailed
}

// subcommand is a word that may stand first on the command line. One without a doc is for this program only.
type subcommand struct {
	name, args, doc string
	run             func(ctx context.Context, args []string, std stdio) error
}

// subcommands feeds dispatch and help.
func subcommands() []subcommand {
	return []subcommand{
		{"record", "[--interval 5s] [--keep 30d] [--max-size 2GiB] [--for DURATION] [--once]", "record the network until stopped", record},
		{"status", "[RECORDING]", "is it recording, since when, what is kept, what it costs", status},
		{"export", "[--since TIME] [--until TIME] [--format csv] DIR", "write a stretch of time as CSV or JSON lines", export},
		{"slice", "[--since TIME] [--until TIME] -o FILE", "write a stretch of time as a recording of its own", slice},
		{"note", "[--at TIME] TEXT …", "write a remark into the recording: netsql note 'deploy 1.4'", note},
		{"check", "[--quick] [RECORDING]", "verify a recording, which may be being written", check},
		{"upgrade", "[RECORDING]", "bring a recording of an older netsql up to date, in place", upgrade},
		{"recover", "DAMAGED NEW", "save what can be read of a damaged recording", recoverRecording},
		{"tables", "[--markdown|--json] [TABLE]", "the reference of all tables and their columns", tables},
		{"bench", "[--sockets 1000,20000] [--days 7] [--quick] [--json]", "measure what recording and asking cost, against ss, netstat and others", bench},
		{"bench-part", "", "", benchPart},
		{"version", "", "print the version, and the commit, date and Go of the build", func(_ context.Context, _ []string, std stdio) error {
			return writeVersion(std.out)
		}},
		{"help", "[TOPIC | COMMAND | --json | --man DIR]", "the manual, by topics; as JSON; as man pages", helpWords},
	}
}

func run(ctx context.Context, args []string, std stdio) error {
	if len(args) > 0 {
		for _, c := range subcommands() {
			if args[0] == c.name {
				return c.run(ctx, args[1:], std)
			}
		}
		if args[0] == "-h" || args[0] == "--help" {
			return help(std.out)
		}
		if args[0] == "--version" {
			return writeVersion(std.out)
		}
	}
	return shell(ctx, args, std)
}

// helpJSON writes the commands for programs.
func helpJSON(w io.Writer) error {
	type command struct {
		Name  string `json:"name"`
		Args  string `json:"args"`
		About string `json:"about"`
	}
	all := []command{{"", "[RECORDING] [SQL …]", "ask: a shell, or the answer to the SQL given here, with -c or -f, or on standard input; netsql --help lists its flags"}}
	for _, c := range subcommands() {
		if c.doc != "" {
			all = append(all, command{c.name, c.args, c.doc})
		}
	}
	text, err := json.MarshalIndent(map[string]any{"commands": all, "exit_codes": map[string]string{
		"0": "done", "1": "failed", "2": "wrong usage", "4": "no answer within --timeout", "130": "interrupted"}}, "", " ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// systemRecording is where root's recorder writes.
const systemRecording = "/var/lib/netsql/netsql.db"

// defaultRecording is the recording when the command line names none.
func defaultRecording() (string, error) {
	if path := os.Getenv("NETSQL_DB"); path != "" {
		return path, nil
	}
	if os.Geteuid() == 0 {
		return systemRecording, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "netsql", "netsql.db"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("no home folder for the recording (%v): name a file with --db", err)
	}
	return filepath.Join(home, ".local", "state", "netsql", "netsql.db"), nil
}

// flags is a command's flag set. Flags may stand before, between and behind the other words.
type flags struct {
	*flag.FlagSet
	db string
}

func newFlags(name, args string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError)}
	f.SetOutput(io.Discard)
	f.StringVar(&f.db, "db", "", "the recording `FILE`")
	f.Usage = func() {}
	f.Init(strings.TrimSpace(name+" "+args), flag.ContinueOnError)
	return f
}

// badValue is how package flag reports a value that its flag refused.
var badValue = regexp.MustCompile(`^invalid (?:boolean )?value ".*" for (?:flag )?-([a-z-]+): ((?s).*)$`)

// parse returns the words that are no flags.
func (f *flags) parse(args []string, std stdio) ([]string, error) {
	var words []string
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(std.out, "netsql %s\n", f.Name())
			f.SetOutput(std.out)
			f.PrintDefaults()
			return nil, err
		}
		if err != nil {
			if m := badValue.FindStringSubmatch(err.Error()); m != nil {
				return nil, usagef("--%s: %s", m[1], m[2])
			}
			var names []string
			f.VisitAll(func(f *flag.Flag) { names = append(names, "--"+f.Name) })
			hint := "its flags are " + strings.Join(names, ", ")
			if _, wrong, ok := strings.Cut(err.Error(), "not defined: -"); ok {
				if near, ok := query.Suggest("--"+strings.TrimPrefix(wrong, "-"), names); ok {
					hint = "did you mean " + near + "?"
				}
			}
			return nil, usagef("%s: %s", strings.Replace(err.Error(), "flag provided but not defined: -", "no flag --", 1), hint)
		}
		rest := f.Args()
		if len(rest) == 0 {
			return words, nil
		}
		// Behind "--" nothing is a flag.
		if i := len(args) - len(rest); i > 0 && args[i-1] == "--" {
			return append(words, rest...), nil
		}
		words, args = append(words, rest[0]), rest[1:]
	}
}

// path is the recording that the flags or the environment name; explicit tells whether the user named it here.
func (f *flags) path() (path string, explicit bool, err error) {
	if f.db != "" {
		return f.db, true, nil
	}
	path, err = defaultRecording()
	return path, false, err
}

// looksLikeFile tells a recording's name from a statement.
func looksLikeFile(word string) bool {
	if info, err := os.Stat(word); err == nil && !info.IsDir() {
		return true
	}
	if strings.HasPrefix(word, "/") && !strings.HasPrefix(word, "/*") {
		return true
	}
	if strings.ContainsAny(word, " \t\n;(") {
		return false
	}
	switch filepath.Ext(word) {
	case ".db", ".sqlite", ".sqlite3", ".netsql":
		return true
	}
	return strings.ContainsRune(word, filepath.Separator)
}
