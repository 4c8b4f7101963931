package tools

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"netsql/query"
	"netsql/recorder"
	"netsql/recorder/kerneltest"
)

// A listening tool prints as long as it runs.
type listening struct {
	cmd  *exec.Cmd
	text bytes.Buffer
	end  func()
}

// follows runs a tool that listens to the kernel, until the test ends it.
func follows(t *testing.T, tool string, words ...string) *listening {
	t.Helper()
	h := &listening{cmd: exec.Command(tool, words...)}
	h.start(t)
	h.listens(t)
	return h
}

func (h *listening) start(t *testing.T) {
	t.Helper()
	h.cmd.Stdout = &h.text
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.end = sync.OnceFunc(func() {
		h.cmd.Process.Kill()
		h.cmd.Wait()
	})
	t.Cleanup(h.end)
}

// String is what it printed, after its end.
func (h *listening) String() string { return h.text.String() }

// listens waits until it waits for the kernel to tell something, and has read what the kernel told.
func (h *listening) listens(t *testing.T) {
	t.Helper()
	pid := fmt.Sprint(h.cmd.Process.Pid)
	until(t, "that it listens", func() bool {
		sockets, err := os.ReadFile("/proc/net/netlink")
		if err != nil {
			t.Fatal(err)
		}
		subscribed := false
		for line := range strings.Lines(string(sockets)) { // sk Eth Pid Groups Rmem …
			if f := strings.Fields(line); len(f) > 4 && f[2] == pid && f[3] != "00000000" && f[4] == "0" {
				subscribed = true
			}
		}
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		return subscribed && bytes.Contains(stat, []byte(") S "))
	})
}

// recording records this namespace until it is ended.
func recording(t *testing.T, which recorder.NetNS) (path string, end func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "long.db")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- recorder.Run(ctx, recorder.Config{Path: path, Interval: time.Second, Version: "test", Limits: recorder.DefaultLimits, NetNS: which})
	}()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	until(t, "a first sample", func() bool {
		r, err := query.Open(t.Context(), path)
		if err != nil {
			return false
		}
		defer r.Close()
		_, _, err = r.SetAt(t.Context(), time.Time{})
		return err == nil
	})
	return path, end
}

