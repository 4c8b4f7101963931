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

	"netsql/recorder/kerneltest"
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

// The elements of a set that a rule has of its own are part of the rule. Those of a named set are not: programs fill it all the time.
func TestHashHasTheElementsOfRules(t *testing.T) {
	if !needNFT(t) {
		return
	}
	var conn Conn
	defer conn.Close()
	hash := func() uint64 {
		t.Helper()
		tables, _, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return tables[Place{unix.NFPROTO_INET, "t"}].Hash
	}
	load := func(rules ...string) uint64 {
		t.Helper()
		nft(t, "add table inet t\ndelete table inet t\ntable inet t {\nchain c {}\nset named { type ipv4_addr; flags timeout; }\nset met { type ipv4_addr; flags dynamic; size 100; }\n}\n")
		for _, rule := range rules {
			nft(t, "add rule inet t c "+rule)
		}
		return hash()
	}
	seen := map[uint64]string{}
	for _, rules := range [][]string{
		{"tcp dport { 22, 80 }"},
		{"tcp dport { 22, 443 }"},
		{"tcp dport { 22 }", "tcp dport { 80 }"},
		{"tcp dport { 80 }", "tcp dport { 22 }"},
		{"udp dport { 22, 80 }"},
		{"tcp dport != { 22, 80 }"},
		{"tcp dport { 22, 80, 443 }"},
		{"tcp dport { 22-80 }"},
		{"tcp dport { 22-79, 90 }"},
		{`tcp dport { 22 comment "a", 80 }`},
		{`tcp dport { 22 comment "b", 80 }`},
		{"tcp dport vmap { 22 : accept, 80 : drop }"},
		{"tcp dport vmap { 22 : drop, 80 : accept }"},
		{"meta mark set tcp dport map { 22 : 1, 80 : 2 }"},
		{"meta mark set tcp dport map { 22 : 2, 80 : 1 }"},
		{"ip saddr . tcp dport { 10.0.0.1 . 22, 10.0.0.2 . 80 }"},
		{"ip saddr . tcp dport { 10.0.0.1 . 80, 10.0.0.2 . 22 }"},
		{"ip saddr . tcp dport { 10.0.0.1-10.0.0.3 . 22 }"},
		{"ip saddr . tcp dport { 10.0.0.1-10.0.0.4 . 22 }"},
		{"ip saddr @named drop"},
		{"ip saddr @met drop"},
	} {
		name := strings.Join(rules, "; ")
		got := load(rules...)
		if other, known := seen[got]; known {
			t.Errorf("%s has the hash of %s", name, other)
		}
		seen[got] = name
		// The numbers of sets are others when one stands in another place first.
		nft(t, "add rule inet t c udp dport { 1, 2 }")
		nft(t, "insert rule inet t c udp dport { 3, 4 }")
		if hash() == got {
			t.Errorf("%s: two rules more are not seen", name)
		}
		if again := load(rules...); again != got {
			t.Errorf("%s: loaded again the hash is %x, not %x", name, again, got)
		}
	}
	// The kernel gives the number of a set that has gone to the next.
	nft(t, "flush chain inet t c\nadd rule inet t c tcp dport { 5, 6 }\nadd rule inet t c tcp dport { 22, 80 }\n")
	nft(t, "delete rule inet t c handle "+firstHandle(t, "inet t"))
	if got := hash(); seen[got] != "tcp dport { 22, 80 }" {
		t.Errorf("with another number of its set the hash is %x", got)
	}
	if text := listedTable(t, "inet t"); !strings.Contains(text, "{ 22, 80 }") || strings.Contains(text, "{ 5, 6 }") {
		t.Fatal(text)
	}
	// In another order.
	if got := load("tcp dport { 80, 22 }"); seen[got] != "tcp dport { 22, 80 }" {
		t.Errorf("with the elements in another order the hash is %x", got)
	}
	// A rule with the same set, but another port, in place of the first.
	nft(t, "flush chain inet t c\nadd rule inet t c tcp dport { 22, 443 }\n")
	if got := hash(); seen[got] != "tcp dport { 22, 443 }" {
		t.Errorf("after another port the hash is %x", got)
	}
	// Named sets, by a program and by packets.
	want := load("ip saddr @named drop", "tcp dport { 22, 80 }")
	for i := range 3 {
		nft(t, fmt.Sprintf("add element inet t named { 10.0.0.%d timeout 1h }\nadd element inet t met { 10.0.1.%[1]d }\n", i+1))
		if got := hash(); got != want {
			t.Errorf("with %d more elements of named sets the hash is %x, not %x", i+1, got, want)
		}
	}
}

