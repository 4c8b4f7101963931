package tools

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

// Options of a qdisc, how many hold it, and the handle of noqueue are not recorded; some kinds have lines of their own behind the two of all.
var (
	tcOptions = regexp.MustCompile(`^(qdisc \S+ \S+ (?:dev \S+ )?(?:root |parent \S+ )?(?:---------------- )?).*$`)
	tcNoqueue = regexp.MustCompile(`^(qdisc noqueue )\S+ `)
)

func forgetTC(line string) string {
	line = tcNoqueue.ReplaceAllString(line, "${1}-: ")
	switch {
	case strings.HasPrefix(line, "qdisc "):
		return tcOptions.ReplaceAllString(line, "$1")
	case strings.HasPrefix(line, " Sent ") || strings.HasPrefix(line, " backlog "):
		return line
	}
	return ""
}

func TestTCIsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := populate(t, seed)
		disciplines(p)
		p.steady()
		compare(t, comparison{tool: "tc", forget: forgetTC, lines: append(p.lines(20, p.anyOfTC), []string{
			"qdisc", "-s qdisc", "-s -d qdisc show", "-statistics qdisc ls", "-stats -details q lis", "-s qdisc show dev e0", "qdisc show dev e1", "-s qdisc list dev lo", "-s qdisc show dev e2",
			"qdisc show ingress", "-s qdisc show root", "qdisc show dev e0 root", "qdisc show dev e3 ingress", "qdisc show handle 20:", "-s q s dev e1 parent 2:1", "qdisc show dev e4 clsact",
		}...)})
	})
}

// anyOfTC is a line of options and conditions by chance.
func (p *population) anyOfTC() string {
	pick := func(of ...string) string { return of[p.rand.IntN(len(of))] }
	line := ""
	for range p.rand.IntN(3) {
		line += " " + pick("-s", "-d", "-sd", "-statistics", "-stats", "-stat", "-details", "-s -s")
	}
	line += " " + pick("qdisc", "q", "qdis")
	if p.rand.IntN(4) == 0 {
		return line
	}
	line += " " + pick("show", "list", "ls", "s", "lst")
	for _, condition := range []string{"dev " + pick("e0", "e1", "e2", "e3", "e4", "p2", "lo", "p0"), "", pick("root", "ingress", "clsact", "parent 2:1", "parent 1:", "parent root", "handle 1:", "handle 20", "handle 2:", "handle ffff:")} {
		if condition != "" && p.rand.IntN(2) == 0 {
			line += " " + condition
		}
	}
	return line
}

// disciplines are of the kinds that this kernel has, some with packets that wait in them.
func disciplines(p *population) {
	p.may("link set lo mtu 65000")
	for i := range 5 {
		name := fmt.Sprintf("e%d", i)
		p.ip(fmt.Sprintf("link add %s type veth peer name p%d numtxqueues %d", name, i, 1+p.rand.IntN(4)))
		p.t.Cleanup(func() { p.may("link del " + name) })
		for _, dev := range []string{name, fmt.Sprintf("p%d", i)} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+dev+"/disable_ipv6", []byte("1"), 0o644); err != nil {
				p.t.Fatal(err)
			}
		}
		p.ip(fmt.Sprintf("addr add 10.9.%d.1/24 dev %s", i, name))
		p.ip("link set " + name + " up")
		p.ip(fmt.Sprintf("link set p%d up", i))
		p.ip(fmt.Sprintf("neigh add 10.9.%d.9 lladdr 02:00:00:00:00:01 dev %s", i, name))
	}
	kinds := []string{"fq_codel", "fq", "sfq", "prio", "netem delay 100s", "pfifo limit 3", "bfifo limit 5000", "cake", "codel", "tbf rate 80bit burst 2k limit 60000", "noqueue", "pfifo_head_drop limit 2"}
	root := func(dev string) {
		line := "qdisc add dev " + dev + " root "
		if p.rand.IntN(2) == 0 {
			line += fmt.Sprintf("handle %x: ", 1+p.rand.IntN(0xfffe))
		}
		p.tc(line + kinds[p.rand.IntN(len(kinds))])
	}
	p.tc("qdisc add dev e0 root handle 1: tbf rate 80bit burst 2k limit 100000")
	if p.tc("qdisc add dev e1 root handle 2: htb default 1") {
		p.tc("class add dev e1 parent 2: classid 2:1 htb rate 80bit")
		p.tc("qdisc add dev e1 parent 2:1 handle 20: pfifo limit 5")
	}
	root("e2")
	root("e3")
	p.tc("qdisc add dev e3 ingress")
	p.tc("qdisc add dev e4 clsact")
	p.tc("qdisc add dev p2 root mq")
	root("p4")
	for i := range 5 {
		at, family := sockaddr(fmt.Sprintf("10.9.%d.9", i), 9)
		fd := p.keep(unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<20)
		for range 1 + p.rand.IntN(70) {
			unix.SendmsgN(fd, make([]byte, 1000+p.rand.IntN(400)), nil, at, unix.MSG_DONTWAIT)
		}
	}
}

