package tools

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// ssParse reads an expression where there is one interface, eth0.
func ssParse(words ...string) (condition, error) {
	p := &ssParser{tokens: ssTokens(words), kinds: ssAll}
	p.device = func(name string) (int64, bool) { return 7, name == "eth0" }
	p.hosts = func(name string) []netip.Addr {
		if name == "home" {
			return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")}
		}
		return nil
	}
	return p.parse()
}

func TestSsConditions(t *testing.T) {
	four := ssSocket{family: ssFamily4, local: bytesOf("10.0.0.1", false), remote: bytesOf("10.9.0.2", false), lport: 443, rport: 40000, ifindex: 7, mark: 0x11, cgroup: "/a b/c"}
	six := ssSocket{family: ssFamily6, local: bytesOf("fd00::1", true), remote: bytesOf("fd00::2", true), lport: 443, rport: 40000, cgroup: "/"}
	for _, c := range []struct {
		words     string
		four, six bool
	}{
		{"src home", true, true}, {"src home:443", true, true}, {"src home:80", false, false}, {"cgroup /sys/fs/cgroup/a\\ b/c", true, false}, {"cgroup != /a\\ b/c/", false, true}, {"cgroup = /sys/fs/cgroup/unified/", false, true},
		{"fwmark 0x1/0x1", true, false}, {"fwmark = 17", true, false}, {"fwmark != 17", false, true}, {"dev eth0", true, false}, {"dev = 7", true, false}, {"sport = :443 and not dev 7", false, true},
		{"dport 40000 or dport 1 and src 10.0.0.0/8", true, false}, {"( dport 40000 ) or ( dport 1 and src 10.0.0.0/8 )", true, true}, {"src [fd00::1]:443", false, true},
	} {
		cond, err := ssParse(c.words)
		if err != nil {
			t.Errorf("%s: %v", c.words, err)
			continue
		}
		if cond.matches(&four, false) != c.four || cond.matches(&six, false) != c.six {
			t.Errorf("%s: %t of the IPv4 socket, %t of the IPv6 one", c.words, !c.four, !c.six)
		}
	}
}

func TestSsPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		is            bool
	}{
		{"", "", true}, {"*", "/run/x", true}, {"/run/*", "/run/a/b", true}, {"/run/?", "/run/", false}, {"[a-c]x", "bx", true}, {"[!a-c]x", "bx", false}, {"[^a-c]x", "dx", true}, {"[]x", "[]x", true}, {"\\*", "*", true}, {"\\*", "x", false},
		{"*a*b*", "xxaxxbxx", true}, {"*a*b", "xxaxxbx", false}, {"[", "[", true}, {"a", "ab", false}, {"[]]x", "]x", true}, {"*ab", "aab", true}, {"a*", "", false},
		{strings.Repeat("*a", 40) + "b", strings.Repeat("a", 100), false},
	} {
		if likeFile(c.pattern, c.name) != c.is {
			t.Errorf("%q of %q: %t", c.name, c.pattern, !c.is)
		}
	}
}

func TestSsTimes(t *testing.T) {
	for ms, want := range map[int64]string{0: "", 7: "007ms", 200: "200ms", 3400: "3.400ms", 3000: "3sec", 12345: "12sec", 60_000: "1min", 119_500: "1min59sec", 7_140_999: "119min"} {
		if got := untilTimer(ms); got != want {
			t.Errorf("%d ms: %q, not %q", ms, got, want)
		}
	}
}

