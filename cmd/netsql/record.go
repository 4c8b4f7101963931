package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"netsql/query"
	"netsql/recorder"
)

// durationFlag takes what people say for a duration: 5s, 100ms, 2d.
type durationFlag struct{ d *time.Duration }

func (f durationFlag) String() string {
	if f.d == nil || *f.d == 0 {
		return ""
	}
	if day := 24 * time.Hour; *f.d%day == 0 {
		return fmt.Sprintf("%dd", *f.d/day)
	}
	return f.d.String()
}

func (f durationFlag) Type() string { return "duration" }

func (f durationFlag) Set(words string) error {
	d, err := query.ParseDuration(words)
	switch {
	case err != nil:
		return err
	case d < 0:
		return fmt.Errorf("%s is negative: say how long, such as 5s", words)
	}
	*f.d = d
	return nil
}

// stretchFlag is a durationFlag to which zero makes no sense either.
type stretchFlag struct{ durationFlag }

func (f stretchFlag) Set(words string) error {
	if err := f.durationFlag.Set(words); err != nil {
		return err
	}
	if *f.d == 0 {
		return fmt.Errorf("%s is no time at all: say how long, such as 5s", words)
	}
	return nil
}

// sizeFlag takes what people say for a number of bytes: 2GiB, 500MB.
type sizeFlag struct{ n *int64 }

func (f sizeFlag) String() string {
	if f.n == nil || *f.n == 0 {
		return ""
	}
	return strings.Replace(strings.ReplaceAll(query.SizeText(*f.n), " ", ""), ".0", "", 1) // 2GiB, as it is given
}

func (f sizeFlag) Type() string { return "size" }

func (f sizeFlag) Set(words string) (err error) {
	*f.n, err = query.ParseSize(words)
	return err
}

// netnsFlag takes which network namespaces to record.
type netnsFlag struct{ n *recorder.NetNS }

func (f netnsFlag) String() string { return "" }
func (f netnsFlag) Type() string   { return "namespaces" }

func (f netnsFlag) Set(words string) (err error) {
	*f.n, err = recorder.ParseNetNS(words)
	return err
}

// withoutFlag takes names of sources, parted by commas; it may be given more than once.
type withoutFlag struct{ names *[]string }

func (f withoutFlag) String() string { return "" }
func (f withoutFlag) Type() string   { return "sources" }

func (f withoutFlag) Set(words string) error {
	for name := range strings.SplitSeq(words, ",") {
		if name = strings.TrimSpace(name); !slices.Contains(recorder.SourceNames, name) {
			return fmt.Errorf("there is no source %q: the sources are %s", name, strings.Join(recorder.SourceNames, ", "))
		}
		*f.names = append(*f.names, name)
	}
	return nil
}

