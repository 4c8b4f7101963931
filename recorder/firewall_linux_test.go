package recorder

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/nftables"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// nft runs nft with these statements, each of which is a transaction of its own where they are given one by one. It returns the number of the process.
func nft(t *testing.T, netns string, statements ...string) int {
	t.Helper()
	args := []string{"nft", "-f", "-"}
	if len(statements) > 1 {
		args = []string{"nft", "-i"}
	}
	if netns != "" {
		args = append([]string{"ip", "netns", "exec", netns}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		fmt.Fprintln(in, s)
	}
	if len(statements) > 1 {
		fmt.Fprintln(in, "quit")
	}
	in.Close()
	if err := cmd.Wait(); err != nil || strings.Contains(out.String(), "Error") {
		t.Fatalf("nft %q: %v\n%s", statements, err, out.String())
	}
	return cmd.Process.Pid
}

// needNFT begins the test in a namespace of its own, in which there is nf_tables.
func needNFT(t *testing.T) bool {
	t.Helper()
	if !kerneltest.InNamespace(t) {
		return false
	}
	if _, err := exec.LookPath("nft"); err != nil {
		kerneltest.NeedKernel(t, "nft is not installed (Debian: nftables)")
	}
	if out, err := exec.Command("nft", "add table ip probe; delete table ip probe").CombinedOutput(); err != nil {
		t.Skipf("this kernel has no nf_tables: %s", out)
	}
	return true
}

// firewallChanges are those since a sample, with the names of the processes that the test knows in place of their numbers.
func firewallChanges(r *testRecording, pids map[int]string) []string {
	r.t.Helper()
	var list []string
	for _, row := range r.rows("SELECT * FROM firewall_changes ORDER BY ts") {
		who := "nobody"
		if pid, ok := row["pid"].(int64); ok {
			who = pids[int(pid)] + " " + text(row["comm"])
		}
		list = append(list, fmt.Sprintf("%s %s %s: %s: %s", row["change"], row["family"], row["table_name"], who, text(row["detail"])))
	}
	return list
}

// Every transaction is an event of each table that it changed, with its process, in each network namespace. The oracles are what the test
// has nft do, and what nft lists.
func TestFirewallChangesAreTold(t *testing.T) {
	if !needNFT(t) {
		return
	}
	ownRun(t)
	ip(t, "netns add other")
	inode := nsInode(t, "/run/netns/other")
	nft(t, "", "table ip old { chain c { type filter hook input priority 0; policy accept; }; }\n")
	r := newTestRun(t, "all")
	r.sample()
	if got := r.outcomeIn("firewall", inode); got != "read" {
		t.Errorf("the first sample: %s", got)
	}
	r.sample()
	if got := r.outcomeIn("firewall", inode); got != "kept" {
		t.Errorf("without a change: %s", got)
	}
	pids := map[int]string{}
	pids[nft(t, "", "add chain ip old c { policy drop; }\nadd rule ip old c tcp dport 22 drop\nadd rule ip old c tcp dport 23 drop\n")] = "A"
	r.sample()
	pids[nft(t, "other", "table inet new {\nset banned { type ipv4_addr; }\nchain input { type filter hook input priority 5; policy accept; ip saddr @banned drop; }\n}\n")] = "B"
	r.sample()
	// No value of the table shows it.
	pids[nft(t, "other", "add element inet new banned { 10.0.0.1, 10.0.0.2 }\n")] = "C"
	r.sample()
	r.sample()
	want := []string{
		"changed ip old: A nft: chain c added or changed, 2 rules added in c",
		"added inet new: B nft: table added or changed, chain input added or changed, set banned added or changed, 1 rule added in input",
		"changed inet new: C nft: 2 elements added to banned",
	}
	if diff := cmp.Diff(want, firewallChanges(r.testRecording, pids)); diff != "" {
		t.Errorf("(-nft +recording):\n%s", diff)
	}
	for _, row := range r.rows("SELECT was, now FROM firewall_changes WHERE table_name = 'old'") {
		was, now := text(row["was"]), text(row["now"])
		if !strings.Contains(was, "rules=0 ") || !strings.Contains(was, "policy accept") || !strings.Contains(now, "rules=2 ") || !strings.Contains(now, "policy drop") {
			t.Errorf("from %q to %q", was, now)
		}
	}
	const newest = "SELECT family || ' ' || table_name || ' ' || chains || ' ' || rules || ' ' || sets || ' ' || coalesce(base_chains, '') AS t FROM firewall_now WHERE netns = ?"
	if diff := cmp.Diff([]string{"inet new 1 1 1 input filter hook input priority 5 policy accept"}, r.where(inode, newest)); diff != "" {
		t.Errorf("the table now (-want +got):\n%s", diff)
	}
	// They are the first suspects of events, with the process as culprit.
	events := r.rows("SELECT event, what, pid, comm FROM events WHERE object = 'firewall' ORDER BY ts")
	if len(events) != 3 || events[0]["what"] != "ip old: chain c added or changed, 2 rules added in c" || events[0]["comm"] != "nft" || pids[int(events[2]["pid"].(int64))] != "C" {
		t.Errorf("events: %v", events)
	}

	pids[nft(t, "", "delete table ip old\n")] = "D"
	ip(t, "netns del other")
	r.sample()
	list := firewallChanges(r.testRecording, pids)
	if got := list[len(want):]; len(got) < 1 || got[0] != "removed ip old: D nft: 2 rules removed from c, chain c removed, table removed" {
		t.Errorf("removed: %q", got)
	}
	if got := r.rows("SELECT * FROM firewall_now WHERE table_name = 'old'"); len(got) > 0 {
		t.Errorf("it is still there: %v", got)
	}
}

// Another port in a set that a rule has of its own is another rule. A program that bans addresses changes no rule: what it does in a second
// is one event, and the hash stays.
func TestFirewallElements(t *testing.T) {
	if !needNFT(t) {
		return
	}
	nft(t, "", "table ip t {\nset banned { type ipv4_addr; flags timeout; }\nchain c { tcp dport { 22, 80 } accept; ip saddr @banned drop; }\n}\n")
	r := newTestRun(t, "self")
	r.sample()
	hash := func() string {
		t.Helper()
		rows := r.rows("SELECT rules_hash FROM firewall_now")
		if len(rows) != 1 {
			t.Fatal(rows)
		}
		return text(rows[0]["rules_hash"])
	}
	before := hash()
	pids := map[int]string{}
	var bans []string
	for i := range 40 {
		bans = append(bans, fmt.Sprintf("add element ip t banned { 10.0.0.%d timeout 1h }", i))
	}
	pids[nft(t, "", bans...)] = "ban"
	r.sample()
	if got := hash(); got != before {
		t.Errorf("after bans the hash is %s, not %s", got, before)
	}
	handle, err := exec.Command("sh", "-c", "nft -a list table ip t | sed -n 's/.*dport.* # handle //p'").Output()
	if err != nil {
		t.Fatal(err)
	}
	pids[nft(t, "", "replace rule ip t c handle "+strings.TrimSpace(string(handle))+" tcp dport { 22, 443 } accept\n")] = "admin"
	r.sample()
	if got := hash(); got == before {
		t.Error("another port leaves the hash as it was")
	}
	var got []string
	for _, row := range r.rows("SELECT was, now, pid FROM firewall_changes ORDER BY ts") {
		got = append(got, fmt.Sprint(pids[int(row["pid"].(int64))], " ", strings.Contains(text(row["was"]), before) && strings.Contains(text(row["now"]), hash())))
	}
	if diff := cmp.Diff([]string{"ban false", "admin true"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func (r *testRun) outcomeIn(source string, inode uint64) string {
	r.t.Helper()
	return strings.Join(r.where(inode, "SELECT outcome FROM sources_now WHERE source = '"+source+"' AND netns = ?"), " ")
}

// Of several transactions between two samples each process has its own, and what stood between them is told as far as it is known; those
// of one process are summed.
func TestFirewallBurst(t *testing.T) {
	if !needNFT(t) {
		return
	}
	nft(t, "", "table ip t {\nchain c { accept; }\n}\n")
	r := newTestRun(t, "self")
	r.sample()
	pids := map[int]string{}
	pids[nft(t, "", "add rule ip t c drop", "add rule ip t c drop", "add rule ip t c drop", "add chain ip t d")] = "A"
	pids[nft(t, "", "add rule ip t d drop\n")] = "B"
	pids[nft(t, "", "table ip short { chain x { accept; }; }\n")] = "C"
	pids[nft(t, "", "delete table ip short\n")] = "D"
	r.sample()
	r.sample()
	want := []string{
		"changed ip t: A nft: 3 rules added in c, chain d added or changed (4 transactions)",
		"changed ip t: B nft: 1 rule added in d",
		"added ip short: C nft: table added or changed, chain x added or changed, 1 rule added in x",
		"removed ip short: D nft: 1 rule removed from x, chain x removed, table removed",
	}
	if diff := cmp.Diff(want, firewallChanges(r.testRecording, pids)); diff != "" {
		t.Errorf("(-nft +recording):\n%s", diff)
	}
	var between []string
	for _, row := range r.rows("SELECT table_name, chains, rules, sets, rules_hash FROM firewall_changes ORDER BY ts") {
		between = append(between, fmt.Sprint(row["table_name"], " ", row["chains"], " ", row["rules"], " ", row["sets"], " ", row["rules_hash"] != nil))
	}
	if diff := cmp.Diff([]string{"t <nil> 4 0 false", "t 2 5 0 true", "short <nil> 1 0 false", "short <nil> 1 0 false"}, between); diff != "" {
		t.Errorf("what stood between (-want +got):\n%s", diff)
	}
}

// Without the messages, samples show what they led to, and nobody is blamed. The generation tells that there is something to read.
func TestFirewallWithoutMessages(t *testing.T) {
	if !needNFT(t) {
		return
	}
	nft(t, "", "table ip t {\nchain c { accept; }\n}\n")
	r := newRecording(t)
	src := newFirewall(r.Writer, here(t)).(*firewall)
	t.Cleanup(src.close)
	sample := func() string {
		r.sample(src)
		src.done()
		return r.outcome("firewall")
	}
	if got := sample() + " " + sample(); got != "read kept" {
		t.Errorf("at rest: %s", got)
	}
	nft(t, "", "add rule ip t c drop\n")
	if got := sample() + " " + sample(); got != "read kept" {
		t.Errorf("after a change: %s", got)
	}
	if diff := cmp.Diff([]string{"changed ip t: nobody: "}, firewallChanges(r, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A sample that could not be written changes nothing for the next.
	nft(t, "", "add rule ip t c drop\n")
	r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(time.Duration(r.tick) * time.Second)})
	src.read(t.Context())
	ctx, cancel := contextCanceled(t)
	defer cancel()
	if err := r.Commit(ctx, store.Cost{}); err == nil {
		t.Fatal("the sample was written")
	}
	sample()
	if got := r.rows("SELECT rules FROM firewall_now"); len(got) != 1 || got[0]["rules"] != int64(3) {
		t.Errorf("after a sample that was lost: %v", got)
	}
}

// Messages that were lost are a gap, and the next sample shows what they led to.
func TestFirewallMessagesLost(t *testing.T) {
	if !needNFT(t) {
		return
	}
	nft(t, "", "table ip t {\nchain c { accept; }\n}\n")
	r := newTestRun(t, "self")
	r.sample()
	r.sample()
	s := r.run.networks[0].firewall
	// The kernel drops what finds no room.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1); err != nil {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock() // so that the monitor takes none
	nft(t, "", strings.Repeat("add rule ip t c drop\n", 500))
	s.mu.Unlock()
	r.sample()
	r.sample()
	if got := r.rows("SELECT rules FROM firewall_now"); len(got) != 1 || got[0]["rules"] != int64(501) {
		t.Errorf("now: %v", got)
	}
	if got := r.rows("SELECT detail FROM gaps WHERE source = 'firewall' AND kind = 'lost'"); len(got) != 1 || !strings.Contains(text(got[0]["detail"]), "were missed") {
		t.Errorf("gaps: %v", got)
	}
	if got := r.rows("SELECT change, rules FROM firewall_changes"); len(got) != 1 || got[0]["rules"] != int64(501) {
		t.Errorf("changes: %v", got)
	}
}

// A transaction that the rule set does not show yet waits for the sample that does.
func TestFirewallTransactionAfterReading(t *testing.T) {
	if !needNFT(t) {
		return
	}
	nft(t, "", "table ip t {\nchain c { accept; }\n}\n")
	r := newTestRun(t, "self")
	r.sample()
	r.sample()
	s := r.run.networks[0].firewall
	nft(t, "", "add rule ip t c drop\n")
	s.gather()
	later := s.received[len(s.received)-1]
	later.generation++
	later.comm = "later"
	s.received = append(s.received, later)
	r.sample()
	count := func(comm string) int64 {
		return r.rows("SELECT count(*) AS n FROM firewall_changes WHERE comm = ?", comm)[0]["n"].(int64)
	}
	if count("nft") != 1 || count("later") != 0 {
		t.Errorf("told too early: %v", r.rows("SELECT * FROM firewall_changes"))
	}
	nft(t, "", "add rule ip t c drop\n")
	r.sample()
	if count("later") != 1 {
		t.Errorf("not told: %v", r.rows("SELECT * FROM firewall_changes"))
	}
}

// That legacy tables exist is a row, without what is in them.
func TestLegacyTables(t *testing.T) {
	if !needNFT(t) {
		return
	}
	if out, err := exec.Command("iptables-legacy", "-t", "mangle", "-L").CombinedOutput(); err != nil {
		t.Skipf("iptables-legacy: %v: %s", err, out)
	}
	names, err := os.ReadFile("/proc/net/ip_tables_names")
	if err != nil || !strings.Contains(string(names), "mangle") {
		t.Skipf("the tables are %q, %v", names, err)
	}
	r := newRecording(t)
	src := newFirewall(r.Writer, here(t)).(*firewall)
	t.Cleanup(src.close)
	r.sample(src)
	src.done()
	want := []map[string]any{{"backend": "legacy", "family": "ip", "table_name": "mangle", "rules": nil, "rules_hash": nil}}
	if diff := cmp.Diff(want, r.rows("SELECT backend, family, table_name, rules, rules_hash FROM firewall_now WHERE table_name = 'mangle'")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// nftMessage is a message of nf_tables about a table of IPv4, with the attributes that follow the table.
func nftMessage(kind int, attributes ...any) []byte {
	body := []byte{unix.NFPROTO_IPV4, 0, 0, 7}
	if kind == unix.NFT_MSG_NEWGEN {
		body = []byte{0, 0, 0, 7}
	}
	for i := 0; i < len(attributes); i += 2 {
		value, ok := attributes[i+1].([]byte)
		if !ok {
			value = append([]byte(attributes[i+1].(string)), 0)
		}
		body = binary.NativeEndian.AppendUint16(body, uint16(4+len(value)))
		body = binary.NativeEndian.AppendUint16(body, uint16(attributes[i].(int)))
		body = append(body, value...)
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.NFNL_SUBSYS_NFTABLES<<8|kind))
	b = append(b, make([]byte, 10)...)
	return append(b, body...)
}

// nftGeneration is the message that ends a transaction.
func nftGeneration(generation, pid uint32, comm string) []byte {
	return nftMessage(unix.NFT_MSG_NEWGEN, unix.NFTA_GEN_ID, binary.BigEndian.AppendUint32(nil, generation),
		unix.NFTA_GEN_PROC_PID, binary.BigEndian.AppendUint32(nil, pid), unix.NFTA_GEN_PROC_NAME, comm)
}

// What is told in words, what is urgent, and the bounds.
func TestFirewallTransactions(t *testing.T) {
	t.Parallel()
	place := nftables.Place{Family: unix.NFPROTO_IPV4, Table: "t"}
	var q transactions
	element := nftMessage(unix.NFT_MSG_NEWSETELEM, 1, "t", 2, "s", 3, []byte{4, 0, 1, 0})
	if urgent := q.take(append(element, nftGeneration(8, 1, "ban")...), time.Second, 0); urgent != triggersALittle {
		t.Errorf("an element is as urgent as %d", urgent)
	}
	// Its messages may come in parts.
	rule := nftMessage(unix.NFT_MSG_NEWRULE, 1, "t", 2, "c")
	if urgent := q.take(rule, 2*time.Second, 0); urgent != notUrgent || len(q.list) != 1 {
		t.Errorf("half a transaction is as urgent as %d, and one of %d", urgent, len(q.list))
	}
	if urgent := q.take(nftGeneration(9, 2, "fw\x1b"), 3*time.Second, time.Millisecond); urgent != triggers || len(q.list) != 2 {
		t.Fatalf("a transaction is as urgent as %d, and one of %d", urgent, len(q.list))
	}
	x := q.list[1]
	if x.generation != 9 || x.pid != 2 || x.comm != `fw\x1b` && x.comm != `fw\u001b` || x.tables[place].text(&x) != "1 rule added in c" || x.at != 3*time.Second {
		t.Errorf("got %+v, %s", x, x.tables[place].text(&x))
	}
	// Part of one was lost.
	q.take(rule[:20], time.Second, 0)
	q.take(append(rule, nftGeneration(10, 2, "fw")...), 4*time.Second, 0)
	if x := q.list[2]; !q.lost || x.tables[place].text(&x) != "1 rule added in c, perhaps more: messages were lost" {
		t.Errorf("lost: %v, %s", q.lost, x.tables[place].text(&x))
	}
	// Many chains.
	for i := range 20 {
		q.take(nftMessage(unix.NFT_MSG_NEWCHAIN, 1, "t", 3, fmt.Sprint("c", i)), 5*time.Second, 0)
	}
	q.take(nftGeneration(11, 2, "fw"), 5*time.Second, 0)
	if x := q.list[3]; !strings.HasSuffix(x.tables[place].text(&x), "chain c11 added or changed, 8 more changes") {
		t.Errorf("many: %s", x.tables[place].text(&x))
	}
	for i := range 2 * queueLength {
		q.take(append(rule, nftGeneration(uint32(12+i), 2, "fw")...), 6*time.Second, 0)
	}
	if len(q.list) > queueLength || len(q.list)+q.overflow != 4+2*queueLength {
		t.Errorf("%d transactions wait, and %d were too many", len(q.list), q.overflow)
	}
}

// Transactions of one process are summed while they follow each other within a second, and not those of another between them.
func TestSummedTransactions(t *testing.T) {
	t.Parallel()
	place := nftables.Place{Family: unix.NFPROTO_IPV4, Table: "t"}
	at := func(ms int, pid uint32, kind int) transaction {
		change := &tableChange{}
		change.add(&nftables.Message{Kind: kind, Name: []byte("c")})
		return transaction{at: time.Duration(ms) * time.Millisecond, pid: pid, comm: "nft", count: 1, generation: uint32(ms), tables: map[nftables.Place]*tableChange{place: change}}
	}
	list := []transaction{at(0, 1, unix.NFT_MSG_NEWTABLE), at(400, 1, unix.NFT_MSG_NEWRULE), at(1000, 1, unix.NFT_MSG_NEWRULE), at(1100, 1, unix.NFT_MSG_DELTABLE), at(1200, 2, unix.NFT_MSG_NEWRULE), at(1300, 1, unix.NFT_MSG_NEWRULE)}
	for range 2 { // a sample that was lost sums them again
		var got []string
		for _, x := range summed(list) {
			c := x.tables[place]
			got = append(got, fmt.Sprint(x.pid, " ", x.at, " ", x.late, " ", x.generation, " ", c.rules, c.made, c.gone, ": ", c.text(&x)))
		}
		want := []string{
			"1 1s 1s 1000 2 true false: table added or changed, 2 rules added in c (3 transactions)",
			"1 1.1s 0s 1100 0 false true: table removed",
			"2 1.2s 0s 1200 1 false false: 1 rule added in c",
			"1 1.3s 0s 1300 1 false false: 1 rule added in c",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
