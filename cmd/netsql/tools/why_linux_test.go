package tools

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"netsql/query"
	"netsql/recorder"
	"netsql/recorder/kerneltest"
)

// A kernelWay is what the kernel answered at a moment, in our words.
type kernelWay struct {
	at    time.Time
	words string
}

var gotUnicast = regexp.MustCompile(`^\S+ (?:from :: )?(?:via (\S+) )?dev (\S+) .*?src (\S+)`)

// kernelWayOf asks the kernel of now.
func kernelWayOf(t *testing.T, words ...string) string {
	t.Helper()
	out, err := exec.Command("ip", append([]string{"route", "get"}, words...)...).CombinedOutput()
	text := string(out)
	switch {
	case strings.Contains(text, "Network is unreachable"):
		return "nowhere: there was no route to it"
	case strings.Contains(text, "No route to host"):
		return "nowhere: it was not forwarded"
	case strings.Contains(text, "Permission denied"):
		return "nowhere: a route or a rule prohibits it"
	case strings.Contains(text, "Invalid argument"):
		return "nowhere: no such packet"
	case err != nil:
		t.Fatalf("ip route get %q: %v: %s", words, err, text)
	case strings.HasPrefix(text, "local "):
		return "to this machine itself"
	}
	found := gotUnicast.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("ip route get %q says %q", words, text)
	}
	if found[1] == "" {
		return fmt.Sprintf("without a gateway on %s, from %s", found[2], found[3])
	}
	return fmt.Sprintf("by the gateway %s on %s, from %s", found[1], found[2], found[3])
}

// turns changes routes, rules, addresses and links one after another, and lists what the kernel said after each of them.
func (p *population) turns(path string, n int, words ...string) (ways []kernelWay) {
	p.link("eth0", "10.1.2.3/24", "fd01::3/64")
	p.link("wlan0", "10.200.0.1/16", "fd02::3/64")
	changes := []string{
		"route replace default via 10.1.2.254", "route del default via 10.1.2.254", "route replace default via 10.200.0.9 metric 50", "route del default metric 50",
		"route replace 10.77.0.0/16 via 10.1.2.8", "route del 10.77.0.0/16", "route replace 10.77.0.0/24 dev wlan0", "route del 10.77.0.0/24",
		"route replace blackhole 10.77.0.5", "route replace unreachable 10.77.0.5", "route del 10.77.0.5", "route replace prohibit 10.77.0.4/30", "route del 10.77.0.4/30",
		"rule add to 10.77.0.5 lookup 77 priority 77", "rule del priority 77", "route replace 10.77.0.0/16 via 10.1.2.77 table 77", "route flush table 77", "rule add prohibit to 10.77.0.5 priority 70",
		"rule del priority 70", "link set eth0 down", "link set eth0 up", "link set wlan0p down", "link set wlan0p up", "addr add 10.77.0.5/32 dev lo", "addr del 10.77.0.5/32 dev lo",
		"route replace 192.0.2.0/24 via 10.1.2.9", "route replace 198.51.100.0/24 dev wlan0", "route replace 10.77.0.0/16 via 10.1.2.8 metric 20", "route del 10.77.0.0/16 metric 20",
	}
	family := ""
	if strings.Contains(words[0], ":") { // its routes come some time after a link that comes up
		family = "-6 "
		changes = []string{
			"route replace default via fd01::254", "route del default via fd01::254", "route replace default via fd02::9 metric 50", "route del default metric 50",
			"route replace fd77::/32 via fd01::8", "route del fd77::/32", "route replace fd77::/64 dev wlan0", "route del fd77::/64",
			"route replace blackhole fd77::5", "route replace unreachable fd77::5", "route del fd77::5", "route replace prohibit fd77::4/126", "route del fd77::4/126",
			"rule add to fd77::5 lookup 77 priority 77", "rule del priority 77", "route replace fd77::/32 via fd01::77 table 77", "route flush table 77", "rule add prohibit to fd77::5 priority 70",
			"rule del priority 70", "route replace fd99::/64 via fd01::9", "route replace fd77::/32 via fd01::8 metric 20", "route del fd77::/32 metric 20",
		}
	}
	for range n {
		for range 1 + p.rand.IntN(2) {
			p.may(family + changes[p.rand.IntN(len(changes))]) // one that does nothing is none
		}
		record(p.t, recorder.Config{Path: path})
		ways = append(ways, kernelWay{words: kernelWayOf(p.t, words...)})
	}
	return ways
}

func whyAt(t *testing.T, r *query.Recording, ts time.Time, words ...string) (text string) {
	t.Helper()
	if err := r.AtSample(ts, func() error { text = printed(t, r, "why", words...); return nil }); err != nil {
		t.Fatal(err)
	}
	return text
}