// record is netsql record.
func record(f *flags) runner {
	c := recorder.Config{Interval: recorder.DefaultInterval, Version: version, Limits: recorder.DefaultLimits, Confined: true}
	f.VarP(durationFlag{&c.Interval}, "interval", "i", "`TIME` between two samples, 100ms to 1h")
	f.Var(stretchFlag{durationFlag{&c.For}}, "for", "record for that `TIME`, then end")
	f.BoolVar(&c.Once, "once", false, "take one sample and end")
	l := &c.Limits
	f.Var(durationFlag{&l.Keep}, "keep", "keep samples for that `TIME`, 0 for all")
	f.Var(sizeFlag{&l.MaxSize}, "max-size", "let the recording grow to that `SIZE`, 0 without limit; at that size the oldest samples become one a minute, later one an hour")
	f.Var(durationFlag{&l.Minutes}, "keep-minutes", "keep the roll-ups of each minute for that `TIME`, 0 for all")
	f.Var(durationFlag{&l.Hours}, "keep-hours", "keep the roll-ups of each hour, and gaps, for that `TIME`, 0 for all")
	f.Var(durationFlag{&l.Days}, "keep-days", "keep the roll-ups of each day for that `TIME`, 0 for all")
	f.IntVar(&c.CloseBudget, "close-budget", recorder.DefaultCloseBudget, "keep that many `CLOSES` of connections one by one in each sample, and sum up the rest; 100 to 1000000")
	f.VarP(netnsFlag{&c.NetNS}, "netns", "N", "record these network `NAMESPACES`: all, self, or names of ip netns, inode numbers and pid:N, "+
		"parted by commas; one that does not exist yet is waited for (default all with CAP_SYS_ADMIN, else self)")
	f.Var(withoutFlag{&c.Without}, "without", "switch off these `SOURCES`, parted by commas, such as conntrack,settings; the recording says so: "+strings.Join(recorder.SourceNames, ", "))
	f.BoolVar(&c.Firewall, "firewall", false, "record what the rules of the firewall say too, as nft prints them: all users who may read the recording may read them")
	f.BoolVar(&c.Conntrack, "conntrack", false, "record the flows of connection tracking too, with NAT: who talks to whom through this machine")
	f.BoolVar(&c.NoMask, "no-mask", false, "record command lines with the passwords in them, which are *** otherwise")
	var back background
	back.define(f)
	as := f.String("as", "", "become that `USER`, who may write the recording, and keep only the privileges that a recorder uses")
	f.complete("netns", oneOf("all", "self"))
	f.complete("without", someOf(recorder.SourceNames...))
	return func(ctx context.Context, words []string, std stdio) (err error) {
		if len(words) > 0 {
			return usagef("record takes no %q: name the recording with --db", words[0])
		}
		if c.Interval < recorder.MinInterval || c.Interval > recorder.MaxInterval {
			return usagef("--interval %v: it must be from 100ms to 1h, such as 5s", c.Interval)
		}
		if c.CloseBudget < recorder.MinCloseBudget || c.CloseBudget > recorder.MaxCloseBudget {
			return usagef("--close-budget %d: it must be from %d to %d, such as %d", c.CloseBudget,
				recorder.MinCloseBudget, recorder.MaxCloseBudget, recorder.DefaultCloseBudget)
		}
		if err := checkLimits(c); err != nil {
			return err
		}
		if c.Path, _, err = f.path(); err != nil {
			return err
		}
		if err := back.check(f, c.Once); err != nil {
			return err
		}
		if back.asked || inBackground() {
			if c.Path, err = back.absolute(c.Path); err != nil {
				return err
			}
		}
		if back.asked && !inBackground() {
			return back.start(ctx, c.Path, std)
		}
		c.Debug, c.DebugTo = os.Getenv("NETSQL_DEBUG"), std.err // netlink,owners,store
		systemd := supervisorOf(c.Path)
		defer func() { systemd.stopping(err) }()
		if inBackground() {
			end, err := back.settle(*as)
			if err != nil {
				return err
			}
			defer end()
		} else if *as != "" {
			if err := recorder.Become(*as); err != nil {
				return err
			}
		}
		c.Notice = func(n recorder.Notice) {
			write(std.err, n.Priority, n.Text)
			systemd.notice(n.Text)
		}
		if c.AliveEvery = systemd.aliveEvery; c.AliveEvery > 0 {
			c.Alive = systemd.alive
		}
		first, forecast := true, forecaster(ctx, c.Path, forecastAfter, func(sentence string) { c.Notice(recorder.Notice{Priority: recorder.PriorityInfo, Text: sentence}) })
		c.Sampled = func() {
			if first && !c.Once {
				how := "; Ctrl-C stops it, netsql asks it"
				if toJournal() || os.Getenv(dated) != "" {
					how = ""
				}
				write(std.err, recorder.PriorityInfo, fmt.Sprintf("recording into %s every %v, kept %s, process %d%s", c.Path, c.Interval, keptWords(c), os.Getpid(), how))
			}
			first = false
			systemd.sampled()
			forecast()
		}
		return recorder.Run(ctx, c)
	}
}

// forecastAfter is how long the recorder runs before it says how far back the recording will reach: what is written at first (every process,
// every setting) is written once.
const forecastAfter = 15 * time.Minute

// forecaster says so once, at the first sample after that time; it is called after each.
func forecaster(ctx context.Context, path string, after time.Duration, say func(string)) func() {
	due, said := time.Now().Add(after), false
	return func() {
		if said || time.Now().Before(due) {
			return
		}
		said = true
		r, err := query.Open(ctx, path)
		if err != nil {
			return // it can be asked again
		}
		defer r.Close()
		if s, err := query.ReadStatus(ctx, r); err == nil && s.Forecast() != "" {
			say(s.Forecast())
		}
	}
}

func checkLimits(c recorder.Config) error {
	l := c.Limits
	for _, keep := range []struct {
		flag string
		time time.Duration
	}{{"keep", l.Keep}, {"keep-minutes", l.Minutes}, {"keep-hours", l.Hours}, {"keep-days", l.Days}} {
		if keep.time != 0 && keep.time < recorder.MinKeep {
			return usagef("--%s %v: it must be at least 1m, such as 30d, or 0 to keep all", keep.flag, keep.time)
		}
	}
	if l.MaxSize != 0 && l.MaxSize < recorder.MinMaxSize {
		return usagef("--max-size %d: it must be at least 8MiB, such as 2GiB, or 0 for no limit", l.MaxSize)
	}
	return nil
}

// keptWords says how much is kept: what is beyond is deleted, and who did not say so should know.
func keptWords(c recorder.Config) string {
	keep := durationFlag{&c.Limits.Keep}.String()
	size := query.SizeText(c.Limits.MaxSize)
	switch {
	case c.Limits.Keep == 0 && c.Limits.MaxSize == 0:
		return "for ever"
	case c.Limits.Keep == 0:
		return "up to " + size
	case c.Limits.MaxSize == 0:
		return "for " + keep
	}
	return "for " + keep + " up to " + size
}
