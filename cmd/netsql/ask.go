package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	_ "time/tzdata" // who asks from elsewhere sends a time zone, which a small host may not have

	"github.com/spf13/cobra"

	"netsql/cmd/netsql/ask"
	"netsql/query"
)

// askHosts is netsql ask.
func askHosts(f *flags) runner {
	var hostsFile, ssh, then, at, since, until string
	var atOnce int
	var look lookFlags
	timeout := 10 * time.Second
	params := map[string]string{}
	f.StringVar(&hostsFile, "hosts", "", "a `FILE` of hosts, one on a line, in groups below [NAME]; all of them where no HOST is named")
	f.StringVar(&then, "then", "", "`SQL` over what came, which is the table answers: joins and sorts of all hosts")
	f.StringVarP(&ssh, "ssh", "e", "ssh", "the `COMMAND` for ssh, with flags of its own")
	f.Var(durationFlag{&timeout}, "timeout", "give a host up after a `DURATION` such as 5s; 0 waits for ever")
	f.IntVar(&atOnce, "at-once", 50, "ask so many hosts at the same time, a `NUMBER`")
	paramFlag(f, params)
	look.define(f)
	memory := memoryFlag(f)
	timeFlags(f, &at, &since, &until)
	f.complete("hosts", anyFile)
	f.completeWords(func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		return beginning(begun, hostsThere(hostsFile)), cobra.ShellCompDirectiveNoFileComp
	})
	return func(ctx context.Context, words []string, std stdio) error {
		c := ask.Config{Wait: timeout, AtOnce: atOnce, Memory: int64(*memory), Version: version, Recording: f.db}
		if len(words) == 0 || !strings.ContainsAny(words[len(words)-1], " \t\n;(") {
			return usagef("ask what? The statement is the last word: netsql ask web1 web2 'SELECT comm, state FROM leaks'")
		}
		var upright bool
		var err error
		if c.Statement, upright, err = query.Question(words[len(words)-1]); err != nil {
			return usagef("the statement: %v", err)
		}
		if then != "" {
			var up bool
			if then, up, err = query.Question(then); err != nil {
				return usagef("--then: %v", err)
			}
			upright = upright || up
		}
		if c.Hosts, err = chosenHosts(words[:len(words)-1], hostsFile, std.in); err != nil {
			return err
		}
		if c.SSH, err = ask.Words(ssh); err != nil {
			return usagef("--ssh: %v", err)
		}
		if atOnce < 1 {
			return usagef("--at-once: at least 1")
		}
		if c.Flags, err = flagsThere(at, since, until, params); err != nil {
			return err
		}
		shell, err := look.config(std)
		if err != nil {
			return err
		}
		if upright {
			shell.Mode = "line"
		}
		var named bool
		if c.Zone, named = ask.Zone(time.Now()); !named {
			fmt.Fprintf(std.err, "note: the time zone of this machine has no name: on the hosts times in the statement are %s\n", c.Zone)
		}
		memory.apply()
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
		if isTerminal(std.err) && !dumbTerminal() {
			c.Waits = func(hosts []string) { sayWaits(hosts, len(c.Hosts), std) }
		}
		answers, err := ask.All(ctx, c)
		if c.Waits != nil {
			fmt.Fprint(std.err, "\r\x1b[K")
		}
		if err != nil {
			return err
		}
		return printAnswers(ctx, answers, c.Statement, then, shell, std)
	}
}

// sayWaits says on a line of the terminal, which goes away, which of so many hosts have not answered.
func sayWaits(hosts []string, all int, std stdio) {
	if len(hosts) == 0 {
		return
	}
	text := fmt.Sprintf("%d of %d hosts have answered; waiting for %s", all-len(hosts), all, strings.Join(hosts, ", "))
	width, _ := screenSize(std.err)
	if width = max(width, 40) - 1; len(text) > width { // names of hosts are ASCII
		text = text[:width-3] + "..."
	}
	fmt.Fprintf(std.err, "\r\x1b[K%s", text)
}

