package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/pflag"
)

func nstat() Tool {
	return Tool{
		Name: "nstat", Args: "[-a] [-z] [-j] [PATTERN …]", Like: "iproute2 6.1",
		Doc:      "counters, as nstat prints them; without -a what they grew by since a sample",
		Examples: []string{"netsql nstat -az 'Tcp*' --at 03:14", "netsql nstat --since 02:00", "netsql nstat -a --json"},
		define: func(f *pflag.FlagSet) printer {
			var o nstatOptions
			f.BoolVarP(&o.absolute, "ignore", "a", false, "the counts since boot, not what they grew by")
			f.BoolVarP(&o.zeros, "zeros", "z", false, "those that are 0 as well")
			f.BoolVarP(new(bool), "noupdate", "s", false, "write no history file, which this never does")
			f.BoolVarP(&o.json, "json", "j", false, "as JSON")
			f.BoolVarP(&o.pretty, "pretty", "p", false, "with -j: indented")
			f.StringVar(&o.since, "since", "", "what they grew by since that `TIME`, not since the sample before; - where that is not known")
			return o.print
		},
		instead: map[string]string{
			"-d": "netsql record is what samples", "--scan": "netsql record is what samples",
			"-t": "--since says from when, and SELECT * FROM protocol_rates has the rates", "--interval": "--since says from when, and SELECT * FROM protocol_rates has the rates",
			"-n": "a recording has no history file", "--nooutput": "a recording has no history file",
			"-r": "a recording has no history file; --since says from when", "--reset": "a recording has no history file; --since says from when",
			"-V": "netsql version", "--version": "netsql version",
		},
	}
}

type nstatOptions struct {
	absolute, zeros, json, pretty bool
	since                         string
}

// unlisted are the settings that nstat leaves out, and the one number that goes up and down.
var unlisted = map[string]bool{
	"IpForwarding": true, "IpDefaultTTL": true, "TcpRtoAlgorithm": true, "TcpRtoMin": true, "TcpRtoMax": true, "TcpMaxConn": true, "TcpCurrEstab": true,
}

func (o *nstatOptions) print(ctx context.Context, m *Moment, words []string, w io.Writer) error {
	for i, word := range words {
		words[i] = strings.ReplaceAll(strings.ToLower(word), "[!", "[^")
		if _, err := path.Match(words[i], ""); err != nil {
			return usagef("no pattern %s: * stands for any letters, ? for one, [a-f] for one of some", word)
		}
	}
	rows, seconds, err := o.rows(ctx, m)
	if err != nil {
		return err
	}
	kernel := nstatObject{}
	if !o.json {
		fmt.Fprintln(w, "#kernel")
	}
	for _, file := range []string{"snmp", "snmp6", "netstat"} {
		for i := range rows {
			c := &rows[i]
			name := c.Proto + c.Name
			if c.File != file || unlisted[name] || !matchesAny(words, name) || !o.zeros && c.Value.Valid && c.Value.V == 0 {
				continue
			}
			if o.json {
				kernel = append(kernel, c)
				continue
			}
			fmt.Fprintf(w, "%-32s%-16s%6s\n", name, c.text(), nstatRate(c, seconds))
		}
	}
	if !o.json {
		return nil
	}
	encode := json.NewEncoder(w)
	if o.pretty {
		encode.SetIndent("", "    ")
	}
	return encode.Encode(map[string]nstatObject{"kernel": kernel})
}

// rows are the counters that are printed. The seconds are those in which they grew; 0 of absolute numbers.
func (o *nstatOptions) rows(ctx context.Context, m *Moment) (rows []countedRow, seconds float64, err error) {
	if o.absolute {
		if o.since != "" {
			return nil, 0, usagef("nstat -a prints the counts since boot: leave out -a, or --since")
		}
		rows, err = counted(ctx, m)
		return rows, 0, err
	}
	var since float64
	if o.since != "" {
		since, err = sampleAt(ctx, m, o.since)
	} else {
		err = m.row(ctx, "SELECT coalesce(max(ts), -1) FROM samples WHERE ts < at()", &since)
		if err == nil && since < 0 {
			err = usagef("this is the first sample: what the counters grew by is not known; netsql nstat -a prints the counts since boot")
		}
	}
	if err != nil {
		return nil, 0, err
	}
	rows, err = grown(ctx, m, since)
	return rows, float64(m.Time.UnixMicro())/1e6 - since, err
}

// nstatRate is the growth per second. Of an absolute number nstat prints 0.0 as well, unless it runs as a daemon.
func nstatRate(c *countedRow, seconds float64) string {
	switch {
	case seconds <= 0:
		return "0.0"
	case !c.Value.Valid:
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(c.Value.V)/seconds)
}

// matchesAny tells whether a name matches one of the patterns, which are in small letters; of none, all do.
func matchesAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, _ := path.Match(pattern, strings.ToLower(name)); ok {
			return true
		}
	}
	return len(patterns) == 0
}

// An nstatObject keeps the order of the counters in JSON. What is not known is null.
type nstatObject []*countedRow

func (all nstatObject) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, c := range all {
		if i > 0 {
			text = append(text, ',')
		}
		name, err := json.Marshal(c.Proto + c.Name)
		if err != nil {
			return nil, err
		}
		text = append(append(text, name...), ':')
		if c.Value.Valid {
			text = fmt.Appendf(text, "%d", c.Value.V)
		} else {
			text = append(text, "null"...)
		}
	}
	return append(text, '}'), nil
}
