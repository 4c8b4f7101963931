package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"netsql/query"
)

// lookFlags are the flags that say how a result looks.
type lookFlags struct {
	mode, colour, null, separator string
	noHeader, safe                bool
}

func (l *lookFlags) define(f *flags) {
	f.StringVarP(&l.mode, "mode", "m", "", "format of results, a `MODE`: "+strings.Join(query.Modes(), ", "))
	f.StringVar(&l.colour, "color", "auto", "colours, a `WORD`: auto (on a terminal, without NO_COLOR), always or never")
	f.BoolVarP(&l.noHeader, "no-header", "H", false, "do not show the names of columns")
	f.StringVar(&l.null, "nullvalue", "", "`TEXT` that is shown for NULL")
	f.StringVar(&l.separator, "separator", "", "`TEXT` between values in list, csv, tsv and quote")
	f.BoolVar(&l.safe, "spreadsheet-safe", false, "put ' before a text of CSV that a spreadsheet would run as a formula")
	f.complete("mode", oneOf(query.Modes()...))
	f.complete("color", oneOf("auto", "always", "never"))
}

func (l *lookFlags) config(std stdio) (c query.ShellConfig, err error) {
	c = query.ShellConfig{
		Err: std.err, Terminal: isTerminal(std.out), Mode: l.mode, NoHeader: l.noHeader, Null: l.null, Separator: l.separator, SpreadsheetSafe: l.safe,
		Width:  func() int { width, _ := screenSize(std.out); return width },
		Height: func() int { _, height := screenSize(std.out); return height },
	}
	if _, err := query.NewResultWriter(cmp.Or(l.mode, "list"), io.Discard, query.FormatOptions{}); err != nil {
		return c, usagef("--mode: %v", err)
	}
	c.Colour, err = coloured(l.colour, c.Terminal)
	return c, err
}

// coloured says whether results are coloured, by the word of --color and the environment.
func coloured(word string, terminal bool) (query.Colour, error) {
	switch word {
	case "always":
		return true, nil
	case "never":
		return false, nil
	case "auto":
		return query.Colour(terminal && os.Getenv("NO_COLOR") == "" && !dumbTerminal()), nil
	}
	return false, usagef("--color: no %q: auto, always or never", word)
}

// paramFlag defines --param, which fills params.
func paramFlag(f *flags, params map[string]string) {
	f.VarP(repeatedFlag(func(text string) error {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return fmt.Errorf("%q is no NAME=VALUE", text)
		}
		params[name] = value
		return nil
	}), "param", "p", "give :NAME in statements a value, as `NAME=VALUE`; may stand several times")
}

// timeFlags define what at() means, and the window.
func timeFlags(f *flags, at, since, until *string) {
	f.StringVar(at, "at", "", "the `TIME` that at() means, such as 02:14; the newest sample when not given")
	f.StringVarP(since, "since", "S", "", "begin of the window of leaks and connections, a `TIME`")
	f.StringVarP(until, "until", "U", "", "end of that window, a `TIME`; the newest sample when not given")
}
