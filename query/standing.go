package query

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// step is a step of .at from the moment that is set: +1, -3 samples, or to the next or previous event.
var step = regexp.MustCompile(`(?i)^(?:([+-]\d{1,6})(?:\s+samples?)?|(next|prev|previous)\s+event)$`)

// stepAt moves the moment that at() means by what .at was given; is is false where that is no step but a time.
func (s *Shell) stepAt(ctx context.Context, arg string) (is bool, err error) {
	m := step.FindStringSubmatch(arg)
	if m == nil {
		return false, nil
	}
	r := s.recording
	from, _, err := r.atSample(ctx)
	if err != nil {
		return true, err
	}
	var to float64
	var event string
	if m[1] != "" {
		n, err := strconv.Atoi(m[1])
		if err != nil || n == 0 {
			return true, errors.New("by how many samples? .at +1 or .at -1")
		}
		query := "SELECT ts FROM sample WHERE ts > ? AND back IS NOT 0 ORDER BY ts LIMIT 1 OFFSET ?"
		if n < 0 {
			query, n = strings.Replace(strings.Replace(query, ">", "<", 1), "ts LIMIT", "ts DESC LIMIT", 1), -n
		}
		err = r.look.QueryRowContext(ctx, query, from, n-1).Scan(&to)
		if errors.Is(err, sql.ErrNoRows) {
			return true, fmt.Errorf("there are not so many samples on that side of %s", localTime(unixTime(from)))
		} else if err != nil {
			return true, err
		}
	} else if to, event, err = r.nextEvent(ctx, from, strings.EqualFold(m[2], "next")); err != nil {
		return true, err
	}
	r.at, r.exactly = unixTime(to), true
	if event != "" {
		event = ": " + event
	}
	return true, s.sayStanding(ctx, to, event)
}

// atSample is the sample that at() means.
func (r *Recording) atSample(ctx context.Context) (ts float64, note string, err error) {
	if err := r.refreshLimit(ctx); err != nil {
		return 0, "", err
	}
	if r.exactly {
		return r.lastSampleBefore(ctx, r.conn.Conn, tablesOf{}, r.at, r.at)
	}
	return r.lastSample(ctx, r.conn.Conn, tablesOf{}, r.at)
}

// eventReach is how far from a moment the next event is looked for, in steps that grow.
var eventReach = []time.Duration{time.Minute, 10 * time.Minute, 2 * time.Hour, 24 * time.Hour}

// nextEvent is the sample that shows the next event after one, or the one before the last event before it, and that event in words. Sockets come and go
// all the time and are no events here.
func (r *Recording) nextEvent(ctx context.Context, from float64, forward bool) (ts float64, what string, err error) {
	const objects = "('interface', 'qdisc', 'address', 'multicast', 'route', 'path', 'rule', 'firewall', 'nexthop', 'setting', 'module', 'listener', 'gap', 'note')"
	for _, reach := range eventReach {
		since, until, order, bound := from, from+reach.Seconds(), "ts", "ts > ?1"
		if !forward {
			since, until, order, bound = from-reach.Seconds(), from, "ts DESC", "ts <= ?1"
		}
		unpin, err := r.pinWindow(ctx, since, until)
		if err != nil {
			return 0, "", err
		}
		var at float64
		err = r.conn.QueryRowContext(ctx, "SELECT ts, object || ' ' || event || ' ' || coalesce(what, '') FROM events WHERE object IN "+objects+" AND "+bound+" ORDER BY "+order+" LIMIT 1", from).Scan(&at, &what)
		unpin()
		if errors.Is(err, sql.ErrNoRows) {
			continue
		} else if err != nil {
			return 0, "", err
		}
		query := "SELECT ts FROM sample WHERE ts >= ? AND back IS NOT 0 ORDER BY ts LIMIT 1"
		if !forward { // what was before it
			query = "SELECT ts FROM sample WHERE ts < ? AND back IS NOT 0 ORDER BY ts DESC LIMIT 1"
		}
		if err := r.look.QueryRowContext(ctx, query, at).Scan(&ts); err == nil {
			return ts, what, nil
		}
	}
	return 0, "", fmt.Errorf("no event within a day of %s, of links, qdiscs, addresses, multicast groups, routes, path MTUs, rules, the firewall, nexthops, settings, kernel modules, listeners, gaps and notes", localTime(unixTime(from)))
}

// sayStanding tells a person which moment at() means now, and what stood there.
func (s *Shell) sayStanding(ctx context.Context, ts float64, more string) error {
	if !s.config.Terminal {
		return nil
	}
	said := "at() is " + localTime(unixTime(ts)) + escapeControls(more)
	var states []string
	total := int64(0)
	_ = s.recording.each(ctx, "SELECT proto, state, count(*) FROM sockets WHERE ts = ? GROUP BY 1, 2 ORDER BY 3 DESC", []any{ts}, func(row []any) {
		n, _ := row[2].(int64)
		if total += n; len(states) < 4 {
			states = append(states, strings.TrimSpace(fmt.Sprintf("%s %v %s", count(n), row[0], text(row[1]))))
		}
	})
	var routes []string
	_ = s.recording.each(ctx, "SELECT DISTINCT coalesce(' via ' || gateway, '') || coalesce(' dev ' || dev, '') FROM route_hops WHERE ts = ? AND dst = '0.0.0.0/0'", []any{ts}, func(row []any) {
		routes = append(routes, "default"+text(row[0]))
	})
	if total > 0 {
		if len(routes) == 0 {
			routes = []string{"no default route"}
		}
		said += "\n" + strings.TrimSuffix(wrapped(fmt.Sprintf("%s: %s; %s", plural(total, "socket"), strings.Join(states, ", "), escapeControls(strings.Join(routes, ", "))), "", s.width()), "\n")
	}
	return s.say(said)
}
