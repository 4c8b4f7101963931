package nftables

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kerneltest"
)

// nft runs nft with these statements; the test is skipped where the kernel has no nf_tables.
func nft(t *testing.T, statements string) {
	t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(statements)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s\n%s", err, out, statements)
	}
}

// needNFT begins the test in a namespace of its own.
func needNFT(t *testing.T) bool {
	t.Helper()
	if !kerneltest.InNamespace(t) {
		return false
	}
	if _, err := exec.LookPath("nft"); err != nil {
		kerneltest.NeedKernel(t, "nft is not installed (Debian: nftables)")
	}
	if out, err := exec.Command("nft", "add", "table", "ip", "probe").CombinedOutput(); err != nil {
		t.Skipf("this kernel has no nf_tables: %s", out)
	}
	nft(t, "delete table ip probe")
	return true
}

func read(t *testing.T) map[Place]*Table {
	t.Helper()
	var conn Conn
	defer conn.Close()
	tables, generation, err := conn.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now, err := conn.Generation(t.Context()); err != nil || now != generation {
		t.Errorf("generation %d, %v, after %d was read", now, err, generation)
	}
	return tables
}

const ruleSet = `
table inet filter {
	set named {
		type ipv4_addr
		elements = { 10.0.0.1, 10.0.0.2 }
	}
	map marks { type inet_service : mark; }
	chain input {
		type filter hook input priority 0; policy drop;
		ct state established,related counter accept
		tcp dport { 22, 80 } counter accept comment "ways in"
		ip saddr @named drop
		jump other
	}
	chain forward {
		type filter hook forward priority 10; policy accept;
	}
	chain other {
		quota over 1000 bytes drop
		limit rate 10/second accept
	}
}
table ip nat {
	chain post {
		type nat hook postrouting priority 100; policy accept;
		ip saddr 10.0.0.0/8 masquerade
	}
}
table ip6 empty {
}
table arp filter {
	chain in {
		type filter hook input priority -1; policy accept;
	}
}
table bridge filter {
	chain passing {
		type filter hook forward priority 0; policy accept;
		ether type ip counter
	}
}
table netdev guard {
	chain in {
		type filter hook ingress device "lo" priority -500; policy accept;
		ip saddr 10.9.9.9 drop
	}
}
`

// What is read is what nft lists.
func TestRuleSetIsThatOfNFT(t *testing.T) {
	if !needNFT(t) {
		return
	}
	if got := read(t); len(got) > 0 {
		t.Errorf("a new namespace has %v", got)
	}
	for family, statements := range familiesOf(ruleSet) {
		if out, err := nftTry(statements); err != nil {
			if strings.Contains(out, "syntax error") {
				t.Fatal(out)
			}
			t.Logf("this kernel has no such table of %s: %s", family, out)
		}
	}
	got := map[string]string{}
	for place, table := range read(t) {
		got[FamilyName(place.Family)+" "+place.Table] = fmt.Sprintf("%d chains, %d rules, %d sets: %s", table.Chains, table.Rules, table.Sets, table.BaseChains(place.Family))
	}
	want := listed(t)
	if diff := gocmp.Diff(want, got); diff != "" || len(want) < 3 {
		t.Errorf("(-nft +read):\n%s", diff)
	}
}

