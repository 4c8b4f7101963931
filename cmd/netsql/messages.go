package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"netsql/query"
	"netsql/recorder"
)

// toJournal reports whether the journal reads what this process writes to standard error.
var toJournal = sync.OnceValue(func() bool {
	is, err := journal.StderrIsJournalStream()
	return is && err == nil
})

// write has a person told something: in plain text, or for the journal with how much it matters (sd-daemon(3)), or for a log file with the time.
func write(to io.Writer, priority recorder.Priority, sentence string) {
	text := query.Safe(sentence)
	switch {
	case to == io.Writer(os.Stderr) && toJournal():
		prefix := fmt.Sprintf("<%d>", priority)
		text = prefix + strings.ReplaceAll(text, "\n", "\n"+prefix)
	case to == io.Writer(os.Stderr) && os.Getenv(dated) != "":
		text = fmt.Sprintf("%s %s: %s", time.Now().Format(time.DateTime), priority, text)
	default:
		text = "netsql: " + text
	}
	fmt.Fprintln(to, text)
}