// tc makes a change that not every kernel allows.
func (p *population) tc(line string) bool {
	return exec.Command("tc", strings.Fields(line)...).Run() == nil
}

// tc says how much waits in words, and in JSON as a number.
func TestTCSizesAreTheRealOnes(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	p := populate(t, 0)
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.link("e0", "10.9.0.1/24")
	p.ip("link set e0 mtu 9000")
	p.ip("neigh add 10.9.0.9 lladdr 02:00:00:00:00:01 dev e0")
	if !p.tc("qdisc add dev e0 root tbf rate 80bit burst 1600 limit 4000000") {
		t.Skip("no tbf in this kernel")
	}
	at, family := sockaddr("10.9.0.9", 9)
	fd := p.keep(unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 1<<26); err != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1<<26)
	}
	words := 0
	for i, size := range append([]int{1400, 1030, 1002, 1000, 1050, 1022, 1100, 900, 1040, 1008, 1039, 1009, 1041}, make([]int, 300)...) {
		if size == 0 {
			size = 900 + 7*i%500
		}
		if err := unix.Sendto(fd, make([]byte, size-42), unix.MSG_DONTWAIT, at); err != nil {
			break
		}
		var inJSON []struct {
			Backlog int64 `json:"backlog"`
		}
		if err := json.Unmarshal([]byte(kerneltest.Command(t, "tc", "-s", "-j", "qdisc", "show", "dev", "e0")), &inJSON); err != nil {
			t.Fatal(err)
		}
		text := kerneltest.Command(t, "tc", "-s", "qdisc", "show", "dev", "e0")
		if want := " backlog " + tcSize(inJSON[0].Backlog) + " "; !strings.Contains(text, want) {
			t.Errorf("%d bytes are not%sin %s", inJSON[0].Backlog, want, text)
		}
		words += b2i(strings.Contains(text, "Kb "))
	}
	if words < 3 {
		t.Errorf("only %d were in K", words)
	}
}

func TestTCRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"":                            "tc of what: netsql tc -s qdisc shows the queueing disciplines",
		"class show dev x":            "tc class is not replayed: classes, filters and actions are not recorded; netsql tc -s qdisc has the queueing disciplines",
		"qdisc add":                   "tc qdisc add is not replayed: a recording changes nothing; SELECT * FROM qdisc_changes has when they were changed",
		"qdisc show dev":              "dev of what: netsql tc -s qdisc show dev …",
		"qdisc show blue":             `tc qdisc takes no "blue": netsql tc -s qdisc show dev eth0 is what it takes`,
		"q dev lo":                    "tc qdisc dev lo needs a show: netsql tc -s qdisc show dev lo",
		"qdisc l":                     "tc qdisc l is not replayed: a recording changes nothing; SELECT * FROM qdisc_changes has when they were changed",
		"monitor":                     "tc monitor is not replayed: netsql tc -s qdisc shows the queueing disciplines, and SELECT * FROM qdisc_changes when they changed",
		"-j qdisc":                    `tc -j is not replayed: netsql --json -c "SELECT * FROM qdiscs_now" has the same`,
		"-oneline qdisc":              "tc --oneline is not replayed: a line for each is SELECT * FROM qdiscs_now",
		"-graph class show dev lo -x": "tc --graph is not replayed: netsql tc --help lists the options that are, and netsql tables what can be asked in SQL",
	} {
		if got := refusal(t, "tc", line); got != want {
			t.Errorf("tc %s\n got %q\nwant %q", line, got, want)
		}
	}
}

func FuzzWordsOfTC(f *testing.F) {
	for _, line := range []string{"-s qdisc show dev eth0", "q", "qdisc dev x root", "-stat=3 -", "- -- -= qdisc show handle ffff:", "qdisc show parent 1:", "qdisc show dev", "-n x q"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Fields(line)
		flags := tcWords(words)
		if len(flags) != len(words) {
			t.Errorf("%q became %q", words, flags)
		}
		if _, err := parseQdiscWords(flags); err != nil && err.Error() == "" {
			t.Error("an error without a sentence")
		}
	})
}
