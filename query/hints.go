package query

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"netsql/store"
)

// hints say what is about to disappoint in a statement that SQLite takes: a time as text where ts is a number, a
// state as ss spells it, a table of the recording's inside. SQLite answers each with no rows or with wrong ones,
// and a tired reader concludes that nothing was there.
func hints(statement string, own func() []string) []string {
	var all []token
	for _, t := range tokens(statement) {
		if !t.blank() {
			all = append(all, t)
		}
	}
	text := func(i int) string {
		if i < 0 || i >= len(all) {
			return ""
		}
		return statement[all[i].start:all[i].end]
	}
	var found []string
	add := func(hint string) {
		if !slices.Contains(found, hint) {
			found = append(found, hint)
		}
	}
	for i, t := range all {
		column := strings.ToLower(text(i))
		if t.kind != tokenWord {
			continue
		}
		// The operator, of one or two marks or a word, and the literal behind it.
		at := i + 1
		for at < len(all) && all[at].kind == tokenMark && strings.Contains("=<>!", text(at)) {
			at++
		}
		if word := strings.ToUpper(text(at)); at == i+1 && (word == "IS" || word == "BETWEEN") {
			at++
		} else if at == i+1 {
			continue
		}
		if at >= len(all) || all[at].kind != tokenString || !timeColumns()[column] && values[column] == nil && column != "dst" {
			continue
		}
		literal := strings.Trim(text(at), "'")
		if timeColumns()[column] {
			call := "ts"
			if column == "ts" && text(i+1) == "=" {
				call = "at"
			}
			add(fmt.Sprintf("%s is a number of seconds, and '%s' is a text, so they never meet: write %s %s('%s')",
				column, literal, joined(statement, all[i].start, all[at].start), call, literal))
			continue
		}
		if column == "dst" {
			if strings.EqualFold(literal, "default") {
				add("the default route is dst = '0.0.0.0/0', and '::/0' of IPv6")
			}
			continue
		}
		if known := values[column]; !slices.Contains(known, literal) {
			if s, ok := meantValue(literal, known); ok {
				add(fmt.Sprintf("no %s is '%s'; did you mean '%s'?", column, literal, s))
			}
		}
	}
	for _, ref := range tablesIn(statement, len(statement)).refs {
		if name, ok := insides()[strings.ToLower(ref.table)]; ok && !slices.Contains(own(), ref.table) {
			add(fmt.Sprintf("%s is one of the recording's own tables, from which the views are made; did you mean %q?", ref.table, name))
		}
	}
	return found
}

func joined(statement string, from, to int) string { return strings.TrimSpace(statement[from:to]) }

// values are the words that some columns hold.
var values = map[string][]string{
	"state": {
		"LISTEN", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK", "CLOSING",
		"REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "INCOMPLETE", "PERMANENT", "NOARP",
	},
	"proto": {
		"tcp", "udp", "raw", "udplite", "packet", "unix", "netlink", "vsock", "xdp", "mptcp", "sctp", "ping", // of sockets; the others are groups of protocol_counters
		"Ip", "Icmp", "IcmpMsg", "Tcp", "Udp", "UdpLite", "TcpExt", "IpExt", "MPTcpExt", "Ip6", "Icmp6", "Udp6", "UdpLite6",
		"sockets", "TCP", "UDP", "UDPLITE", "RAW", "FRAG", "TCP6", "UDP6", "UDPLITE6", "RAW6", "FRAG6",
	},
	"object": {"socket", "listener", "process", "interface", "qdisc", "address", "multicast", "route", "path", "rule", "firewall", "nexthop", "neighbor", "setting", "module", "gap", "note"},
	"event": {
		"opened", "state", "closed", "up", "down", "seen", "exec", "gone", "added", "changed", "removed", "began", "ended", "written",
	},
	"operstate": {"UP", "DOWN", "UNKNOWN", "DORMANT", "TESTING", "LOWERLAYERDOWN", "NOTPRESENT"},
}

// meantValue finds the word that a column does hold: in other letters, or as another tool spells it.
func meantValue(literal string, known []string) (string, bool) {
	plain := func(s string) string {
		return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToUpper(s))
	}
	for _, k := range known {
		if plain(k) == plain(literal) {
			return k, true
		}
	}
	other := map[string]string{"ESTAB": "ESTABLISHED", "LISTENING": "LISTEN", "UNCONN": "CLOSE", "CLOSED": "CLOSE", "SYNRECEIVED": "SYN_RECV",
		"LINK": "interface", "NIC": "interface", "NEIGHBOUR": "neighbor", "ARP": "neighbor", "SYSCTL": "setting", "CONNECTION": "socket", "PROC": "process",
		"OPEN": "opened", "CLOSE": "closed", "ADD": "added", "CHANGE": "changed", "REMOVE": "removed", "DELETED": "removed", "STARTED": "seen", "EXITED": "gone"}
	if k, ok := other[plain(literal)]; ok && slices.Contains(known, k) {
		return k, true
	}
	return "", false
}

// outsideWindow says when a statement asks a view that looks at the window about a moment outside of it, where it
// has nothing to show.
func outsideWindow(view, statement string, since, until, now time.Time) string {
	var all []token
	for _, t := range tokens(statement) {
		if !t.blank() {
			all = append(all, t)
		}
	}
	for k := 0; k+2 < len(all); k++ {
		text := func(i int) string { return statement[all[k+i].start:all[k+i].end] }
		if text(1) != "(" || all[k+2].kind != tokenString {
			continue
		}
		var moment time.Time
		var err error
		switch words := strings.Trim(text(2), "'"); strings.ToLower(text(0)) {
		case "at", "ts":
			moment, err = ParseTime(words, now)
		case "ago":
			var span time.Duration
			span, err = ParseDuration(words)
			moment = now.Add(-span)
		default:
			continue
		}
		// The window ends with the newest sample, which may be a moment old.
		if err != nil || !moment.Before(since) && (!moment.After(until) || now.Sub(until) < time.Minute) {
			continue
		}
		return fmt.Sprintf("%s looks at the window only, %s to %s, and %s lies outside: .since and .until (--since, --until) move it, .around %s looks there",
			view, localTime(since), localTime(until), localTime(moment), localTime(moment.Truncate(time.Second)))
	}
	return ""
}

// insides maps the tables behind the views to the view that was probably meant.
func insides() map[string]string {
	names := map[string]string{"sample": "samples", "boot": "boots", "run": "runs", "gap": "gaps"}
	for _, t := range store.Tables() {
		for _, suffix := range []string{"", "_span", "_open", "_tuple"} {
			names[t.Subject+suffix] = t.Name
		}
	}
	return names
}
