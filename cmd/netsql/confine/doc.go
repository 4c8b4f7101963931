// Package confine takes from a process what asking a recording does not need: it may write, run programs and make connections only where its
// user said so. It does that with Landlock (landlock(7)), as far as the kernel has it, and goes on where it has none. A recording may come from a
// stranger, and what reads it is a large program in C: what goes wrong there should end there.
//
// Restrict is for good, and holds for all threads. What a command is to write must be known before. The shell learns it later, from the commands
// that its user types. For these it has a Helper: a second process of the same program, which is not restricted. It opens the files that a
// dot-command names and starts the programs that one asks for. SQL cannot ask it for anything. A Helper keeps out what SQLite may be led to do,
// such as opening a file by its name; it does not keep out code that has taken over the whole process.
//
// The package never opens a recording.
package confine

import (
	"os"
	"slices"
)

// Variable is what switches restrictions off, in the environment: NETSQL_LANDLOCK=off.
const Variable = "NETSQL_LANDLOCK"

// A Plan says what a process may reach once it is restricted, besides the recording: that may be read, and its -shm file, in which SQLite notes who
// reads, be written.
type Plan struct {
	Recording string
	Anything  bool     // all files may be read, and this program be started again
	Read      []string // files and folders that may be read
	Folders   []string // in which files may be made, written and deleted
	Removable []string // folders out of which an empty folder may be deleted
	Names     bool     // name servers may be asked, also by TCP
}

// IsOff reports whether the user wants no restrictions.
func IsOff() bool {
	return slices.Contains([]string{"off", "no", "0", "false"}, os.Getenv(Variable))
}