func TestSsOptions(t *testing.T) {
	got := fmt.Sprint(ssRewrite(strings.Fields("-tanr -N blue -Nred -A tcp,udp -finet --net=x state all -4")))
	if want := "[-t -a -n --resolve --netns blue --netns=red -A tcp,udp -finet --netns=x state all -4]"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	for _, line := range []string{"-tT", "-tK", "--inet-sockopt", "-b", "-ZA", "--kill", "-F x", "-D -", "-V"} {
		_, err := ss().Command().Parse(strings.Fields(line))
		if unknown := (*UnknownOptionError)(nil); !errors.As(err, &unknown) || unknown.Instead == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// -E prints a stretch of time as one, which has no moment and no speed.
func TestSsEventsStretch(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.Local)
	for line, want := range map[string]string{
		"-E": "01-01 00:00 01-01 00:00", "-Etn --from 03:14": "11-28 03:14 01-01 00:00", "--events --from 03:14 --to 04:00": "11-28 03:14 11-28 04:00", "-E --to 04:00": "01-01 00:00 11-28 04:00",
		"-E --at 03:14": "leave out --at", "-E --live": "leave out --at and --live", "-E --from 03:14 --speed 2x": "--speed", "-E --from 04:00 --to 03:00": "--to 03:00 is before", "-t --to 04:00": "belong to --from",
	} {
		c := ss().Command()
		if _, err := c.Parse(strings.Fields(line)); err != nil {
			t.Fatal(err)
		}
		s, err := c.Stretch(now)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = s.From.Format("01-02 15:04") + " " + s.To.Format("01-02 15:04")
		}
		if !strings.Contains(got, want) || c.Whole() != (strings.HasPrefix(line, "-E") || strings.HasPrefix(line, "--events")) {
			t.Errorf("ss %s: %s, not %s", line, got, want)
		}
	}
}

// A text that is longer than its memory is shown in parts, of which each has the widths of what came until then.
func TestSsTableOfManyLines(t *testing.T) {
	var out bytes.Buffer
	table := &ssTable{w: &out}
	table.disabled[ssNetidField] = true
	lines := 0
	for ; out.Len() == 0; lines++ {
		table.at(ssNetidField)
		table.at(ssStateField).text("ESTAB")
		table.at(ssLocalField).text(strings.Repeat("a", 1+lines%3))
		table.at(ssExtraField).text(strings.Repeat("x", 10_001))
	}
	if most := 4 << 20; lines < most/11_000 || lines > most/9_000 {
		t.Errorf("the first part after %d lines", lines)
	}
	table.at(ssNetidField)
	table.at(ssStateField).text("FIN-WAIT-2")
	table.at(ssLocalField).text("wider than before")
	table.at(ssExtraField)
	if err := table.show(); err != nil {
		t.Fatal(err)
	}
	all := strings.Split(out.String(), "\n")
	for i, want := range map[int]string{0: "ESTAB     a xxx", 1: "ESTAB    aa xxx", len(all) - 2: "FIN-WAIT-2   wider than before "} {
		if !strings.HasPrefix(all[i], want) {
			t.Errorf("line %d: %.60q", i, all[i])
		}
	}
}

func FuzzSsExpression(f *testing.F) {
	for _, words := range append([]string{
		"dst 10.0.0.0/8", "( sport = :ssh or dport = :ssh )", "not ! src [::1]:8443", "dev != eth0 and fwmark = 0x1/0xff", "cgroup /x\\ y", "src unix:*[a-z]?", "src link:ip:eth0", "dst netlink:rtnl:kernel", "src vsock:3:22",
		"sport gt :1024 dport le 5", "src home:80", "dst 1.2.3.4.5", "src 10.0.0.0/255.255.0.0", strings.Repeat("( ", 300), strings.Repeat("! ", 300) + "src *", "src unix:[", "src unix:[]", "src unix:\\", "src *:*", "src [", "dst /", "dst :", "src inet6:/",
	}, "autobound", "state all") {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, words string) {
		c, err := ssParse(words)
		if err != nil {
			if unknown := (*UnknownOptionError)(nil); !errors.As(err, new(*UsageError)) && !errors.As(err, &unknown) {
				t.Fatalf("%q: %v is no usage", words, err)
			}
			return
		}
		if len(ssTokens([]string{words})) == 0 {
			t.Fatalf("%q is an expression", words)
		}
		for _, s := range []*ssSocket{
			{family: ssFamily4, local: bytesOf("10.0.0.1", false)}, {family: ssFamily6, local: bytesOf("10.0.0.1", true)}, {family: ssFamilyUnix, name: "@x"}, {family: ssFamilyPacket, lport: 2}, {},
		} {
			for _, kernel := range []bool{false, true} {
				if c.matches(s, kernel) == (notCondition{c}).matches(s, kernel) {
					t.Fatalf("%q and its contrary agree on %v", words, s)
				}
			}
		}
	})
}
