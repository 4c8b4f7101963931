package glossary

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestCounterWords: no two counters of a group share a sentence, and most have one.
func TestCounterWords(t *testing.T) {
	t.Parallel()
	if len(counterWords) < 150 {
		t.Errorf("%d counters have words, want 150", len(counterWords))
	}
	group := map[string]string{}
	for name, words := range counterWords {
		proto, counter, _ := strings.Cut(name, ".")
		if !strings.HasSuffix(words, ".") || len(words) > 120 {
			t.Errorf("%s: %q is no short sentence", name, words)
		}
		if other, twice := group[proto+words]; twice && !strings.HasPrefix(counter, other[:6]) && !strings.HasPrefix(other, counter[:6]) && counter != "OutForwDatagrams" && other != "OutForwDatagrams" {
			t.Errorf("%s and %s of %s share a sentence", counter, other, proto)
		}
		group[proto+words] = counter
	}
	for _, name := range []string{"Ip6 InReceives", "Ip6 InOctets", "Icmp6 OutEchos", "UdpLite NoPorts", "UdpLite6 RcvbufErrors",
		"TCP6 inuse", "RAW inuse", "FRAG6 memory", "Ip6 OutForwDatagrams"} {
		proto, counter, _ := strings.Cut(name, " ")
		if Counter(proto, counter) == "" {
			t.Errorf("%s has no words", name)
		}
	}
	for _, name := range []string{"TcpExt NoSuch", "UDP6 nosuch", "Ip6 NoSuch", " "} {
		proto, counter, _ := strings.Cut(name, " ")
		if words := Counter(proto, counter); words != "" {
			t.Errorf("%s: %q", name, words)
		}
	}
}

// Every counter of the running kernel has an entry under each name that it is called by.
func TestCountersOfThisKernel(t *testing.T) {
	t.Parallel()
	var asked int
	want := func(group, name string) {
		asked++
		for _, word := range []string{group + "." + name, group + name} {
			if !slices.ContainsFunc(Find(word), func(e Entry) bool { return e.Word == group+"."+name && e.What != "" }) {
				t.Errorf("nothing on %s", word)
			}
		}
	}
	for _, file := range []string{"/proc/net/snmp", "/proc/net/netstat"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Skip(err)
		}
		lines := strings.Split(string(text), "\n")
		for i := 0; i+1 < len(lines); i += 2 {
			group, names, _ := strings.Cut(lines[i], ": ")
			for _, name := range strings.Fields(names) {
				if group != "IcmpMsg" {
					want(group, name)
				}
			}
		}
	}
	text, err := os.ReadFile("/proc/net/snmp6")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(text)) {
		name := strings.Fields(line)[0]
		for _, group := range []string{"UdpLite6", "Icmp6", "Udp6", "Ip6"} {
			if rest, ok := strings.CutPrefix(name, group); ok {
				want(group, rest)
				break
			}
		}
	}
	if asked < 200 {
		t.Errorf("%d counters, want 200", asked)
	}
}

func TestEntriesAreWellFormed(t *testing.T) {
	t.Parallel()
	files, err := texts.ReadDir(".")
	if err != nil || len(files) != 4 {
		t.Fatal(err, files)
	}
	for _, f := range files {
		text, err := texts.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(string(text)); err != nil {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
	all := written()
	if len(all) < 200 {
		t.Errorf("%d entries", len(all))
	}
	seen := map[string]bool{}
	for _, e := range all {
		if key := e.Kind + " " + e.Word; seen[key] {
			t.Errorf("%s stands twice", key)
		} else {
			seen[key] = true
		}
		// A state, a counter that has more than its sentence and a term are what people ask about at night.
		if slices.Contains([]string{"state", "counter", "term"}, e.Kind) && (e.Worry == "" && !slices.Contains([]string{"CLOSE"}, e.Word) || e.Next == "") {
			t.Errorf("%s (%s): when to worry, or what to look at next, is not said", e.Word, e.Kind)
		}
		if e.Kind == "" || e.What == "" && e.Kind != "counter" || e.Normal == "" && e.Kind != "unit" || e.Kind == "counter" && Counter(strings.Split(e.Word, ".")[0], strings.Split(e.Word, ".")[1]) == "" {
			t.Errorf("%+v", e)
		}
	}
	for _, wrong := range []string{"kind: state", "word: A\nwhat", "word: A\ncolour: red", "word: A\nwhat: ", "word: A\nwhat: b\nwhat: c", "word: A\nword: B"} {
		if got, err := parse(wrong); err == nil {
			t.Errorf("%q: %+v", wrong, got)
		}
	}
}

// Words are found as netstat, ss, ifconfig and nstat spell them.
func TestFind(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"Recv-Q": "recv_q", "RECV_Q": "recv_q", "RX-DRP": "rx_dropped", "ug": "UG", "0.0.0.0": "0.0.0.0", "CLOSE-WAIT": "CLOSE_WAIT", "estab": "ESTABLISHED",
		"ListenOverflows": "TcpExt.ListenOverflows", "TcpExtListenOverflows": "TcpExt.ListenOverflows", "tcpext.listenoverflows": "TcpExt.ListenOverflows",
		"no_socket": "NO_SOCKET", "SKB_DROP_REASON_NO_SOCKET": "NO_SOCKET", "Icmp6InType135": "Icmp6.InType135",
	} {
		if found := Find(word); len(found) != 1 || found[0].Word != want {
			t.Errorf("%s: %+v, want %s", word, found, want)
		}
	}
	if found := Find("InErrors"); len(found) < 2 {
		t.Errorf("InErrors: %+v", found)
	}
	for _, word := range []string{"", "nosuch", "TcpExt", "TcpExt.", "Icmp6InType"} {
		if found := Find(word); found != nil {
			t.Errorf("%q: %+v", word, found)
		}
	}
}

// Each spelling of an entry finds it.
func TestSpellings(t *testing.T) {
	t.Parallel()
	spellings := 0
	for _, e := range All() {
		for _, word := range append([]string{e.Word}, e.Also...) {
			spellings++
			if !slices.ContainsFunc(Find(word), func(f Entry) bool { return f.Word == e.Word || f.What == e.What }) {
				t.Errorf("%s does not find %s", word, e.Word)
			}
		}
	}
	if spellings < 1200 {
		t.Errorf("%d spellings", spellings)
	}
}