// section is the part of an answer that begins with a text.
func section(text, begin string) string {
	for part := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(part, begin) {
			return part
		}
	}
	return ""
}

// The kernel is asked at each sample: what why says of it, of before and of after is what the kernel said then.
func TestWhyIsWhatTheKernelSaidThen(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, 3000+seed)
			path := filepath.Join(t.TempDir(), "turns.db")
			dst := p.pick("10.77.0.5", "fd77::5")
			ways := p.turns(path, 14, dst)
			r := opened(t, path)
			times, err := r.Samples(t.Context(), time.Unix(0, 0), time.Time{})
			if err != nil || len(times) != len(ways) {
				t.Fatalf("%d samples of %d: %v", len(times), len(ways), err)
			}
			for i := range ways {
				ways[i].at = times[i]
			}
			for i, way := range ways {
				text := whyAt(t, r, way.at, dst)
				expect := func(begin, what string) {
					part := section(text, begin)
					if part == "" || !strings.Contains(part, what) {
						t.Errorf("sample %d: under %q is no %q:\n%s", i, begin, what, text)
					}
				}
				if strings.Contains(text, "not known") {
					t.Errorf("sample %d: all was read:\n%s", i, text)
				}
				expect(dst+" at ", "went\n  "+way.words)
				before := i - 1
				for before >= 0 && ways[before].words == way.words {
					before--
				}
				if before >= 0 {
					expect("Before, at "+clock(ways[before].at, way.at), "it went\n  "+ways[before].words)
					if changes := strings.Count(section(text, "Before, at "), "\n"); changes < 2 {
						t.Errorf("sample %d: nothing made it turn:\n%s", i, text)
					}
				} else {
					expect("Before it was the same", clock(ways[0].at, way.at))
				}
				after := i + 1
				for after < len(ways) && ways[after].words == way.words {
					after++
				}
				newest := ways[len(ways)-1]
				switch {
				case after < len(ways)-1:
					expect("At the newest sample", "it goes\n  "+newest.words)
					fallthrough
				case after < len(ways):
					expect("After, at "+clock(ways[after].at, way.at), "it went\n  "+ways[after].words)
				case i < len(ways)-1:
					expect("After it stayed the same, to "+clock(newest.at, way.at), "")
				}
			}
		})
	}
}

// What a recording cannot tell is no answer, and nonsense is refused in one sentence.
func TestWhyRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"why":                        "An address, such as netsql why 10.1.2.3",
		"why foo":                    `why: "foo" is no address`,
		"why 10.0.0.1 from fd00::1":  "why: 10.0.0.1 and fd00::1 are of two families",
		"why 10.0.0.1 --since never": "--since: ",
		"why 10.0.0.1":               "no rules of IPv4 are recorded at that moment",
		"why -j 10.0.0.1":            "netsql ip -j route get ADDRESS",
	} {
		if got := refusedBy(t, emptyRecording(t), "why", strings.Fields(line)[1:]); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	t.Run("unread", func(t *testing.T) {
		if !kerneltest.InNamespace(t) {
			return
		}
		p := populate(t, 1)
		p.link("eth0", "10.1.2.3/24")
		path := filepath.Join(t.TempDir(), "unread.db")
		record(t, recorder.Config{Path: path, Without: []string{"routes"}})
		r := opened(t, path)
		for _, tool := range []string{"why 10.1.2.4", "ip route get 10.1.2.4", "why 10.1.2.4 oif eth9"} {
			words := strings.Fields(tool)
			got, want := refusedBy(t, r, words[0], words[1:]), "the routes are not known at that moment (off: "
			if strings.HasSuffix(tool, "eth9") {
				want = `no interface "eth9" at that moment`
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q, want %q", tool, got, want)
			}
		}
	})
}

func TestWordsOfChanges(t *testing.T) {
	t.Parallel()
	for _, c := range [][3]string{
		{"operstate=UP flags=UP,RUNNING,MULTICAST", "operstate=DOWN flags=MULTICAST,NOARP", "flags -UP -RUNNING +NOARP, operstate UP → DOWN"},
		{"flags=NULL", "flags=linkdown", "flags +linkdown"},
		{"flags=linkdown mtu=1400", "flags=NULL mtu=NULL", "flags -linkdown, mtu 1400 → NULL"},
		{"0", "2", "0 → 2"},
		{"nexthops=via 10.0.0.1 dev a weight 1", "nexthops=via 10.0.0.2 dev a weight 1", "nexthops=via 10.0.0.1 dev a weight 1 → nexthops=via 10.0.0.2 dev a weight 1"},
	} {
		if got := changedWords(c[0], c[1]); got != c[2] {
			t.Errorf("%s to %s: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