// printAnswers prints the rows of all hosts, and says of each that did not answer why.
func printAnswers(ctx context.Context, answers []ask.Answer, statement, then string, shell query.ShellConfig, std stdio) error {
	columns, rows, notes := ask.Unite(answers)
	say := func(begin, about, text string) { fmt.Fprintf(std.err, "%s%s: %s\n", begin, about, query.Safe(text)) }
	for _, note := range ask.Notes(answers) {
		say("note: ", strings.Join(note.Hosts, ", "), note.Text)
	}
	for _, note := range notes {
		fmt.Fprintf(std.err, "note: %s\n", query.Safe(note))
	}
	failed := 0
	for _, a := range answers {
		if a.Err != nil {
			failed++
			say("netsql: ", a.Host, a.Err.Error())
		}
	}
	interrupted := ctx.Err()
	all := query.Answer{Columns: columns, Rows: rows}
	if then != "" && (failed < len(answers) || len(rows) > 0) {
		var err error
		// What came is shown also after Ctrl-C. The next one kills.
		if all, err = all.Then(context.WithoutCancel(ctx), then); err != nil {
			return errors.Join(interrupted, fmt.Errorf("--then: %w", err))
		}
		statement = then
	}
	if failed < len(answers) || len(rows) > 0 {
		out := newPatientWriter(std.out, 2*time.Second)
		shell.Out = out
		if err := errors.Join(all.Print(shell, statement), out.Close()); err != nil {
			return err
		}
	}
	switch {
	case interrupted != nil:
		return interrupted
	case failed > 0:
		return &foundError{exitFailed}
	}
	return nil
}

// chosenHosts are the hosts that words name, in a file or by themselves.
func chosenHosts(words []string, hostsFile string, in io.Reader) ([]string, error) {
	file, name, err := readHosts(hostsFile, in)
	if err != nil {
		return nil, err
	}
	if len(words) == 0 && hostsFile == "" {
		return nil, usagef("ask whom? netsql ask web1 web2 'SELECT …', or @GROUP of %s", name)
	}
	hosts, err := ask.Choose(words, file, name)
	if err != nil {
		return nil, usagef("%v", err)
	}
	if len(hosts) == 0 {
		return nil, usagef("no host in %s", name)
	}
	return hosts, nil
}

// readHosts reads the file of hosts that is named, or the usual one: the stronger of those beside the files of flags. It is nil where there is none.
func readHosts(named string, in io.Reader) (file *ask.Hosts, name string, err error) {
	var text []byte
	usual := usualHosts()
	switch {
	case named == "-":
		text, err = io.ReadAll(in)
		name = "standard input"
	case named != "":
		text, err = os.ReadFile(named)
		name = named
	default:
		name = usual[0]
		for _, each := range usual {
			if text, err = os.ReadFile(each); err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
				name = each
				break
			}
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil, name, nil
		}
	}
	if err != nil {
		return nil, name, usagef("the hosts: %v", err)
	}
	if file, err = ask.ParseHosts(name, string(text)); err != nil {
		return nil, name, usagef("%v", err)
	}
	return file, name, nil
}

// usualHosts are where a file of hosts may stand, the stronger place first: netsql.hosts beside each netsql.conf.
func usualHosts() (all []string) {
	files, _ := configFiles()
	for _, file := range files {
		all = append(all, strings.TrimSuffix(file, filepath.Ext(file))+".hosts")
	}
	return all
}

// hostsThere are what may stand for a host, for completion.
func hostsThere(hostsFile string) (all []string) {
	file, _, err := readHosts(hostsFile, strings.NewReader(""))
	if err != nil || file == nil {
		return nil
	}
	for _, group := range file.Groups() {
		all = append(all, "@"+group)
	}
	return append(append(all, "@all"), file.All()...)
}

// flagsThere are the flags of the netsql of each host. Times are the same moment for all of them, by the clock here.
func flagsThere(at, since, until string, params map[string]string) (flags []string, err error) {
	now := time.Now()
	for _, t := range []struct{ flag, words string }{{"--at", at}, {"--since", since}, {"--until", until}} {
		if t.words == "" {
			continue
		}
		moment, err := query.ParseTime(t.words, now)
		if err != nil {
			return nil, usagef("%s: %v", t.flag, err)
		}
		flags = append(flags, t.flag, moment.Format(time.RFC3339Nano))
	}
	for name, value := range params {
		flags = append(flags, "--param", name+"="+value)
	}
	return flags, nil
}
