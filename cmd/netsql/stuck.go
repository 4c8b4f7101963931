package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"netsql/query"
)

// stuckAfter is how long a cancelled statement may take to end. SQLite looks for a cancel between two steps of a statement; one call of a built-in
// function, such as LIKE on a long text, is one step, and may take hours.
const stuckAfter = 50 * time.Millisecond

// restartedNote is in the environment of a shell that was restarted.
const restartedNote = "NETSQL_RESTARTED"

// restart puts a new program with the same settings in the place of this one, as nothing else ends a function of SQLite. It returns where the system
// cannot do that.
func restart(s *query.Shell, r *restricted) {
	self, err := os.Executable()
	if err != nil {
		return
	}
	args := slices.Clone(os.Args)
	at := slices.Index(args, "--") // behind it nothing is a flag
	if at < 0 {
		at = len(args)
	}
	args = slices.Insert(args, at, s.Flags()...)
	_ = syscall.Exec(self, args, slices.Concat(os.Environ(), []string{restartedNote + "=1"}, r.carry()))
}

// sayRestarted tells the user of a shell that was restarted, and whether it was.
func sayRestarted(std stdio) bool {
	if os.Getenv(restartedNote) == "" {
		return false
	}
	_ = os.Unsetenv(restartedNote)
	fmt.Fprintln(std.err, "cancelled: the shell was restarted, as one function would not end; what it had in TEMP tables is gone")
	return true
}

// exitWhenStuck ends the program when a statement of a script has been cancelled and does not end. The function that it returns takes that back.
func exitWhenStuck(ctx context.Context, std stdio) (forget func() bool) {
	return context.AfterFunc(ctx, func() {
		time.Sleep(stuckAfter)
		exit(exitCode(context.Cause(ctx), std.err))
	})
}
