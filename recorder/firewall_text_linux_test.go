package recorder

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/recorder/internal/kernel"
	"netsql/store"
)

// listedByNFT is what nft says of a table, as it is to be recorded.
func listedByNFT(t *testing.T, place string) string {
	t.Helper()
	out, err := exec.Command("nft", append([]string{"-s", "-t", "list", "table"}, strings.Fields(place)...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// ruleTexts are the texts of a sample, or why there is none, by table.
func ruleTexts(r *testRecording, at int) map[string]string {
	r.t.Helper()
	texts := map[string]string{}
	for _, row := range r.rows(`SELECT family || ' ' || table_name AS place, text, bytes, note FROM firewall_text
		WHERE ts = (SELECT ts FROM samples ORDER BY ts LIMIT 1 OFFSET ?)`, at) {
		switch row["text"] {
		case nil:
			texts[text(row["place"])] = "note: " + text(row["note"])
		default:
			if texts[text(row["place"])] = text(row["text"]); row["note"] != nil || row["bytes"] != int64(len(text(row["text"]))) {
				r.t.Errorf("%v: %v bytes, note %v", row["place"], row["bytes"], row["note"])
			}
		}
	}
	return texts
}

// What the rules say is what nft lists, as it was at every sample. nft is run once for a change of the rules, and not for what leaves them
// as they are.
func TestFirewallText(t *testing.T) {
	if !needNFT(t) {
		return
	}
	ownRun(t)
	ip(t, "netns add other")
	nft(t, "other", "table ip t { chain c { accept; }; }\n")
	nft(t, "", "table inet f {\nset banned { type ipv4_addr; flags timeout; }\nchain c { type filter hook input priority 5; tcp dport { 22, 80 } counter accept comment \"ways, in ü\"; ip saddr @banned drop; }\n}\n"+
		"table ip empty {\n}\n")
	r := newTestRun(t, "all")
	r.run.Firewall = true
	r.sample()
	first := map[string]string{"inet f": listedByNFT(t, "inet f"), "ip empty": listedByNFT(t, "ip empty"), "ip t": "note: recorded in the network namespace of the recorder only"}
	if !strings.Contains(first["inet f"], `tcp dport { 22, 80 } counter accept comment "ways, in ü"`) {
		t.Fatal(first)
	}
	if diff := cmp.Diff(first, ruleTexts(r.testRecording, 0)); diff != "" {
		t.Errorf("at first (-nft +recording):\n%s", diff)
	}
	var x *rulesText
	for _, n := range r.run.networks {
		if n.own {
			x = n.firewall.text
		}
	}
	runs := 0
	x.now, x.pause = func() time.Duration { return time.Hour }, 0 // on a busy machine nft takes long
	x.list = func(ctx context.Context) ([]byte, error) { runs++; return listRules(ctx) }
	tuples := func() int64 {
		return r.rows("SELECT count(*) AS n FROM firewall_rules_tuple WHERE text IS NOT NULL")[0]["n"].(int64)
	}
	r.sample()
	nft(t, "", "add element inet f banned { 10.0.0.1 timeout 1h, 10.0.0.2 timeout 1h }\n")
	r.sample()
	if runs != 0 || tuples() != 2 {
		t.Errorf("nft was run %d times for elements, and there are %d texts", runs, tuples())
	}
	nft(t, "", "add rule inet f c udp dport 53 accept\n")
	r.sample()
	last := map[string]string{"inet f": listedByNFT(t, "inet f"), "ip empty": first["ip empty"], "ip t": first["ip t"]}
	r.sample()
	if runs != 1 || tuples() != 3 {
		t.Errorf("nft was run %d times for a rule, and there are %d texts", runs, tuples())
	}
	nft(t, "", "delete table inet f\n")
	r.sample()
	for at, want := range []map[string]string{first, first, first, last, last, {"ip empty": first["ip empty"], "ip t": first["ip t"]}} {
		if diff := cmp.Diff(want, ruleTexts(r.testRecording, at)); diff != "" {
			t.Errorf("sample %d (-nft +recording):\n%s", at, diff)
		}
	}
	// A sample that could not be written leaves nothing out of the next.
	nft(t, "", "add chain ip empty c { drop; }\n")
	ctx, cancel := contextCanceled(t)
	defer cancel()
	if err := r.run.sample(ctx); err == nil {
		t.Fatal("the sample was written")
	}
	r.sample()
	if got, want := ruleTexts(r.testRecording, 6)["ip empty"], listedByNFT(t, "ip empty"); got != want || !strings.Contains(got, "drop") {
		t.Errorf("after a sample that was lost: %s", got)
	}
}

// Without the flag nothing is recorded, and what an earlier run recorded is not said to hold.
func TestFirewallTextIsOff(t *testing.T) {
	if !needNFT(t) {
		return
	}
	nft(t, "", "table ip t {\nchain c { accept; }\n}\n")
	r := newTestRun(t, "self")
	r.sample()
	nft(t, "", "add rule ip t c drop\n")
	r.sample()
	if got := r.rows("SELECT * FROM firewall_text"); len(got) != 0 {
		t.Errorf("recorded: %v", got)
	}
	if c := rulesCapability(false); c.Available || !strings.Contains(c.Detail, "--firewall") {
		t.Errorf("capability: %+v", c)
	}
}

// Where there is no text the recording says why, and has it as soon as it can be had.
func TestFirewallTextUnknown(t *testing.T) {
	if !needNFT(t) {
		return
	}
	nft(t, "", "table ip t {\nchain c { accept; }\n}\n")
	r := newRecording(t)
	src := newFirewall(r.Writer, here(t)).(*firewall)
	t.Cleanup(src.close)
	src.withText(true)
	now, runs := time.Hour, 0
	src.text.now = func() time.Duration { return now }
	sample := func(list func() ([]byte, error)) string {
		t.Helper()
		src.text.list = func(ctx context.Context) ([]byte, error) {
			runs++
			if list == nil {
				return listRules(ctx)
			}
			return list()
		}
		r.sample(src)
		src.done()
		return ruleTexts(r, r.tick-1)["ip t"]
	}
	change := func() { nft(t, "", "add rule ip t c drop\n") }
	fails := func(err error) func() ([]byte, error) { return func() ([]byte, error) { return nil, err } }
	known := func() string { return listedByNFT(t, "ip t") }

	if got := sample(fails(errNoNFT)); got != "note: nft is not installed" {
		t.Errorf("without nft: %s", got)
	}
	// Nothing tells that it was installed, but the next change.
	if got := sample(nil); got != "note: nft is not installed" || runs != 1 {
		t.Errorf("without a change: %s, %d runs", got, runs)
	}
	change()
	if got := sample(nil); got != known() {
		t.Errorf("with nft: %s", got)
	}
	change()
	if got := sample(fails(&exec.Error{Name: "nft", Err: exec.ErrNotFound})); got != "note: nft is not installed" {
		t.Errorf("deinstalled: %s", got)
	}
	// The rules change while they are listed.
	change()
	if got := sample(func() ([]byte, error) { list, err := listRules(t.Context()); change(); return list, err }); got != "note: the rules changed while nft listed them" {
		t.Errorf("restless: %s", got)
	}
	if got := sample(nil); got != known() {
		t.Errorf("after that: %s", got)
	}
	// It takes a moment, and may do so at every change.
	for range 2 {
		change()
		if got := sample(func() ([]byte, error) { now += 50 * time.Millisecond; return listRules(t.Context()) }); got != known() {
			t.Errorf("in a moment: %s", got)
		}
	}
	// It takes long: it is not run again before 20 times as long has passed.
	change()
	if got := sample(func() ([]byte, error) { now += 100 * time.Millisecond; return listRules(t.Context()) }); got != known() {
		t.Errorf("slowly: %s", got)
	}
	change()
	now += 1899 * time.Millisecond
	runs = 0
	for range 2 {
		if got := sample(nil); got != "note: the rules have changed, and nft is not run more often because it takes long" || runs != 0 {
			t.Errorf("too early: %s, %d runs", got, runs)
		}
	}
	now += 101 * time.Millisecond
	if got := sample(nil); got != known() || runs != 1 {
		t.Errorf("in time: %s, %d runs", got, runs)
	}
	// It fails, and is asked again when the pause is over.
	change()
	if got := sample(func() ([]byte, error) { now += time.Second; return nil, errors.New("nft took longer than 1s") }); got != "note: nft took longer than 1s" {
		t.Errorf("hung: %s", got)
	}
	now += 20 * time.Second
	if got := sample(nil); got != known() {
		t.Errorf("after that: %s", got)
	}
	// A text that is too long.
	long := func(n int) func() ([]byte, error) {
		head, tail := "table ip t {\n", "\n}\n"
		return func() ([]byte, error) { return []byte(head + strings.Repeat("x", n-len(head)-len(tail)) + tail), nil }
	}
	change()
	if got := sample(long(256 << 10)); len(got) != 256<<10 {
		t.Errorf("as long as may be: %d bytes", len(got))
	}
	change()
	if got := sample(long(256<<10 + 1)); got != "note: longer than 262144 bytes: not recorded" {
		t.Errorf("too long: %d bytes, %.100s", len(got), got)
	}
	if got := r.rows("SELECT bytes FROM firewall_text_now"); len(got) != 1 || got[0]["bytes"] != int64(256<<10+1) {
		t.Errorf("too long: %v", got)
	}
	change()
	if got := sample(func() ([]byte, error) { return nil, nil }); got != "note: nft does not list the table" {
		t.Errorf("an empty list: %s", got)
	}
}

// What nft prints is parted into tables; what else it prints belongs to none. What cannot be printed is escaped, and that is said.
func TestTextsOfTables(t *testing.T) {
	t.Parallel()
	list := "# Warning: table ip filter is managed by iptables-nft, do not touch!\ntable ip filter {\n\tchain c {\n\t}\n}\ntable inet a {\n}\n\ntable ip6 a b {\n\tset s {\n\t}\n}\ntable ip cut {\n"
	got := map[string]string{}
	for name, text := range tablesIn([]byte(list)) {
		got[strings.Join(name[:], " ")] = string(text)
	}
	want := map[string]string{"ip filter": "table ip filter {\n\tchain c {\n\t}\n}\n", "inet a": "table inet a {\n}\n", "ip6 a b": "table ip6 a b {\n\tset s {\n\t}\n}\n"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const text = "table ip t {\n\t\tx comment \"a\x1b[1m\tb\xff\"\n}\n"
	if v := ruleText([]byte(text)); v.Text != "table ip t {\n\t\tx comment \"a\\x1b[1m\\tb\\xff\"\n}\n" || v.Note != "what cannot be printed is escaped" || v.Bytes != store.Of(len(text)) {
		t.Errorf("got %q, %q, %v", v.Text, v.Note, v.Bytes)
	}
}

// The program has a time limit and a limit of what it prints, gets nothing of our environment, and its error is told.
func TestRunListing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, script, out, err string }{
		{"prints", "echo a; echo b >&2", "a\n", ""},
		{"environment", "env | sort | grep -v -e ^_= -e ^PWD= -e ^SHLVL=; pwd", "LC_ALL=C\n/\n", ""},
		{"fails", "echo 'Error: no' >&2; echo more >&2; exit 3", "", "nft: exit status 3: Error: no"},
		{"hangs", "exec sleep 1000", "", "nft took longer than 300ms"},
		{"leaves a child that holds the pipe", "sleep 1000 & exec sleep 1000", "", "nft took longer than 300ms"},
		{"prints without end", "exec yes", "", fmt.Sprintf("nft lists more than %d bytes: not recorded", 8<<20)},
	} {
		within := 300 * time.Millisecond
		if c.err == "" || strings.HasPrefix(c.err, "nft: ") || strings.HasPrefix(c.err, "nft lists") {
			within = time.Minute
		}
		begin := kernel.SinceBoot()
		out, err := runListing(t.Context(), within, "/bin/sh", "-c", c.script)
		if string(out) != c.out || (err != nil) != (c.err != "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %q, %v", c.name, out, err)
		}
		if took := kernel.SinceBoot() - begin; took > 50*time.Second {
			t.Errorf("%s took %v", c.name, took)
		}
	}
}
