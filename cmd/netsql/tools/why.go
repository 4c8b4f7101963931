package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"

	"netsql/query"
)

// why is ip route get in words: which way a packet would have gone, by which rule and route, what was passed over, and what made it so.
func why() Tool {
	return Tool{
		Name: "why", Args: "ADDRESS [from ADDRESS] [iif DEV] [oif DEV] [mark N] …",
		Doc: "say which way a packet would have gone, and what changed that",
		Examples: []string{
			"netsql why 10.1.2.3 --at 03:14",
			"netsql why fd00::7 from fd00::5 --at 03:14 --since 'yesterday 20:00'",
		},
		instead: map[string]string{"-j": "netsql ip -j route get ADDRESS prints the answer as JSON"},
		define: func(f *pflag.FlagSet) printer {
			since := f.String("since", "", "look back for what changed it to this `TIME`; a day when not given")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				if len(words) == 0 {
					return usagef("why what? An address, such as netsql why 10.1.2.3 --at 03:14")
				}
				return printWhy(ctx, m, *since, words, w)
			}
		},
	}
}

// A way is what was found for a packet at a moment.
type way struct {
	fib    *fib
	flow   flow
	got    []answer
	failed fibError
	// unknown is why the recording does not tell; then the rest is not set.
	unknown string
}

// wayOf follows a packet at a moment.
func wayOf(ctx context.Context, m *Moment, f flow) (*way, error) {
	w := &way{flow: f}
	o := &ipOut{ctx: ctx, m: m, newline: " "}
	var err error
	if w.fib, err = o.readFIB(f); err == nil {
		if err = w.fib.knows(f); err == nil {
			w.got, w.failed, err = w.fib.get(f)
		}
	}
	var wrong *UsageError
	var unknown *UnknownOptionError
	if errors.As(err, &wrong) || errors.As(err, &unknown) {
		w.unknown, err = err.Error(), nil
	}
	return w, err
}

// errorWords are what the errors of a look-up mean.
var errorWords = map[fibError]string{
	errUnreachable: "there was no route to it",
	errNoRoute:     "it was not forwarded, or a route says that it is unreachable",
	errProhibited:  "a route or a rule prohibits it",
	errInvalid:     "no such packet may be sent or received, or a blackhole drops it",
	errCrossDevice: "it would have been dropped as it came in: the way back to its source leaves by another interface (rp_filter)",
}

