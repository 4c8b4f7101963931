// Package query answers: it opens a recording for reading and is all of the shell but the line editor.
//
// # What it does
//
// Open gives a Recording, also one that is being written or that the user may only read. Its connection has the views of
// this program as TEMP views, each made when a statement first names it, so that they work on a file of an older version and can be moved: the window
// that leaks, connections and listeners look at is a view of one row, which SetWindow replaces. at() is a function of the
// recording; the others, listed in functions.go, need none. Where the conditions of a statement say which rows are wanted (conditions.go), a
// view may be made so that only these are read: histories by their subjects (views.go), events by their objects, closes by their ends (closes.go).
// The rows are the same.
//
// A Shell runs statements and dot-commands and prints results: split.go finds where a statement ends, format*.go write rows as box,
// csv, json …, complete.go, suggest.go and hints.go help who does not know the names, timewords.go reads every time that people type.
// A file into which the recordings of several hosts were merged is opened by OpenAny: its views are made for each host, and over all; see merged.go.
//
// Export, ReadStatus and Reference are the commands of the same names. An Answer is a result that another netsql gave.
//
// # What it hides
//
// Values in a recording come from strangers: a process may be named after an escape sequence. What goes to a terminal is
// escaped, what goes to a program is exact.
//
// # What it never does
//
// It never writes to a recording, knows nothing of Linux, terminals or the recorder, and never answers about a moment at which
// nobody looked without saying so.
package query
