package tools

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

func tc() Tool {
	return Tool{
		Name: "tc", Args: "[-s] qdisc [show] [dev IF]", Doc: "queueing disciplines, as tc prints them, but for their options", Like: "iproute2 6.1",
		Examples: []string{"netsql tc -s qdisc --at 03:14", "netsql tc -s qdisc show --live"},
		define: func(f *pflag.FlagSet) printer {
			var count int
			f.CountVarP(&count, "statistics", "s", "what each sent, dropped and holds back")
			f.CountP("details", "d", "more of the options, which are not recorded")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				q, err := parseQdiscWords(words)
				if err != nil {
					return err
				}
				q.statistics = count > 0
				return q.print(ctx, m, w)
			}
		},
		rewrite: tcWords,
		instead: map[string]string{
			"-j": "netsql --json -c \"SELECT * FROM qdiscs_now\" has the same", "--json": "netsql --json -c \"SELECT * FROM qdiscs_now\" has the same",
			"-o": "a line for each is SELECT * FROM qdiscs_now", "--oneline": "a line for each is SELECT * FROM qdiscs_now",
			"-b": "a recording changes nothing", "--batch": "a recording changes nothing", "-V": "netsql version", "--Version": "netsql version",
		},
	}
}

// tcWords makes of the long options of tc, which begin with one dash and may be cut short, those of pflag.
func tcWords(words []string) (flags []string) {
	for _, word := range words {
		flags = append(flags, tcWord(word))
	}
	return flags
}

func tcWord(word string) string {
	switch {
	case word == "-n":
		return "--netns"
	case !strings.HasPrefix(word, "-") || strings.HasPrefix(word, "--") || len(word) < 3:
		return word
	}
	name, value, has := strings.Cut(word[1:], "=")
	for _, option := range []string{"statistics", "stats", "details", "json", "oneline", "netns", "batch"} {
		if name != "" && strings.HasPrefix(option, name) {
			name = cmp.Or(map[string]string{"stats": "statistics"}[option], option)
			break
		}
	}
	if has {
		name += "=" + value
	}
	return "--" + name
}

// A qdiscQuestion is which qdiscs are asked for.
type qdiscQuestion struct {
	dev, parent, handle string
	statistics          bool
}

// parseQdiscWords reads qdisc show dev eth0 and its like, where each word may be cut short.
func parseQdiscWords(words []string) (q qdiscQuestion, err error) {
	short := func(word string, of ...string) bool {
		return slices.ContainsFunc(of, func(whole string) bool { return word != "" && strings.HasPrefix(whole, word) })
	}
	if len(words) == 0 {
		return q, usagef("tc of what: netsql tc -s qdisc shows the queueing disciplines")
	}
	switch object := words[0]; {
	case short(object, "qdisc"):
	case short(object, "class", "filter", "chain", "action", "actions"):
		return q, &UnknownOptionError{Tool: "tc", Option: object, Instead: "classes, filters and actions are not recorded; netsql tc -s qdisc has the queueing disciplines"}
	default:
		return q, &UnknownOptionError{Tool: "tc", Option: object, Instead: "netsql tc -s qdisc shows the queueing disciplines, and SELECT * FROM qdisc_changes when they changed"}
	}
	words = words[1:]
	if len(words) > 0 {
		switch verb := words[0]; {
		case short(verb, "show", "list", "lst") && !short(verb, "link"): // of which tc takes l and li for a change
			words = words[1:]
		case slices.Contains([]string{"dev", "root", "ingress", "clsact", "parent", "handle", "invisible"}, verb):
			return q, usagef("tc qdisc %s needs a show: netsql tc -s qdisc show %[1]s", strings.Join(words, " "))
		default:
			return q, &UnknownOptionError{Tool: "tc", Option: "qdisc " + verb, Instead: "a recording changes nothing; SELECT * FROM qdisc_changes has when they were changed"}
		}
	}
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		var into *string
		switch word {
		case "dev":
			into = &q.dev
		case "parent":
			into = &q.parent
		case "handle":
			into = &q.handle
		case "root":
			q.parent = "root"
			continue
		case "ingress", "clsact":
			q.parent = "ingress"
			continue
		case "invisible":
			continue // those that the kernel hides are not recorded
		default:
			return q, usagef("tc qdisc takes no %q: netsql tc -s qdisc show dev eth0 is what it takes", word)
		}
		if len(words) == 0 {
			return q, usagef("%s of what: netsql tc -s qdisc show %[1]s …", word)
		}
		*into, words = words[0], words[1:]
	}
	if q.handle != "" {
		q.handle = strings.ToLower(strings.TrimSuffix(q.handle, ":")) + ":"
	}
	return q, nil
}

