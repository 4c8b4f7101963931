//go:build !linux

package confine

// Unavailable is why a process is not restricted here.
func Unavailable() string { return "no: this system has no Landlock" }

// Restrict does nothing here.
func Restrict(Plan) (string, bool) { return Unavailable(), false }

// Resumed is of Linux.
func Resumed() (*Helper, string, bool) { return nil, "", false }

// Carry is of Linux.
func Carry(*Helper, string) []string { return nil }
