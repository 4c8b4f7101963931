package recorder

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// rulesOf writes the recorded rules as ip rule prints them.
func rulesOf(r *testRecording) []string {
	r.t.Helper()
	var lines []string
	for _, m := range r.rows("SELECT * FROM rules_now ORDER BY family, priority, nth") {
		line := fmt.Sprintf("%v %v:", m["family"], m["priority"])
		add := func(word string, v any) {
			if v != nil {
				line += fmt.Sprintf(" %s %v", word, v)
			}
		}
		if text(m["invert"]) == "1" {
			line += " not"
		}
		add("from", m["src"])
		add("to", m["dst"])
		add("tos", m["tos"])
		add("fwmark", m["fwmark"])
		add("iif", m["iif"])
		add("oif", m["oif"])
		add("uidrange", m["uid_range"])
		add("ipproto", m["ipproto"])
		add("sport", m["sport"])
		add("dport", m["dport"])
		if m["action"] == "lookup" {
			add("lookup", m["table_name"])
		} else {
			line += " " + text(m["action"])
		}
		add("", m["goto_priority"])
		add("proto", m["protocol"])
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

// ipRules writes the rules as ip knows them, in the same words.
func ipRules(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, family := range []int{4, 6} {
		for _, m := range ipJSON(t, fmt.Sprintf("-%d -d rule", family)) {
			line := fmt.Sprintf("%d %v:", family, m["priority"])
			if _, not := m["not"]; not {
				line += " not"
			}
			for _, end := range []struct{ word, addr, bits string }{{"from", "src", "srclen"}, {"to", "dst", "dstlen"}} {
				if addr := text(m[end.addr]); addr != "" && addr != "all" {
					if m[end.bits] != nil {
						addr += "/" + text(m[end.bits])
					}
					line += " " + end.word + " " + cidr(family, addr)
				}
			}
			if tos := text(m["tos"]); tos != "" {
				line += " tos 16" // the only one built; ip gives it a name
			}
			if mark := text(m["fwmark"]); mark != "" {
				line += " fwmark " + mark
				if mask := text(m["fwmask"]); mask != "" {
					line += "/" + mask
				}
			}
			for _, key := range []string{"iif", "oif"} {
				if m[key] != nil {
					line += fmt.Sprintf(" %s %v", key, m[key])
				}
			}
			if m["uid_start"] != nil {
				line += " uidrange " + ipRange(m["uid_start"], m["uid_end"])
			}
			if m["ipproto"] != nil {
				line += " ipproto 6" // the only one built
			}
			for _, key := range []string{"sport", "dport"} {
				switch {
				case m[key] != nil:
					line += fmt.Sprintf(" %s %v", key, m[key])
				case m[key+"_start"] != nil:
					line += " " + key + " " + ipRange(m[key+"_start"], m[key+"_end"])
				}
			}
			switch {
			case m["action"] != nil:
				line += " " + text(m["action"])
			case m["table"] != nil:
				line += " lookup " + text(m["table"])
			case slices.Contains(slices.Collect(maps.Keys(m)), "nop"):
				line += " nop"
			case m["goto"] != nil:
				line += " goto " + text(m["goto"])
			}
			if m["protocol"] != nil {
				line += " proto " + text(m["protocol"])
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func ipRange(from, to any) string {
	if text(from) == text(to) {
		return text(from)
	}
	return text(from) + "-" + text(to)
}

func TestRules(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	for _, line := range []string{
		"rule add from 10.1.0.0/24 to 10.2.0.0/16 lookup 100 proto static pref 500",
		"rule add fwmark 0x10/0xff iif d0 lookup 100000 proto static pref 500",
		"rule add not fwmark 1 table 100 proto static pref 600",
		"rule add ipproto tcp sport 1000-2000 dport 443 uidrange 0-0 lookup main proto static pref 700",
		"rule add oif d0 tos 0x10 prohibit proto static pref 800",
		"rule add from 10.1.0.1 blackhole proto static pref 810", "rule add to 10.1.0.2 unreachable proto static pref 820",
		"rule add goto 800 proto static pref 750", "rule add nop proto static pref 760",
		"-6 rule add from 2001:db8:1::1 blackhole proto static pref 900",
		"-6 rule add to 2001:db8::/32 iif lo lookup 200 proto static pref 901",
	} {
		ip(t, line)
	}
	r := newRecording(t)
	src := newRules(r.Writer, here(t))
	check := func(when string) {
		t.Helper()
		agree(t, r, src, when, func() []string { return ipRules(t) }, func() []string { return rulesOf(r) })
	}
	check("at first")
	want := []string{
		"4 0: lookup local proto kernel", "4 500: from 10.1.0.0/24 to 10.2.0.0/16 lookup 100 proto static",
		"4 500: fwmark 0x10/0xff iif d0 lookup 100000 proto static", "4 600: not fwmark 0x1 lookup 100 proto static",
		"4 700: uidrange 0 ipproto 6 sport 1000-2000 dport 443 lookup main proto static",
		"4 750: goto 800 proto static", "4 760: nop proto static", "4 800: tos 16 oif d0 prohibit proto static",
		"4 810: from 10.1.0.1/32 blackhole proto static", "4 820: to 10.1.0.2/32 unreachable proto static",
		"4 32766: lookup main proto kernel", "4 32767: lookup default proto kernel",
		"6 0: lookup local proto kernel", "6 900: from 2001:db8:1::1/128 blackhole proto static",
		"6 901: to 2001:db8::/32 iif lo lookup 200 proto static", "6 32766: lookup main proto kernel",
	}
	if diff := cmp.Diff(want, rulesOf(r)); diff != "" {
		t.Errorf("rules (-built +recorded):\n%s", diff)
	}
	ip(t, "rule del pref 600")
	ip(t, "rule add from 10.77.0.0/16 lookup 77 pref 601")
	check("changed")
	ip(t, "rule flush")
	ip(t, "-6 rule flush")
	check("flushed")
	if got := r.rows("SELECT count(*) AS n FROM rules WHERE priority = 600"); text(got[0]["n"]) != "1" {
		t.Errorf("the deleted rule stands in %v samples, want 1", got[0]["n"])
	}
}

func FuzzRule(f *testing.F) {
	header := []byte{unix.AF_INET, 0, 24, 0, 254, 0, 0, rtnl.RuleToTable, 0, 0, 0, 0}
	f.Add(kerneltest.Message(header, kerneltest.Attribute(rtnl.FraSrc, 10, 1, 2, 0), kerneltest.Attribute(rtnl.FraPriority, 1, 0, 0, 0), kerneltest.Attribute(rtnl.FraIIF, 'l', 'o', 0)))
	f.Add(kerneltest.Message(header, kerneltest.Attribute(rtnl.FraSPorts, 1, 0, 2, 0), kerneltest.Attribute(rtnl.FraUIDRange, 0, 0, 0, 0, 1, 0, 0, 0), kerneltest.Attribute(rtnl.FraFWMark, 1)))
	f.Fuzz(func(t *testing.T, msg []byte) {
		r, err := rtnl.ParseRule(msg)
		if err != nil {
			return
		}
		id, v := ruleRow(&r, store.Of(1))
		for _, network := range []string{v.Src, v.Dst} {
			if network == "" {
				continue
			}
			if _, err := netip.ParsePrefix(network); err != nil {
				t.Error(err)
			}
		}
		if v.Action == "" || id.Priority == (store.Int{}) {
			t.Errorf("%+v %+v", id, v)
		}
		for _, text := range []string{v.SPort, v.DPort, v.UIDRange} {
			if slices.ContainsFunc([]byte(text), func(c byte) bool { return c != '-' && (c < '0' || c > '9') }) {
				t.Errorf("range %q", text)
			}
		}
	})
}

// The rule that wg-quick makes: what the main table knows better than the default route.
func TestSuppressingRule(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t)
	kerneltest.Command(t, "ip", "rule", "add", "pref", "50", "table", "main", "suppress_prefixlength", "0")
	r := newRecording(t)
	r.sample(newRules(r.Writer, here(t)))
	got := r.rows("SELECT priority, suppress_prefix_len AS len FROM rules_now WHERE family = 4 AND priority < 100 ORDER BY priority")
	want := []map[string]any{{"priority": int64(0), "len": nil}, {"priority": int64(50), "len": int64(0)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}
