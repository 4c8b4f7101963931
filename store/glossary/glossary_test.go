package glossary

import (
	"maps"
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
	for _, counter := range kernelCounters(t) {
		for _, word := range []string{counter, strings.Replace(counter, ".", "", 1)} {
			if !slices.ContainsFunc(Find(word), func(e Entry) bool { return e.Word == counter && e.What != "" }) {
				t.Errorf("nothing on %s", word)
			}
		}
	}
}

// kernelCounters are those of /proc/net that the recorder reads, as GROUP.NAME. Those of IcmpMsg have numbers for names.
func kernelCounters(t *testing.T) (all []string) {
	t.Helper()
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
					all = append(all, group+"."+name)
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
				all = append(all, group+"."+rest)
				break
			}
		}
	}
	if len(all) < 200 {
		t.Errorf("%d counters, want 200", len(all))
	}
	return all
}

func TestEntriesAreWellFormed(t *testing.T) {
	t.Parallel()
	files, err := texts.ReadDir(".")
	if err != nil || len(files) != 6 {
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
	all := read().written
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
		// A state and a term are what people ask about at night.
		if slices.Contains([]string{"state", "term"}, e.Kind) && (e.Worry == "" && e.Word != "CLOSE" || e.Next == "") {
			t.Errorf("%s (%s): when to worry, or what to look at next, is not said", e.Word, e.Kind)
		}
		if e.Kind == "" || e.What == "" && !slices.Contains([]string{"counter", "drop reason", "column"}, e.Kind) || e.Normal == "" && e.Kind != "unit" || e.Kind == "counter" && Counter(strings.Split(e.Word, ".")[0], strings.Split(e.Word, ".")[1]) == "" {
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

// Of each counter of the running kernel, of each that has words and of each reason of a drop it is said what is normal, when to worry and what
// to look at next.
func TestCountersAndDropsSayWhenToWorry(t *testing.T) {
	t.Parallel()
	words := slices.Concat(counterNames(), slices.Collect(maps.Keys(dropReasons)), kernelCounters(t))
	for _, word := range words {
		i := slices.IndexFunc(Find(word), func(e Entry) bool { return e.Word == word })
		if i < 0 {
			t.Errorf("nothing on %s", word)
			continue
		}
		if e := Find(word)[i]; e.What == "" || e.Normal == "" || e.Worry == "" || e.Next == "" {
			t.Errorf("%s: what %q, normal %q, worry %q, next %q", e.Word, e.What, e.Normal, e.Worry, e.Next)
		}
	}
	for _, e := range read().more {
		if e.Kind == "drop reason" && Drop(e.Word) == "" || e.Worry == "" || e.Normal == "" {
			t.Errorf("%+v is no reason of a drop, or does not say when to worry", e)
		}
		for _, sentence := range []string{e.Normal, e.Worry} {
			if !strings.HasSuffix(sentence, ".") || len(sentence) > 200 {
				t.Errorf("%s: %q is no short sentence", e.Word, sentence)
			}
		}
	}
}

// A group that has no word of its own takes those of the group whose sentence it has, and no other's.
func TestSharedWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ word, of string }{
		{"Ip6.InDiscards", "Ip.InDiscards"}, {"Ip6.InOctets", "IpExt.InOctets"}, {"Icmp6.InErrors", "Icmp.InErrors"}, {"UdpLite6.NoPorts", "Udp.NoPorts"},
		{"ndisc_cache.table_fulls", "arp_cache.table_fulls"}, {"Icmp6.OutType135", "Icmp.OutMsgs"}, {"RAW6.inuse", "UDP.inuse"}, {"FRAG6.memory", "FRAG.memory"},
	} {
		got, want := Find(test.word), read().more[test.of]
		if len(got) != 1 || want.Worry == "" || got[0].Worry != want.Worry || got[0].Normal != want.Normal {
			t.Errorf("%s: %+v, want what %s has: %+v", test.word, got, test.of, want)
		}
	}
	got, err := parse("word: Ip.A, B, Tcp.C\nkind: counter\nnormal: 0.\n\nword: D, E\nkind: drop reason\nnormal: 1.\n\nword: F, G\nkind: term\nwhat: h")
	var words []string
	for _, e := range got {
		words = append(words, e.Word+" "+e.Normal)
	}
	if want := []string{"Ip.A 0.", "Ip.B 0.", "Tcp.C 0.", "D 1.", "E 1.", "F, G "}; err != nil || !slices.Equal(words, want) {
		t.Errorf("%q %v, want %q", words, err, want)
	}
}
