package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"netsql/recorder"
	recorderbench "netsql/recorder/bench"
)

// countsFlag takes whole numbers parted by commas.
type countsFlag struct{ n *[]int }

func (f countsFlag) String() string {
	if f.n == nil {
		return ""
	}
	return strings.Trim(strings.Join(strings.Fields(fmt.Sprint(*f.n)), ","), "[]")
}

func (f countsFlag) Type() string { return "numbers" }

func (f countsFlag) Set(words string) error {
	*f.n = nil
	for word := range strings.SplitSeq(words, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 2 || n > 1_000_000 {
			return fmt.Errorf("%q: it must be numbers from 2 to 1000000 parted by commas, such as 1000,20000", word)
		}
		*f.n = append(*f.n, n)
	}
	return nil
}

// bench is netsql bench.
func bench(f *flags) runner {
	c := recorderbench.Defaults()
	var quick, asJSON bool
	f.Var(countsFlag{&c.Sockets}, "sockets", "measure with that many `SOCKETS`, numbers parted by commas")
	f.VarP(durationFlag{&c.Interval}, "interval", "i", "`TIME` between samples, 100ms to 1m; the figures are of one every ten seconds")
	f.IntVar(&c.Samples, "samples", c.Samples, "measure that many `SAMPLES` of each number of sockets and each load, 1 to 1000")
	f.Float64Var(&c.Days, "days", c.Days, "ask a recording of that many `DAYS`, 0.01 to 1000; 7 take a minute and half a gigabyte")
	f.StringVar(&c.Dir, "dir", "", "`FOLDER` for temporary files")
	f.BoolVar(&quick, "quick", false, "measure little, in half a minute")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	f.complete("dir", anyFolder)
	return func(ctx context.Context, words []string, std stdio) error {
		switch {
		case len(words) > 0:
			return usagef("bench takes no %q: it makes what it measures", words[0])
		case c.Interval < recorder.MinInterval || c.Interval.Minutes() > 1:
			return usagef("--interval %v: it must be from 100ms to 1m, such as 10s", c.Interval)
		case c.Samples < 1 || c.Samples > 1000:
			return usagef("--samples %d: it must be from 1 to 1000, such as 6", c.Samples)
		case !(c.Days >= 0.01 && c.Days <= 1000):
			return usagef("--days %g: it must be from 0.01 to 1000, such as 7", c.Days)
		}
		if quick {
			c = recorderbench.Quick(c.Dir)
		}
		if isTerminal(std.err) {
			c.Progress = func(what string) { fmt.Fprintf(std.err, "\r\x1b[K%s\r", what) }
		}
		report, err := recorderbench.Run(ctx, c)
		if err != nil {
			return err
		}
		if c.Progress != nil {
			c.Progress("")
		}
		if asJSON {
			return report.JSON(std.out)
		}
		return report.Write(std.out)
	}
}

// benchPart is a process of netsql bench.
func benchPart(*flags) runner {
	return func(ctx context.Context, args []string, std stdio) error {
		return recorderbench.Part(ctx, args, std.in, std.out)
	}
}