func nftTry(statements string) (string, error) {
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(statements)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// familiesOf parts a rule set by the families of its tables: not every kernel has all.
func familiesOf(ruleSet string) map[string]string {
	parts := map[string]string{}
	for _, table := range strings.Split(ruleSet, "\ntable ")[1:] {
		family, _, _ := strings.Cut(table, " ")
		parts[family] += "table " + table + "\n"
	}
	return parts
}

// listed is what nft says of each table. It shows the sets that rules have of their own as part of these; how many there are its other
// list tells.
func listed(t *testing.T) map[string]string {
	t.Helper()
	out, err := exec.Command("nft", "-j", "list", "ruleset").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Items []map[string]struct {
			Family, Table, Name, Type, Hook, Policy string
			Prio                                    int
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	chains, rules, sets, base := map[string]int{}, map[string]int{}, map[string]int{}, map[string][]string{}
	var names []string
	for _, item := range all.Items {
		for kind, o := range item {
			place := o.Family + " " + o.Table
			switch kind {
			case "table":
				names = append(names, o.Family+" "+o.Name)
			case "chain":
				chains[place]++
				if o.Hook != "" {
					base[place] = append(base[place], fmt.Sprintf("%s %s hook %s priority %d policy %s", o.Name, o.Type, o.Hook, o.Prio, o.Policy))
				}
			case "rule":
				rules[place]++
			case "set", "map":
				sets[place]++
			}
		}
	}
	tables := map[string]string{}
	for _, place := range names {
		slices.Sort(base[place])
		anonymous := strings.Count(listedTable(t, place), "{ 22, 80 }")
		tables[place] = fmt.Sprintf("%d chains, %d rules, %d sets: %s", chains[place], rules[place], sets[place]+anonymous, strings.Join(base[place], "; "))
	}
	return tables
}

func listedTable(t *testing.T, place string) string {
	t.Helper()
	out, err := exec.Command("nft", append([]string{"list", "table"}, strings.Fields(place)...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// The hash is that of the rules: it stays when they are loaded again and when they count, and every other change of a rule changes it.
func TestHashIsThatOfTheRules(t *testing.T) {
	if !needNFT(t) {
		return
	}
	load := func(rules ...string) uint64 {
		t.Helper()
		nft(t, "add table ip t\ndelete table ip t\ntable ip t {\nchain out { type filter hook output priority 0; policy accept; }\nchain a {}\nchain b {}\n}\n")
		for _, rule := range rules {
			nft(t, "add rule ip t "+rule)
		}
		return read(t)[Place{unix.NFPROTO_IPV4, "t"}].Hash
	}
	base := []string{"out counter", "out quota over 5 mbytes drop", "a tcp dport 22 accept", "a tcp dport 80 accept", `b udp dport 53 drop comment "no names"`}
	want := load(base...)
	if got := load(base...); got != want {
		t.Errorf("loaded again the hash is %x, not %x", got, want)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte("counted"), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if text := listedTable(t, "ip t"); strings.Contains(text, "counter packets 0 ") {
		t.Fatalf("nothing was counted:\n%s", text)
	}
	if got := read(t)[Place{unix.NFPROTO_IPV4, "t"}].Hash; got != want {
		t.Errorf("with counters that moved the hash is %x, not %x", got, want)
	}
	// Chains and their order do not matter, only the rules of each.
	if got := load(base[4], base[2], base[3], base[0], base[1]); got != want {
		t.Errorf("with chains in another order the hash is %x, not %x", got, want)
	}
	seen := map[uint64]string{want: "all"}
	for name, rules := range map[string][]string{
		"none":            {},
		"one less":        base[:4],
		"another order":   {base[0], base[1], base[3], base[2], base[4]},
		"another chain":   {base[0], base[1], "b tcp dport 22 accept", base[3], base[4]},
		"another port":    {base[0], base[1], "a tcp dport 23 accept", base[3], base[4]},
		"another verdict": {base[0], base[1], "a tcp dport 22 drop", base[3], base[4]},
		"another quota":   {base[0], "out quota over 6 mbytes drop", base[2], base[3], base[4]},
		"another comment": append(slices.Clone(base[:4]), `b udp dport 53 drop comment "no names!"`),
		"no counter":      append([]string{"out accept"}, base[1:]...),
		"twice":           append(slices.Clone(base), base[4]),
	} {
		got := load(rules...)
		if other, known := seen[got]; known {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[got] = name
	}
}

// What the kernel tells of a transaction is what was done, by whom, and ends with the generation that it led to.
func TestMessagesOfATransaction(t *testing.T) {
	if !needNFT(t) {
		return
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := cmp.Or(unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_NFTABLES),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})); err != nil {
		t.Fatal(err)
	}
	var conn Conn
	defer conn.Close()
	before, err := conn.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nft", "table inet t {\nset s { type ipv4_addr; elements = { 1.2.3.4, 5.6.7.8 }; }\nchain c { drop; }\n}\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for buf := make([]byte, 64<<10); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "generation"); {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			t.Fatalf("%v, after %q", err, got)
		}
		if err := Each(buf[:n], func(m *Message) {
			if m.Kind == unix.NFT_MSG_NEWGEN {
				got = append(got, fmt.Sprintf("generation +%d by %s %v", m.Generation-before, m.Comm, int(m.PID) == cmd.Process.Pid))
				return
			}
			got = append(got, fmt.Sprintf("%d %s %s %s %d +%d", m.Kind, FamilyName(m.Family), m.Table, m.Name, m.Elements, m.Short-uint16(before)))
		}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(got)
	want := []string{"0 inet t  0 +1", "12 inet t s 1 +1", "12 inet t s 1 +1", "3 inet t c 0 +1", "6 inet t c 0 +1", "9 inet t s 0 +1", "generation +1 by nft true"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-nft +told):\n%s", diff)
	}
}

// message builds a message with these attributes, of which each is a number and its value.
func message(kind uint16, family byte, attributes ...any) []byte {
	body := []byte{family, 0, 0, 7}
	for i := 0; i < len(attributes); i += 2 {
		value := attributes[i+1].([]byte)
		body = binary.NativeEndian.AppendUint16(body, uint16(4+len(value)))
		body = binary.NativeEndian.AppendUint16(body, uint16(attributes[i].(int)))
		body = append(body, value...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, make([]byte, 10)...)
	return append(b, body...)
}

// What is cut short is an error, and what is of others is left out.
func TestBrokenMessages(t *testing.T) {
	t.Parallel()
	const rule, gen = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWRULE, unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN
	for _, c := range []struct {
		name string
		b    []byte
		want int
		bad  bool
	}{
		{"two", append(message(rule, 2, 1, []byte("t\x00"), 2, []byte("c\x00")), message(gen, 0, 1, []byte{0, 0, 0, 7})...), 2, false},
		{"of another part of netfilter", message(1<<8, 2, 1, []byte("t")), 0, false},
		{"without the end of a name", message(rule, 2, 1, []byte("t")), 0, true},
		{"with a short generation", message(gen, 0, 1, []byte{7}), 0, true},
		{"longer than there is", message(rule, 2, 1, []byte("t\x00"))[:26], 0, true},
		{"without a header", message(rule, 2)[:18], 0, true},
		{"with a length of 3", append([]byte{3, 0, 0, 0}, make([]byte, 20)...), 0, true},
	} {
		n := 0
		err := Each(c.b, func(*Message) { n++ })
		if n != c.want || (err != nil) != c.bad {
			t.Errorf("%s: %d messages, %v", c.name, n, err)
		}
	}
	if _, err := Parse(rule, []byte{2, 0}); err == nil || errors.Is(err, errOther) {
		t.Errorf("a message of two bytes: %v", err)
	}
}

// No bytes make the parsers panic, nor read what is not there.
func FuzzEach(f *testing.F) {
	for _, kind := range []int{unix.NFT_MSG_NEWTABLE, unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_NEWRULE, unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_NEWGEN, unix.NFT_MSG_NEWOBJ} {
		f.Add(message(uint16(unix.NFNL_SUBSYS_NFTABLES<<8|kind), 2, 1, []byte("t\x00"), 3, message(0, 2, 1, []byte("c\x00"))[20:], 4, message(0, 2, 1, message(0, 0, 1, []byte("counter\x00"), 2, []byte("abc"))[20:])[20:]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole := bytes.Clone(b)
		r := newReader()
		Each(b, func(m *Message) {
			if m.Elements > len(b) || len(m.Table) > len(b) {
				t.Errorf("%v of %d bytes", m, len(b))
			}
			r.addTable(m, nil)
		})
		for _, add := range []func(*Message, []byte) error{r.addChain, r.addRule, r.addSet} {
			Each(b, func(m *Message) { add(m, b[min(20, len(b)):]) })
		}
		r.endChain()
		for place, table := range r.tables {
			table.BaseChains(place.Family)
		}
		if !bytes.Equal(b, whole) {
			t.Errorf("%s became %s", hex.EncodeToString(whole), hex.EncodeToString(b))
		}
	})
}
