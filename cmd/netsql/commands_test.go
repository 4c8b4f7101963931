package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A command line that makes no sense is answered with one sentence that says what would.
func TestSenselessCommandLines(t *testing.T) {
	t.Setenv("NETSQL_DB", filepath.Join(t.TempDir(), "none.db"))
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"record", "--intervall", "5s"}, "no flag --intervall: did you mean --interval?"},
		{[]string{"record", "--db"}, "--db lacks its value: --db FILE"},
		{[]string{"slice", "-o"}, "--output lacks its value: --output FILE"},
		{[]string{"slice", "--o", "x.db"}, "no flag --o: did you mean -o?"},
		{[]string{"upgrade", "--quick"}, "no flag --quick: its flags are --db, --help"},
		{[]string{"upgrade", "---db"}, "no flag ---db: its flags are --db, --help"},
		{[]string{"upgrade", "-qx"}, "no flag -qx: its flags are --db, --help"},
		{[]string{"record", "--once=maybe"}, `--once: "maybe" is neither true nor false`},
		{[]string{"record", "--close-budget", "many"}, `--close-budget: "many" is no whole number`},
		{[]string{"record", "--close-budget", "99999999999999999999"}, `--close-budget: 99999999999999999999 is too large or too small`},
		{[]string{"bench", "--days", "week"}, `--days: "week" is no number`},
		{[]string{"-p", "port"}, `--param: "port" is no NAME=VALUE`},
		{[]string{"-- all\nSELECT 1"}, "SQL that begins with a comment is taken for a flag: give it with -c, or behind a word that is only --"},
		// One dash: a long flag as package flag of Go had it.
		{[]string{"x.db", "-mode", "csv"}, "no flag -mode: did you mean --mode?"},
		{[]string{"x.db", "-color=always"}, "no flag -color: did you mean --color?"},
		{[]string{"--mode", "csv", "-at", "now"}, "no flag -at: did you mean --at?"},
		{[]string{"x.db", "-sinc", "now"}, "no flag -sinc: did you mean --since?"},
		{[]string{"record", "-db", "x.db"}, "no flag -db: did you mean --db?"},
		// A word that is like a command stays a word behind others.
		{[]string{"stauts"}, `"stauts" is no command, no recording and no SQL; did you mean netsql status?`},
		{[]string{"--", "status"}, `"status" is no command, no recording and no SQL; did you mean netsql status?`},
	} {
		err := run(t.Context(), c.args, stdio{os.Stdin, os.Stdout, os.Stderr})
		var usage *usageError
		if !errors.As(err, &usage) || err.Error() != c.want {
			t.Errorf("netsql %q: got %v, want %s", c.args, err, c.want)
		}
	}
}

// What looks like a flag with one dash but is the value of another, or stands behind --, is left alone.
func TestOneDash(t *testing.T) {
	t.Parallel()
	f := tree(stdio{}).Flags()
	for _, args := range [][]string{
		{"--nullvalue", "-at"}, {"-c", "-mode"}, {"-p", "-at=1"}, {"--", "-mode", "csv"}, {"-cSELECT 1", "--no-header"}, {"-"}, {""}, {"--bail", "x"}, {"-c=-at"},
	} {
		if err := oneDash(f, args); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range [][]string{{"--bail", "-at"}, {"--mode=csv", "-at=now"}, {"-c", "x", "-command", "y"}} {
		if err := oneDash(f, args); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