// words say which way it is. They are the same where the way is the same.
func (w *way) words() string {
	switch {
	case w.unknown != "":
		return "not known: " + w.unknown
	case w.failed != "" && !w.fib.looked:
		return fmt.Sprintf("nowhere: %s (%s)", w.refused(), w.failed)
	case w.failed != "":
		return fmt.Sprintf("nowhere: %s (%s)", errorWords[w.failed], w.failed)
	}
	var all []string
	for i := range w.got {
		all = append(all, w.got[i].words())
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > 1 {
		return fmt.Sprintf("one of %d ways, which the kernel chooses by a hash: %s", len(all), strings.Join(all, "; "))
	}
	return all[0]
}

// refused is why the kernel does not look for a route.
func (w *way) refused() string {
	switch l := w.fib.link(w.flow.oif); {
	case l != nil && !l.has("UP"):
		return l.Name + " was down"
	case w.failed == errUnreachable && w.flow.src.IsValid():
		return w.flow.src.String() + " was no address of this machine"
	}
	return "there is no such packet"
}

func (a *answer) words() string {
	var text string
	switch a.kind {
	case "local":
		return "to this machine itself: it is one of its addresses"
	case "broadcast", "multicast", "anycast":
		text = "as " + a.kind
	case "blackhole", "unreachable", "prohibit":
		return "nowhere: a route of the type " + a.kind + " ends there"
	default:
		text = "without a gateway"
		if a.hop.Gateway != "" {
			text = "by the gateway " + a.hop.Gateway
		}
	}
	text += " on " + a.hop.Dev
	if a.src != "" {
		text += ", from " + a.src
	}
	return text
}

// tried are the rules that were tried. Where they are those that the kernel begins with, it does not follow them one by one.
func (w *way) tried() (all []triedRule) {
	if w.fib.tried != nil || !w.fib.looked {
		return w.fib.tried
	}
	for i := range w.fib.rules {
		r := &w.fib.rules[i]
		routes := w.fib.towards(w.flow.dst, r.TableID.Int64)
		if slices.ContainsFunc(routes, w.taken) || w.failed != "" && slices.ContainsFunc(routes, (*fibEntry).ends) {
			return append(all, triedRule{r, hasRoute})
		}
		all = append(all, triedRule{r, noRoute})
	}
	return all
}

// taken tells whether a route is one of the answer.
func (w *way) taken(e *fibEntry) bool {
	return slices.ContainsFunc(w.got, func(a answer) bool { return a.entry != nil && a.entry == e })
}

func printWhy(ctx context.Context, m *Moment, since string, words []string, out io.Writer) error {
	o := &ipOut{ctx: ctx, m: m, newline: " "}
	f, err := o.flowOf(words)
	var wrong *UsageError
	if errors.As(err, &wrong) {
		return usagef("%s", strings.ReplaceAll(wrong.text, "ip route get", "why"))
	}
	if err != nil {
		return err
	}
	from := m.Time.Add(-24 * time.Hour)
	if since != "" {
		if from, err = query.ParseTime(since, time.Now()); err != nil {
			return usagef("--since: %v", err)
		}
	}
	w, err := wayOf(ctx, m, f)
	if err != nil {
		return err
	}
	if w.unknown != "" {
		return usagef("%s", w.unknown)
	}
	fmt.Fprintf(out, "%s at %s went\n  %s\n", strings.Join(words, " "), m.Time.Local().Format("2006-01-02 15:04:05.000"), w.words())
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if err := w.explain(o, lines); err != nil {
		return err
	}
	if err := w.along(ctx, m, lines); err != nil {
		return err
	}
	if err := lines.Flush(); err != nil {
		return err
	}
	return w.history(ctx, m, from, out)
}

// mostOther is how many rules for other packets, and how many routes behind the one that is taken, are shown.
const (
	mostOtherRules  = 8
	mostOtherRoutes = 3
)

// explain lists the rules that were tried, with the routes to the address in their tables.
func (w *way) explain(o *ipOut, lines io.Writer) error {
	if !w.fib.looked {
		return nil // the answer does not depend on them
	}
	fmt.Fprint(lines, "\nRules and routes, in the order in which they are tried\n")
	others := 0
	for _, tried := range w.tried() {
		if tried.outcome == forOthers {
			if others++; others > mostOtherRules {
				continue
			}
		}
		fmt.Fprintf(lines, "  rule %s\t%s\n", o.line(func(o *ipOut) { o.rule(tried.rule, w.fib.links) }), tried.outcome)
		if tried.outcome == forOthers || tried.rule.Action != "lookup" {
			continue
		}
		w.routesOf(o, tried.rule.TableID.Int64, lines)
	}
	if others > mostOtherRules {
		fmt.Fprintf(lines, "  %d more rules\t%s\n", others-mostOtherRules, forOthers)
	}
	return nil
}

// routesOf lists the routes of a table that lead to the address: those that are passed over, those that are taken, and who would be next.
func (w *way) routesOf(o *ipOut, table int64, lines io.Writer) {
	routes := w.fib.towards(w.flow.dst, table)
	last := -1
	for i, e := range routes {
		if w.taken(e) {
			last = i
		}
	}
	behind := 0
	for i, e := range routes {
		note := w.fib.passedOver(e, w.flow)
		switch {
		case w.taken(e):
			note = "taken"
		case note != "":
		case last >= 0 && i > last && behind == 0:
			note = "would be next: " + after(routes[last], e)
		case last >= 0 && i > last:
			note = after(routes[last], e)
		case w.failed != "" && e.ends():
			note = "ends the search"
		default:
			note = "not taken"
		}
		if last >= 0 && i > last {
			if behind++; behind > mostOtherRoutes {
				fmt.Fprintf(lines, "       %d more\t\n", len(routes)-i)
				return
			}
		}
		fmt.Fprintf(lines, "       %s\t  %s\n", o.line(func(o *ipOut) { o.route(e, routeFilter{}, nil) }), note)
	}
}

// after says why a route comes after the one that is taken.
func after(taken, e *fibEntry) string {
	switch {
	case taken.dst.Bits() > e.dst.Bits():
		return "its prefix is shorter"
	case taken.Metric < e.Metric:
		return "its metric is higher"
	}
	return "it stands behind"
}

// towards are the routes of a table to an address, in the order in which they are tried.
func (t *fib) towards(dst netip.Addr, table int64) (routes []*fibEntry) {
	for i := range t.entries {
		if e := &t.entries[i]; e.TableID == table && e.dst.Contains(dst) {
			routes = append(routes, e)
		}
	}
	slices.SortStableFunc(routes, func(a, b *fibEntry) int {
		if t.family == 4 {
			return compare4(a, b)
		}
		return cmp.Or(compareNode6(a, b), cmp.Compare(a.Metric, b.Metric))
	})
	return routes
}

// ends tells whether a route ends the search in place of leading anywhere.
func (e *fibEntry) ends() bool { return typeErrors[e.Type] != "" && typeErrors[e.Type] != errAgain }

// passedOver is why the kernel passes a route over; "" where nothing is wrong with it.
func (t *fib) passedOver(e *fibEntry, f flow) string {
	switch {
	case e.TOS != 0 && e.TOS != f.tos:
		return fmt.Sprintf("passed over: it is for the TOS %#x", e.TOS)
	case e.has("expired") || e.Expires.Valid && e.Expires.Int64 < 0:
		return "passed over: it has expired"
	case e.src.IsValid() && e.src.Bits() > 0 && !(f.src.IsValid() && e.src.Contains(f.src)):
		return fmt.Sprintf("passed over: it is for packets from %s", e.src)
	}
	var reasons []string
	for _, h := range e.hops {
		switch l := t.link(h.Dev); {
		case h.has("dead") || l != nil && !l.has("UP"):
			reasons = append(reasons, h.Dev+" was down")
		case !f.input && f.oif != "" && h.Dev != f.oif:
			reasons = append(reasons, fmt.Sprintf("it leaves by %s, not by %s", h.Dev, f.oif))
		case t.family == 6 && h.Gateway != "" && t.failed(&h) && t.settings["net.ipv6.conf.all.forwarding"] == "0":
			reasons = append(reasons, "its router "+h.Gateway+" did not answer")
		default:
			return ""
		}
	}
	if len(reasons) == 0 {
		return ""
	}
	return "passed over: " + strings.Join(slices.Compact(reasons), ", ")
}

// along tells how the interfaces and the neighbours on the way were, and what was learnt of the path.
func (w *way) along(ctx context.Context, m *Moment, lines io.Writer) error {
	if w.failed != "" {
		return nil
	}
	read, err := here[struct {
		Source string `col:"source"`
	}](ctx, m, "sources", "AND source = 'neighbors' AND outcome IN ('read', 'kept')")
	if err != nil {
		return err
	}
	fmt.Fprint(lines, "\nOn the way\n")
	var said []string
	say := func(name, text string) {
		if !slices.Contains(said, name) {
			said = append(said, name)
			fmt.Fprintf(lines, "  %s\t%s\n", name, text)
		}
	}
	for _, a := range w.got {
		l := w.fib.link(a.hop.Dev)
		if l == nil {
			continue
		}
		say("interface "+l.Name, fmt.Sprintf("%s, state %s, mtu %d", l.Flags, l.Operstate, l.MTU.Int64))
		if a.kind != "unicast" || l.has("NOARP") || l.has("LOOPBACK") {
			continue
		}
		next := cmp.Or(a.hop.Gateway, a.dst)
		state := "no entry in the table of neighbours"
		if len(read) == 0 {
			state = "not known: neighbours were not read"
		}
		if n := w.fib.neighbor(l.Name, next); n != nil {
			state = strings.TrimSpace(n.MAC + " " + n.State)
		}
		say("neighbour "+next, state)
	}
	type exception struct {
		Gateway string `col:"gateway"`
		Dev     string `col:"dev"`
		MTU     int64  `col:"coalesce(mtu, 0)"`
		Left    int64  `col:"coalesce(CAST(expires - ts AS INT), -1)"`
	}
	learnt, err := here[exception](ctx, m, "route_exceptions", "AND dst = ?", w.flow.dst.String())
	if err != nil {
		return err
	}
	for _, e := range learnt {
		text, until := "", ""
		if e.MTU > 0 {
			text = fmt.Sprintf("mtu %d, as a router on the way told", e.MTU)
		} else {
			text = fmt.Sprintf("by the gateway %s on %s, as a redirect told", e.Gateway, e.Dev)
		}
		if e.Left >= 0 {
			until = fmt.Sprintf(", for %d s more", e.Left)
		}
		fmt.Fprintf(lines, "  path\t%s%s\n", text, until)
	}
	return nil
}

// line is what is printed by print, as one line.
func (o *ipOut) line(print func(*ipOut)) string {
	one := &ipOut{ctx: o.ctx, m: o.m, newline: " "}
	print(one)
	return strings.Join(strings.Fields(one.buf.String()), " ")
}
