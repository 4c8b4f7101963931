package query

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"
)

// A Function is an SQL function that the shell adds to SQLite's own.
type Function struct {
	Name string
	Args string // as help shows them, without the parentheses
	Doc  string // one sentence
}

type (
	scalar     func(args []driver.Value) (driver.Value, error)
	makeStates func() sqlite.AggregateFunction
)

// functions declares each function once; registration, help and completion
// follow. All are registered as deterministic, also those that read the clock:
// SQLite then works out f(constant) once per statement, which is what a
// question about one moment wants, and can push ts = f(constant) down into the
// parts of a view.
var functions = []struct {
	Function
	least, most int // arguments
	scalar      scalar
	aggregate   makeStates
}{
	{Function{"ago", "span", `the time that long ago, in unix seconds: ago('1h30m')`}, 1, 1, sqlAgo, nil},
	{Function{"at", "[words]", `the ts of the last sample at or before a time: at('03:14'); a second is meant to its end; at() is the moment that .at set, or else the newest`}, 0, 1, nil, nil},
	{Function{"bar", "x, most, cells", `x as a bar, full at most, of 20 cells or as many as said: bar(rx_bytes_per_s, 125e6)`}, 2, 3, sqlBar, nil},
	{Function{"bytes", "n", `a number of bytes as people read it: '1.2 MiB'`}, 1, 1, sqlBytes, nil},
	{Function{"community_id", "proto, saddr, sport, daddr, dport", `the Community ID of a connection, as Zeek and Suricata write it (version 1, seed 0), the same from both ends: community_id('tcp', local_addr, local_port, remote_addr, remote_port)`}, 5, 5, sqlCommunityID, nil},
	{Function{"duration", "seconds", `a number of seconds as people read it: '2d 3h'`}, 1, 1, sqlDuration, nil},
	{Function{"in_net", "addr, nets", `whether an address lies in a network: 'private', '10.0.0.0/8' or several with commas`}, 2, 2, sqlInNet, nil},
	{Function{"localtime", "ts", `unix seconds as local time: '2026-11-23 03:14:05'`}, 1, 1, sqlLocalTime, nil},
	{Function{"median", "x", `the middle value of a group`}, 1, 1, nil, func() sqlite.AggregateFunction { return &percentile{p: 50} }},
	{Function{"percentile", "x, p", `the value that p percent of a group do not exceed, between two values in proportion`}, 2, 2, nil,
		func() sqlite.AggregateFunction { return &percentile{name: "percentile"} }},
	{Function{"regexp", "pattern, text", `whether text matches, also written text REGEXP pattern (Go's syntax, (?i) ignores case)`}, 2, 2, sqlRegexp, nil},
	{Function{"service", "port, proto", `the well-known service of a port, for tcp or else udp if proto is left out`}, 1, 2, sqlService, nil},
	{Function{"since", "ts", `how long ago a time was: '3h12m'`}, 1, 1, sqlSince, nil},
	{Function{"spark", "x", `the values of a group as a line of bars, in the order of the rows: ▁▂▅█`}, 1, 1, nil, func() sqlite.AggregateFunction { return &spark{} }},
	{Function{"ts", "words", `unix seconds of any words for a time: ts('yesterday 14:00')`}, 1, 1, sqlTS, nil},
}

// Functions lists the shell's functions by name.
func Functions() []Function {
	var list []Function
	for _, f := range functions {
		list = append(list, f.Function)
	}
	slices.SortFunc(list, func(a, b Function) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// newDriver is an SQLite with the functions.
func newDriver() *sqlite.Driver {
	d := &sqlite.Driver{}
	for _, f := range functions {
		if f.scalar == nil && f.aggregate == nil {
			continue // at: it needs a recording, see Open
		}
		count := int32(f.most)
		if f.least != f.most {
			count = -1
		}
		impl := &sqlite.FunctionImpl{NArgs: count, Deterministic: true}
		if f.aggregate != nil {
			impl.MakeAggregate = func(sqlite.FunctionContext) (sqlite.AggregateFunction, error) { return f.aggregate(), nil }
		} else {
			impl.Scalar = func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
				if len(args) < f.least || len(args) > f.most {
					return nil, fmt.Errorf("wrong number of arguments: it is %s(%s)", f.Name, f.Args)
				}
				if args[0] == nil { // nothing is known of what is unknown
					return nil, nil
				}
				v, err := f.scalar(args)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", f.Name, err)
				}
				return v, nil
			}
		}
		d.MustRegisterFunction(f.Name, impl)
	}
	return d
}

// number reads a number, also from text that is one and nothing else.
func number(v driver.Value) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f, err == nil && !math.IsNaN(f)
	}
	return 0, false
}