// Names of network namespaces come and go; the real one listens to the folder that has them.
func TestIPNetNSIsTheRealOne(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	kerneltest.Command(t, "mount", "-t", "tmpfs", "none", "/run")
	p := populate(t, 1)
	p.ip("netns add first")
	p.ip("netns add z-second")
	path, end := recording(t, recorder.NetNS{})
	real := &listening{cmd: exec.Command("stdbuf", "-oL", "ip", "netns", "monitor")} // it never writes out what it has by itself
	real.start(t)
	until(t, "that it listens", func() bool {
		info, _ := filepath.Glob("/proc/" + fmt.Sprint(real.cmd.Process.Pid) + "/fdinfo/*")
		return slices.ContainsFunc(info, func(file string) bool {
			text, _ := os.ReadFile(file)
			return bytes.Contains(text, []byte("inotify wd:"))
		})
	})
	opened := func() *query.Recording {
		r, err := query.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	seen := func(name string, is bool) {
		until(t, "a sample of "+name, func() bool {
			r := opened()
			defer r.Close()
			return strings.Contains(printed(t, r, "ip", "netns"), name) == is
		})
	}
	p.ip("netns add web")
	seen("web", true)
	p.ip("netns add db")
	p.ip("netns del first")
	seen("first", false)
	p.ip("netns del web")
	seen("web", false)
	p.ip("-n db link set lo up")
	p.ip("-n db route add blackhole 10.0.0.0/8")
	real.end()
	end()
	r := opened()
	defer r.Close()
	// What changed between two samples has no order.
	c := comparison{tool: "ip"}
	if want, got := c.linesOf(real.String()), c.linesOf(printed(t, r, "ip", "netns", "monitor")); !slices.Equal(want, got) {
		t.Errorf("ip netns monitor differs (- the real one, + netsql):\n%s", differing(want, got))
	}
	for _, line := range []string{"netns", "netns list", "-j netns", "net s"} {
		words := strings.Fields(line)
		want := netnsID.ReplaceAllString(kerneltest.Command(t, "ip", words...), "")
		if got := printed(t, r, "ip", words...); !slices.Equal(c.linesOf(strings.TrimSpace(want)), c.linesOf(strings.TrimSpace(got))) {
			t.Errorf("ip %s: %q, want %q", line, got, want)
		}
	}
	c.forget = forgetDetails
	for _, line := range []string{"-n db link", "-netns db -br addr", "-n z-second addr", "-n db route", "-n db -d route show table all", "-n z-second rule", "-n db -o -6 addr"} {
		words := strings.Fields(line)
		if want, got := c.linesOf(kerneltest.Command(t, "ip", words...)), c.linesOf(printed(t, r, "ip", words...)); !slices.Equal(want, got) {
			t.Errorf("ip %s differs (- the real one, + netsql):\n%s", line, differing(want, got))
		}
	}
}

// Numbers of namespaces for each other are not recorded.
var netnsID = regexp.MustCompile(` \(id: \d+\)|,"id":\d+`)

// What the real one prints and the recording does not have: settings of interfaces (NETCONF), and entries of the forwarding tables of bridges, which have no
// address. Of an address that lives for a time and came and went between two samples, how long. Of the time its form is compared.
var (
	monitorLost   = regexp.MustCompile(`^\n$|\[NETCONF\]|^(\[TIME\] |Timestamp\n)?(\[NEIGH\])?(Deleted )?(inet6?|dev) \w`)
	monitorLife   = regexp.MustCompile(`(\n|\\)       valid_lft .*`)
	monitorStamp  = regexp.MustCompile(`^Timestamp: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} \d+ usec$`)
	monitorLabels = regexp.MustCompile(`^(\[[A-Z]+\])+(\[[A-Z]+\])`) // with dev, of changes that are left out
	monitorShort  = regexp.MustCompile(`^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\] `)
)

// events are what a monitor printed, each with its lines as one. The same that is told twice in a row is one.
func monitorEvents(text string) (all []string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		continues := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		if monitorStamp.MatchString(line) {
			all = append(all, "Timestamp\n")
			continue
		}
		line = monitorLabels.ReplaceAllString(line, "$2")
		line = monitorShort.ReplaceAllString(line, "[TIME] ")
		switch {
		case len(all) > 0 && (continues || all[len(all)-1] == "Timestamp\n"):
			all[len(all)-1] += forgetDetails(line) + "\n"
		default:
			all = append(all, forgetDetails(line)+"\n")
		}
	}
	all = slices.DeleteFunc(all, monitorLost.MatchString)
	slices.Sort(all)
	return slices.Compact(all)
}