// firstHandle is that of the first rule of a table.
func firstHandle(t *testing.T, place string) string {
	t.Helper()
	out, err := exec.Command("nft", append([]string{"-a", "list", "table"}, strings.Fields(place)...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if rule, handle, ok := strings.Cut(strings.TrimSpace(line), " # handle "); ok && strings.Contains(rule, "dport") {
			return handle
		}
	}
	t.Fatalf("there is no rule:\n%s", out)
	return ""
}

// A set that counts, or that packets fill, is not part of the rule: its elements move by themselves. And one that is not read again is
// known by handles that are never used twice.
func TestHashOfElements(t *testing.T) {
	t.Parallel()
	const kind = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM
	nested := func(attributes ...any) []byte { return message(0, 0, attributes...)[20:] }
	counted := func(n byte) []byte { return nested(1, []byte("counter\x00"), 2, []byte{n, 0, 0, 0}) }
	limit := func(n byte) []byte { return nested(1, []byte("limit\x00"), 2, []byte{n, 0, 0, 0}) }
	hash := func(elements ...[]byte) uint64 {
		t.Helper()
		var list []any
		for i, e := range elements {
			list = append(list, i+1, e)
		}
		sum, err := hashElements(kind, message(kind, 2, 1, []byte("t\x00"), 3, nested(list...))[unix.NLMSG_HDRLEN:])
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	key := func(attribute int, more ...any) []byte {
		return nested(append([]any{attribute, []byte{1, 2, 3, 4}}, more...)...)
	}
	same := [][2]uint64{
		{hash(key(1), key(10)), hash(key(10), key(1))},
		{hash(key(1, 7, counted(1))), hash(key(1, 7, counted(2)))},
		{hash(key(1, 11, nested(1, counted(1)))), hash(key(1, 11, nested(1, counted(2))))},
		{hash(key(1)), hash(key(1, 5, []byte{0, 0, 0, 0, 0, 0, 0, 9}))}, // it expires
	}
	for i, s := range same {
		if s[0] != s[1] {
			t.Errorf("%d: the hashes are %x and %x", i, s[0], s[1])
		}
	}
	others := map[uint64]string{}
	for name, sum := range map[string]uint64{
		"none": hash(), "key": hash(key(1)), "twice": hash(key(1), key(1)), "data": hash(key(2)), "flags": hash(key(3)), "comment": hash(key(6)),
		"object": hash(key(9)), "end": hash(key(10)), "counter": hash(key(1, 7, counted(1))), "limit": hash(key(1, 7, limit(1))),
		"another limit": hash(key(1, 7, limit(2))), "two": hash(key(1, 11, nested(1, counted(1), 2, limit(1)))),
	} {
		if other, known := others[sum]; known {
			t.Errorf("%s has the hash of %s", name, other)
		}
		others[sum] = name
	}
}

// Elements are asked for once, where the handles tell that a set is the same, and not of a set that moves.
func TestElementsAreReadOnce(t *testing.T) {
	t.Parallel()
	place := Place{unix.NFPROTO_IPV4, "t"}
	var conn Conn
	var asked []string
	read := func(table uint64, own ...declaration) map[ownSet]uint64 {
		t.Helper()
		r := newReader()
		r.tables[place] = &Table{handle: table}
		r.own, asked = own, nil
		err := conn.readElements(r, func(d *declaration) (uint64, error) {
			asked = append(asked, d.set)
			switch d.set {
			case "gone":
				return 0, fmt.Errorf("dump: %w", unix.ENOENT)
			case "bad":
				return 0, unix.EIO
			}
			return 100, nil
		})
		if bad := slices.Contains(asked, "bad"); bad != errors.Is(err, unix.EIO) {
			t.Errorf("asked for %v: %v", asked, err)
		}
		return r.sums
	}
	set := func(name string, handle uint64, moves bool) declaration {
		return declaration{ownSet: ownSet{place, name}, handle: handle, hash: handle + 1, moves: moves}
	}
	for i, c := range []struct {
		table uint64
		own   []declaration
		asked string
		sums  map[string]uint64
	}{
		{7, []declaration{set("a", 1, false), set("b", 2, true)}, "a", map[string]uint64{"a": 102, "b": 3}},
		{7, []declaration{set("b", 1, false), set("c", 3, false)}, "c", map[string]uint64{"b": 102, "c": 104}},
		{7, []declaration{set("a", 2, false)}, "a", map[string]uint64{"a": 103}},                           // it was not kept meanwhile
		{8, []declaration{set("a", 2, false)}, "a", map[string]uint64{"a": 103}},                           // of another table
		{8, []declaration{set("gone", 4, false), set("a", 2, false)}, "gone", map[string]uint64{"a": 103}}, // and it is kept
		{0, []declaration{set("a", 2, false)}, "a", map[string]uint64{"a": 103}},
		{0, []declaration{set("a", 2, false)}, "a", map[string]uint64{"a": 103}},
		{9, []declaration{set("a", 0, false)}, "a", map[string]uint64{"a": 101}},
		{9, []declaration{set("a", 0, false), set("bad", 1, false)}, "a bad", map[string]uint64{"a": 101}},
	} {
		want := map[ownSet]uint64{}
		for name, sum := range c.sums {
			want[ownSet{place, name}] = sum
		}
		got := read(c.table, c.own...)
		if diff := gocmp.Diff(want, got, gocmp.AllowUnexported(ownSet{})); diff != "" || strings.Join(asked, " ") != c.asked {
			t.Errorf("%d: asked for %v (-want +got):\n%s", i, asked, diff)
		}
	}
}

// Of a set with these flags the elements are not asked for.
func TestSetsThatMove(t *testing.T) {
	t.Parallel()
	const kind = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSET
	for _, c := range []struct {
		flags      byte
		own, moves bool
	}{
		{0, false, false}, {unix.NFT_SET_CONSTANT, false, false}, {unix.NFT_SET_ANONYMOUS | unix.NFT_SET_CONSTANT, true, false},
		{unix.NFT_SET_ANONYMOUS | unix.NFT_SET_EVAL, true, true}, {unix.NFT_SET_ANONYMOUS | unix.NFT_SET_TIMEOUT, true, true},
	} {
		r := newReader()
		b := message(kind, 2, 1, []byte("t\x00"), 2, []byte("__set0\x00"), 3, []byte{0, 0, 0, c.flags}, setHandle, []byte{0, 0, 0, 0, 0, 0, 0, 9})[unix.NLMSG_HDRLEN:]
		m, err := Parse(kind, b)
		if err != nil {
			t.Fatal(err)
		}
		r.addTable(&m, nil)
		if err := r.addSet(&m, b[SizeofHeader:]); err != nil {
			t.Fatal(err)
		}
		if own := len(r.own) == 1; own != c.own || own && (r.own[0].moves != c.moves || r.own[0].handle != 9 || r.own[0].set != "__set0") {
			t.Errorf("flags %d: %+v", c.flags, r.own)
		}
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
			r.addTable(m, b[min(20, len(b)):])
			r.tables[Place{m.Family, string(m.Table)}] = &Table{}
			hashElements(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSETELEM, b[min(16, len(b)):])
		})
		for _, add := range []func(*Message, []byte) error{r.addChain, r.addSet, r.addRule} {
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
