package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// leastWatch is how often .watch asks at most.
const leastWatch = 200 * time.Millisecond

// watch is .watch INTERVAL STATEMENT: it asks again and again, until Ctrl-C, and marks what has changed.
func (s *Shell) watch(ctx context.Context, arg string) error {
	word, statement, _ := strings.Cut(strings.TrimSpace(arg), " ")
	if strings.TrimSpace(statement) == "" { // as \watch: the last one
		statement = s.asked
	}
	if word == "" {
		word = "2s"
	} else if strings.Trim(word, "0123456789.") == "" { // as \watch 5
		word += "s"
	}
	every, err := ParseDuration(word)
	if err != nil || strings.TrimSpace(statement) == "" {
		return errors.New("watch what, and how often? .watch 2s SELECT state, count(*) FROM sockets_now GROUP BY 1")
	}
	if every < leastWatch {
		return fmt.Errorf(".watch asks every %v at the most", leastWatch)
	}
	s.changes = &changes{}
	defer func() { s.changes = nil }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if out, toTerminal := s.target(); toTerminal {
			if s.config.Page != nil { // a person sits there
				fmt.Fprint(out, "\x1b[H\x1b[2J")
			}
			fmt.Fprintf(out, "every %s, %s: %s\n", spanText(every.Seconds(), ""), time.Now().Format(time.TimeOnly), escapeControls(strings.Join(strings.Fields(statement), " ")))
		}
		if err := s.Run(ctx, Input{Text: statement, Line: 1}); err != nil {
			return err
		}
		s.changes.turn()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// changes tell what of a result is not as it was in the one before. A row is known by its texts and by the numbers that name things; what else it
// holds may change.
type changes struct {
	before, now map[string][]any // rows by what they are known by
}

// turn makes the result that was shown the one before.
func (c *changes) turn() {
	if c.before, c.now = c.now, nil; c.before == nil {
		c.before = map[string][]any{} // nothing was there
	}
}

// naming are the columns of numbers that name something.
var naming = map[string]bool{"pid": true, "netns": true, "local_port": true, "remote_port": true, "cookie": true, "inode": true, "ifindex": true, "family": true, "table_id": true,
	"port": true, "sample": true, "run": true, "boot": true, "cpu": true}

// add takes note of a row and gives the one that it was before; known is false where it is new.
func (c *changes) add(cols []Column, row []any) (before []any, known bool) {
	var key strings.Builder
	for i, v := range row {
		if _, text := v.(string); text || naming[cols[i].Name] {
			fmt.Fprintf(&key, "%v\x00", v)
		}
	}
	if c.now == nil {
		c.now = map[string][]any{}
	}
	name := key.String()
	for n := 2; c.now[name] != nil; n++ { // others are known by the same
		name = fmt.Sprintf("%s%d", key.String(), n)
	}
	c.now[name] = copied(nil, row)
	before, known = c.before[name]
	return before, known || c.before == nil
}

// colours of the cells of a row, nil where nothing changed: green, if it is new, or yellow where a value is another.
func (c *changes) colours(cols []Column, row []any) []string {
	before, known := c.add(cols, row)
	var colours []string
	for i, v := range row {
		colour := ""
		switch {
		case !known:
			colour = green
		case before != nil && !cols[i].Time && !sameValue(v, before[i]):
			colour = yellow
		}
		colours = append(colours, colour)
	}
	return colours
}