type qdiscRow struct {
	Dev        string `col:"dev"`
	IfIndex    int64  `col:"ifindex"`
	Handle     string `col:"handle"`
	Parent     string `col:"parent"`
	Kind       string `col:"kind"`
	Bytes      int64  `col:"bytes_sent"`
	Packets    int64  `col:"packets_sent"`
	Dropped    int64  `col:"dropped"`
	Overlimits int64  `col:"overlimits"`
	Requeues   int64  `col:"requeues"`
	Backlog    int64  `col:"backlog_bytes"`
	QLen       int64  `col:"qlen"`
}

// unqueued are the interfaces without a queue. That it sent nothing is what the kernel tells of each noqueue.
type unqueued struct {
	Dev     string `col:"name"`
	IfIndex int64  `col:"ifindex"`
	Qdisc   string `col:"qdisc"`
}

func (q qdiscQuestion) print(ctx context.Context, m *Moment, w io.Writer) error {
	rows, err := here[qdiscRow](ctx, m, "qdiscs", "ORDER BY ifindex")
	if err != nil {
		return err
	}
	interfaces, err := here[unqueued](ctx, m, "interfaces", "")
	if err != nil {
		return err
	}
	known := q.dev == ""
	for _, i := range interfaces {
		known = known || i.Dev == q.dev
		if i.Qdisc == "noqueue" {
			rows = append(rows, qdiscRow{Dev: i.Dev, IfIndex: i.IfIndex, Kind: "noqueue", Handle: "-:", Parent: "root"})
		}
	}
	if !known {
		return noInterface(q.dev)
	}
	slices.SortStableFunc(rows, func(a, b qdiscRow) int {
		return cmp.Or(cmp.Compare(a.IfIndex, b.IfIndex), cmp.Compare(b2i(a.Parent != "root"), b2i(b.Parent != "root")))
	})
	for _, r := range rows {
		if q.dev != "" && r.Dev != q.dev || q.parent != "" && r.Parent != q.parent || q.handle != "" && r.Handle != q.handle {
			continue
		}
		q.line(r, w)
	}
	return nil
}

// line prints a qdisc without its options and without how many hold it, which are not recorded.
func (q qdiscQuestion) line(r qdiscRow, w io.Writer) {
	fmt.Fprintf(w, "qdisc %s %s ", r.Kind, r.Handle)
	if q.dev == "" {
		fmt.Fprintf(w, "dev %s ", r.Dev)
	}
	switch r.Parent {
	case "":
	case "root":
		fmt.Fprint(w, "root ")
	case "ingress":
		fmt.Fprint(w, "parent ffff:fff1 ")
	default:
		fmt.Fprintf(w, "parent %s ", r.Parent)
	}
	if r.Kind == "ingress" {
		fmt.Fprint(w, "---------------- ")
	}
	fmt.Fprintln(w)
	if q.statistics {
		fmt.Fprintf(w, " Sent %d bytes %d pkt (dropped %d, overlimits %d requeues %d) \n backlog %s %dp requeues %d\n",
			r.Bytes, r.Packets, r.Dropped, r.Overlimits, r.Requeues, tcSize(r.Backlog), r.QLen, r.Requeues)
	}
}

// tcSize is a number of bytes as tc writes it: in K and M where that is nearly whole.
func tcSize(n int64) string {
	const k, m = 1024.0, 1024.0 * 1024
	switch size := float64(n); {
	case size >= m && math.Abs(m*math.RoundToEven(size/m)-size) < 1024:
		return fmt.Sprintf("%gMb", math.RoundToEven(size/m))
	case size >= k && math.Abs(k*math.RoundToEven(size/k)-size) < 16:
		return fmt.Sprintf("%gKb", math.RoundToEven(size/k))
	}
	return fmt.Sprintf("%db", n)
}