func sqlAgo(args []driver.Value) (driver.Value, error) {
	seconds, ok := args[0].(float64)
	if n, isInt := args[0].(int64); isInt {
		seconds, ok = float64(n), true
	}
	if !ok {
		words := strings.TrimSpace(plain(args[0]))
		d, err := ParseDuration(strings.TrimPrefix(strings.TrimSuffix(words, " ago"), "-"))
		if err != nil {
			return nil, err
		}
		seconds = d.Seconds()
	}
	return unixSeconds(time.Now()) - seconds, nil
}

func sqlTS(args []driver.Value) (driver.Value, error) {
	switch v := args[0].(type) {
	case int64, float64:
		return v, nil
	}
	t, err := ParseTime(plain(args[0]), time.Now())
	if err != nil {
		return nil, err
	}
	return unixSeconds(t), nil
}

// unixSeconds is a time as a recording stores it: microseconds kept.
func unixSeconds(t time.Time) float64 {
	return float64(t.UnixMicro()) / 1e6
}

func sqlLocalTime(args []driver.Value) (driver.Value, error) {
	seconds, ok := number(args[0])
	if !ok || seconds < -1e11 || seconds > 1e11 {
		return nil, nil
	}
	return localTime(unixTime(seconds).Local()), nil
}

func sqlSince(args []driver.Value) (driver.Value, error) {
	seconds, ok := number(args[0])
	if !ok {
		return nil, nil
	}
	return spanText(unixSeconds(time.Now())-seconds, ""), nil
}

func sqlDuration(args []driver.Value) (driver.Value, error) {
	seconds, ok := number(args[0])
	if !ok {
		return nil, nil
	}
	return spanText(seconds, " "), nil
}

func sqlBytes(args []driver.Value) (driver.Value, error) {
	n, ok := number(args[0])
	if !ok {
		return nil, nil
	}
	return bytesText(n), nil
}

func sqlInNet(args []driver.Value) (driver.Value, error) {
	if args[1] == nil {
		return nil, nil
	}
	nets, err := netSets.get(plain(args[1]))
	if err != nil {
		return nil, err
	}
	in, ok := nets.contains(plain(args[0]))
	if !ok { // a unix socket's path is in no network and outside of none
		return nil, nil
	}
	return in, nil
}

func sqlService(args []driver.Value) (driver.Value, error) {
	port, ok := number(args[0])
	if !ok || len(args) == 2 && args[1] == nil {
		return nil, nil
	}
	proto := ""
	if len(args) == 2 {
		proto = plain(args[1])
	}
	if name := serviceName(port, proto); name != "" {
		return name, nil
	}
	return nil, nil
}

func sqlRegexp(args []driver.Value) (driver.Value, error) {
	if args[1] == nil {
		return nil, nil
	}
	re, err := patterns.get(plain(args[0]))
	if err != nil {
		return nil, err
	}
	return re.MatchString(plain(args[1])), nil
}

// percentile gathers the numbers of a group or window; NULL and text are left
// out, as by avg. It answers like the percentile extension of SQLite's shell.
type percentile struct {
	name   string // "" for median, which has its p
	p      float64
	set    bool
	values []float64 // oldest first: a window gives them up in that order
}

func (a *percentile) Step(_ *sqlite.FunctionContext, args []driver.Value) error {
	if a.name != "" && !a.set {
		p, ok := number(args[1])
		switch {
		case !ok || p < 0 || p > 100:
			return errors.New("percentile: p goes from 0 to 100, such as percentile(rtt_ms, 95)")
		case p > 0 && p < 1:
			// Surely a slip: it would give almost the smallest value, and silently.
			return fmt.Errorf("percentile: p goes from 0 to 100; write %s for %s", roundedFloat(p*100), exactFloat(p))
		}
		a.p, a.set = p, true
	}
	if isNumber(args[0]) {
		x, _ := number(args[0])
		a.values = append(a.values, x)
	}
	return holdsNumbers(len(a.values))
}

func (a *percentile) WindowInverse(_ *sqlite.FunctionContext, args []driver.Value) error {
	if isNumber(args[0]) && len(a.values) > 0 {
		a.values = a.values[1:]
	}
	return nil
}

func (a *percentile) WindowValue(*sqlite.FunctionContext) (driver.Value, error) {
	if len(a.values) == 0 {
		return nil, nil
	}
	sorted := slices.Sorted(slices.Values(a.values))
	at := a.p / 100 * float64(len(sorted)-1)
	i := int(at)
	x := sorted[i]
	if i+1 < len(sorted) {
		x += (sorted[i+1] - x) * (at - float64(i))
	}
	return x, nil
}

func (a *percentile) Final(*sqlite.FunctionContext) {}
