// Package debuglog writes what the recorder was told and what it decided, for people who look for an error in it.
//
// A Log belongs to one topic. Where the topic is off it is nil: callers ask for that before they make the words, so that it
// costs nothing. It reads no environment and opens no file: the program says which topics are on, and where they are written.
package debuglog

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// Topics are what can be asked for: the messages and dumps of the kernel, how owners of sockets were found, and what became of
// samples.
var Topics = []string{"netlink", "owners", "store"}

// Logs has a Log for each topic that is on, and nil for the others.
type Logs struct{ Netlink, Owners, Store *Log }

// A Log writes lines of one topic. Several goroutines may use it.
type Log struct {
	topic string
	mu    *sync.Mutex // of w, which all topics share
	w     io.Writer
}

// Parse reads topics parted by commas; none are on when there are no words.
func Parse(words string, w io.Writer) (Logs, error) {
	var logs Logs
	if strings.TrimSpace(words) == "" {
		return logs, nil
	}
	mu := &sync.Mutex{}
	for word := range strings.SplitSeq(words, ",") {
		word = strings.TrimSpace(word)
		i := slices.Index(Topics, word)
		if i < 0 {
			return Logs{}, fmt.Errorf("there is nothing to debug called %q: it must be of %s, parted by commas", word, strings.Join(Topics, ", "))
		}
		if w != nil {
			*[...]**Log{&logs.Netlink, &logs.Owners, &logs.Store}[i] = &Log{word, mu, w}
		}
	}
	return logs, nil
}

// Printf writes a line. The Log must not be nil.
func (l *Log) Printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, "netsql: %s: %s\n", l.topic, fmt.Sprintf(format, args...))
}