// changes are made one after the other.
func (p *population) changes(n int) {
	for i := range n {
		net, net6 := fmt.Sprintf("10.%d.0.0/16", 100+i), fmt.Sprintf("fd%02x::/16", 64+i)
		switch p.rand.IntN(13) {
		case 0:
			p.ip("route add " + net + " via 10.1.2.1 " + p.pick("", "table 77", "proto static metric 7"))
			p.ip("-6 route add " + net6 + " via fd00::1 " + p.pick("", "table 77", "proto bird metric 7"))
		case 1:
			p.ip("route add " + net + " via 10.1.2.1")
			p.ip("route del " + net)
		case 2:
			p.ip("route add " + net + " via 10.1.2.1")
			p.ip("route replace " + net + " via 10.1.2.9 mtu 1400")
		case 3:
			p.ip("route add " + p.pick("blackhole", "unreachable", "prohibit") + " " + net)
		case 4:
			p.ip("route add " + net + " nexthop via 10.1.2.1 weight 3 nexthop via 10.1.2.9")
		case 5:
			p.ip(fmt.Sprintf("rule add from %s table 77 priority %d", net, 100+i))
			if p.sometimes(2) {
				p.ip(fmt.Sprintf("rule del priority %d", 100+i))
			}
		case 6:
			p.ip(fmt.Sprintf("nexthop add id %d via 10.1.2.1 dev eth0", 10+i))
			if p.sometimes(2) {
				p.ip(fmt.Sprintf("nexthop del id %d", 10+i))
			}
		case 7:
			p.ip(fmt.Sprintf("neigh add 10.1.2.%d lladdr 02:00:00:00:00:%02x dev eth0", 100+i, i))
		case 8:
			p.ip(fmt.Sprintf("addr add 10.%d.0.1/24 dev eth0 %s", 20+i, p.pick("", "label eth0:x")))
			if p.sometimes(2) {
				p.ip(fmt.Sprintf("addr del 10.%d.0.1/24 dev eth0", 20+i))
			}
		case 9:
			p.ip(fmt.Sprintf("link set wlan0 mtu %d", 1300+i))
		case 10:
			p.ip(fmt.Sprintf("addr add 10.%d.0.1/24 dev wlan0 valid_lft 3000 preferred_lft 1000", 20+i))
			if p.sometimes(2) {
				p.ip(fmt.Sprintf("addr del 10.%d.0.1/24 dev wlan0", 20+i))
			}
		case 11:
			p.ip(fmt.Sprintf("link add b%d type bridge", i))
			if p.sometimes(2) {
				p.ip(fmt.Sprintf("link del b%d", i))
			}
		case 12:
			p.ip(fmt.Sprintf("neigh replace 10.1.2.%d lladdr 02:00:00:00:00:%02x dev eth0", 100+i, i))
			p.ip(fmt.Sprintf("neigh del 10.1.2.%d dev eth0", 100+i))
			p.ip("link set wlan0 alias w" + net)
		}
	}
}

func TestIPMonitorIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			p.settled()
			p.link("eth0", "10.1.2.3/24", "fd00::5/64")
			p.link("wlan0", "192.0.2.200/26", "2001:db8::7/48")
			until(t, "links that are up", func() bool {
				return !strings.Contains(kerneltest.Command(t, "ip", "addr"), "tentative") && strings.Count(kerneltest.Command(t, "ip", "-br", "link"), " UP ") == 4 &&
					strings.Count(kerneltest.Command(t, "ip", "-6", "addr"), "fe80") == 4
			})
			own, err := recorder.ParseNetNS("self")
			if err != nil {
				t.Fatal(err)
			}
			path, end := recording(t, own)
			lines := []string{"monitor", "monitor all", "-t monitor all", "-ts monitor route", "monitor label route rule", "monitor address", "-ts -o monitor neigh", "monitor nexthop", "monitor link", "-d monitor rule",
				"-N monitor route", "monitor all dev eth0", "-4 monitor", "-6 monitor", "-o monitor", "-d monitor"}
			var real []*listening
			for _, line := range lines {
				real = append(real, follows(t, "ip", strings.Fields(line)...))
			}
			since := time.Now()
			p.changes(20)
			for _, h := range real {
				h.listens(t)
				h.end()
			}
			end()
			r, err := query.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			equal := 0
			for i, line := range lines {
				words := append(strings.Fields(line), "--from", fmt.Sprintf("%.6f", float64(since.UnixMicro())/1e6))
				want, got := monitorEvents(real[i].String()), monitorEvents(printed(t, r, "ip", words...))
				for i, event := range want {
					if short := monitorLife.ReplaceAllString(event, ""); strings.Contains(event, "dynamic") && !slices.Contains(got, event) && slices.Contains(got, short) {
						want[i] = short
					}
				}
				slices.Sort(want)
				if !slices.Equal(want, got) {
					t.Errorf("ip %s differs (- the real one, + netsql):\n%s", line, differing(want, got))
					continue
				}
				equal++
			}
			t.Log("equal:", equal, "of", len(lines))
		})
	}
}
