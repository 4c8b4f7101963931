// Package tools prints what netstat, ss, ip and their like would have printed at a moment of a recording: who knows them needs nothing else.
//
// # What it does
//
// Each tool is one declaration, in a file of its own: its options, and a printer that writes the text. A printer reads the rows of a Moment with
// plain SQL and formats them as the tool does, with its widths and its words. All lists the tools; package main gives them their commands, and
// the shell its words.
//
// # What it hides
//
// The order of the lines is that of the recording; the tools print them as the kernel keeps them, in no order that means anything. What a
// recording does not have is left out, or is a "-": never a 0 that nobody saw.
//
// # What it never does
//
// It asks neither the kernel nor a name server by itself. Now is a moment as well: a sample that was taken for it.
package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"netsql/query"
)

// A Tool is one of the commands that are replayed.
type Tool struct {
	Name     string
	Args     string // what follows in its usage
	Doc      string // one line
	Like     string // the package and version whose text it prints
	Examples []string

	// define declares the options, and gives what prints.
	define func(*pflag.FlagSet) printer
	// rewrite puts words into a form that the flags read, such as --brief for -br; nil: they are read as they are.
	rewrite func(words []string) []string
	// whole tells whether the options ask for a stretch of time as one, and not for a moment; nil: they never do.
	whole func(*pflag.FlagSet) bool
	// instead says what to ask for an option of the tool that is not offered, by the option as it is typed.
	instead map[string]string
}

// A printer writes what the tool prints of a moment. The words are those that are no options.
type printer func(ctx context.Context, m *Moment, words []string, w io.Writer) error

// All are the tools, by their names.
func All() []Tool {
	return []Tool{netstat(), ss(), lsof(), ip(), route(), ifconfig(), arp(), nstat(), tc()}
}

// Named is the tool of that name.
func Named(name string) (Tool, bool) {
	all := All()
	i := slices.IndexFunc(all, func(t Tool) bool { return t.Name == name })
	if i < 0 {
		return Tool{}, false
	}
	return all[i], true
}

// Options are those that every tool has besides its own: which recording, which moment of it, and how names are found.
type Options struct {
	DB      string // the recording; "": the usual one
	At      string // the moment; "": the newest sample
	From    string // the first moment of a stretch of which each sample is printed; "": one moment is
	To      string // its last; "": the newest sample
	Speed   string // how much faster than it was a person is shown it, such as 10x
	Live    bool   // a sample that is taken for it
	NetNS   string // the network namespace: a name, a number or "all"; "": the one that the recorder runs in
	Resolve bool   // ask name servers for the names of addresses
}

// A Command is a tool with its options, ready to parse a line.
type Command struct {
	Tool
	Options
	Flags *pflag.FlagSet
	print printer
}

// Command declares the flags of the tool, its own and those of every tool.
func (t Tool) Command() *Command {
	c := &Command{Tool: t, Flags: pflag.NewFlagSet(t.Name, pflag.ContinueOnError)}
	c.Flags.SortFlags = false
	c.Flags.Usage = func() {}
	c.print = t.define(c.Flags)
	c.Flags.StringVar(&c.DB, "db", "", "the recording, a `FILE`")
	c.Flags.StringVar(&c.At, "at", "", "the `TIME` to print, such as 03:14; the newest sample when not given")
	c.Flags.StringVar(&c.From, "from", "", "print each sample from this `TIME` on")
	c.Flags.StringVar(&c.To, "to", "", "with --from: to this `TIME`; the newest sample when not given")
	c.Flags.StringVar(&c.Speed, "speed", "1x", "with --from, on a terminal: so many `TIMES` faster than it was")
	c.Flags.BoolVar(&c.Live, "live", false, "print this moment: a sample is taken for it")
	c.Flags.StringVar(&c.NetNS, "netns", "", "the network namespace, a `NAME` or number; that of the recorder when not given")
	c.Flags.BoolVar(&c.Resolve, "resolve", false, "ask name servers for the names of addresses, as the tool does without -n")
	if c.Flags.Lookup("help") == nil {
		short := ""
		if c.Flags.ShorthandLookup("h") == nil {
			short = "h"
		}
		c.Flags.BoolP("help", short, false, "show this")
	}
	return c
}

// ErrHelp is what Parse gives where the line asks for the usage of the tool.
var ErrHelp = errors.New("help is wanted")

// An UnknownOptionError is an option that the tool may have and that is not offered here.
type UnknownOptionError struct {
	Tool, Option string
	Instead      string // what to ask instead; "": nothing is known
	cause        error
}

func (e *UnknownOptionError) Error() string {
	if e.Instead != "" {
		return fmt.Sprintf("%s %s is not replayed: %s", e.Tool, e.Option, e.Instead)
	}
	return fmt.Sprintf("%s %s is not replayed: netsql %[1]s --help lists the options that are, and netsql tables what can be asked in SQL", e.Tool, e.Option)
}

func (e *UnknownOptionError) Unwrap() error { return e.cause }

// Parse reads the words of a line and gives those that are no options.
func (c *Command) Parse(words []string) ([]string, error) {
	if c.rewrite != nil {
		words = c.rewrite(words)
	}
	if err := c.Flags.Parse(words); err != nil {
		var unknown *pflag.NotExistError
		if !errors.As(err, &unknown) {
			return nil, err
		}
		option := "--" + unknown.GetSpecifiedName()
		if short := unknown.GetSpecifiedShortnames(); short != "" {
			option = "-" + short[:1]
		}
		return nil, &UnknownOptionError{Tool: c.Name, Option: option, Instead: c.instead[option], cause: err}
	}
	if help, _ := c.Flags.GetBool("help"); help {
		return nil, ErrHelp
	}
	if goesOn := c.Flags.Lookup("continuous"); goesOn != nil && goesOn.Changed && c.From == "" {
		return nil, usagef("%s -c prints each sample of a stretch of time: say which, such as --from 03:10 --to 03:20", c.Name)
	}
	return c.Flags.Args(), nil
}

// A Stretch is a part of a recording of which each sample is printed, or which is printed as one.
type Stretch struct {
	From, To time.Time // To may be zero: the newest sample; From of what is printed as one: an hour before To
	Speed    float64
}

// Whole tells whether the line asks for a stretch of time as one. It is never nil then.
func (c *Command) Whole() bool { return c.whole != nil && c.whole(c.Flags) }

// Stretch is what --from, --to and --speed ask for; nil: one moment is asked for.
func (c *Command) Stretch(now time.Time) (*Stretch, error) {
	switch {
	case c.Whole() && (c.At != "" || c.Live):
		return nil, usagef("%s prints what happened in a stretch of time: leave out --at and --live, and say --from 03:10 --to 03:20", c.Name)
	case c.Whole() && c.Speed != "1x":
		return nil, usagef("--speed is of samples that are printed one after the other: leave it out")
	case c.From == "" && !c.Whole():
		if c.To != "" || c.Speed != "1x" {
			return nil, usagef("--to and --speed belong to --from TIME, which prints each sample from then on")
		}
		return nil, nil
	case c.At != "" || c.Live:
		return nil, usagef("--from is a stretch of a recording: leave out --at and --live")
	}
	var s Stretch
	var err error
	if c.From != "" {
		if s.From, err = query.ParseTime(c.From, now); err != nil {
			return nil, usagef("--from: %v", err)
		}
	}
	if c.To != "" {
		if s.To, err = query.ParseTime(c.To, now); err != nil {
			return nil, usagef("--to: %v", err)
		}
		if s.To.Before(s.From) {
			return nil, usagef("--to %s is before --from %s", c.To, c.From)
		}
	}
	if s.Speed, err = strconv.ParseFloat(strings.TrimSuffix(c.Speed, "x"), 64); err != nil || !(s.Speed > 0 && s.Speed <= 1e6) {
		return nil, usagef("--speed %s: it is a number of times, such as 10x", c.Speed)
	}
	return &s, nil
}

// Print writes what the tool prints of a moment.
func (c *Command) Print(ctx context.Context, m *Moment, words []string, w io.Writer) error {
	return c.print(ctx, m, words, w)
}

// A UsageError is a line that makes no sense, in one sentence.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// needless refuses words where a tool takes none.
func needless(tool string, words []string) error {
	if len(words) > 0 {
		return usagef("%s takes no %q: netsql %[1]s --help lists what it takes", tool, strings.Join(words, " "))
	}
	return nil
}
