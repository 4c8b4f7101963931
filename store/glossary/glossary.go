// Package glossary says in plain words what the words of the network mean: states, flags, counters and reasons of drops.
package glossary

import (
	"cmp"
	"embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"weak"
)

//go:embed *.txt
var texts embed.FS

// An Entry says what a word means. Fields are empty where there is nothing to say.
type Entry struct {
	Word   string   `json:"word"`
	Kind   string   `json:"kind"`             // state, flag, column, counter, drop reason or term
	What   string   `json:"what"`             // it is
	Normal string   `json:"normal,omitempty"` // what is
	Worry  string   `json:"worry,omitempty"`  // when to
	Next   string   `json:"next,omitempty"`   // what to look at: a SELECT
	Also   []string `json:"also,omitempty"`   // other spellings

	HereSQL string   `json:"-"` // gives how it stands with that on the machine of a recording, as one sentence; "": nothing to measure
	Sources []string `json:"-"` // of the recorder, that this rests on
}

// parse reads entries: lines "key: value", and an empty line behind each entry. Counters, drop reasons and columns, whose sentence stands elsewhere,
// share one where the rest is the same, "word: Ip.A, B, C": each becomes an entry.
func parse(text string) ([]Entry, error) {
	var all []Entry
	var e Entry
	for i, line := range strings.Split(text+"\n", "\n") {
		key, value, ok := strings.Cut(line, ": ")
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case line == "":
			all = append(all, apart(e)...)
			e = Entry{}
			continue
		case !ok || value == "" || value != strings.TrimSpace(value), (key == "word") != (e.Word == ""):
			return nil, fmt.Errorf("line %d: %q", i+1, line)
		}
		field, known := map[string]*string{"word": &e.Word, "kind": &e.Kind, "what": &e.What, "normal": &e.Normal, "worry": &e.Worry, "next": &e.Next, "here": &e.HereSQL}[key]
		switch {
		case key == "also" && e.Also == nil:
			e.Also = strings.Split(value, ", ")
		case key == "sources" && e.Sources == nil:
			e.Sources = strings.Split(value, ", ")
		case !known || *field != "":
			return nil, fmt.Errorf("line %d: %q", i+1, line)
		default:
			*field = value
		}
	}
	return all, nil
}

// apart gives an entry for each of the words of e. A word without a group is of the group of the first.
func apart(e Entry) []Entry {
	switch {
	case e.Word == "":
		return nil
	case e.What != "":
		return []Entry{e}
	}
	words := strings.Split(e.Word, ", ")
	group, _, grouped := strings.Cut(words[0], ".")
	var all []Entry
	for _, word := range words {
		e.Word = word
		if grouped && !strings.Contains(word, ".") {
			e.Word = group + "." + word
		}
		all = append(all, e)
	}
	return all
}

// A reading is what the texts say.
type reading struct {
	written []Entry
	more    map[string]Entry // of those without a sentence of their own, by word: of counters, drop reasons and columns
}

// lastReading is kept as long as somebody uses it: the recorder needs the words once, and runs for ever.
var (
	lastReading    weak.Pointer[reading]
	lastReadingNow sync.Mutex
)

// read reads the texts. A test holds them well-formed.
func read() *reading {
	lastReadingNow.Lock()
	defer lastReadingNow.Unlock()
	if r := lastReading.Value(); r != nil {
		return r
	}
	r := &reading{more: map[string]Entry{}}
	files, err := texts.ReadDir(".")
	for _, f := range files {
		text, rerr := texts.ReadFile(f.Name())
		entries, perr := parse(string(text))
		if err = cmp.Or(err, rerr, perr); err == nil {
			r.written = append(r.written, entries...)
		}
	}
	if err != nil {
		r.written = nil
	}
	for _, e := range r.written {
		if e.What == "" {
			r.more[e.Word] = e
		}
	}
	lastReading = weak.Make(r)
	return r
}

// groups are those of counters whose words other groups share; see Counter.
var groups = []string{"TcpExt", "MPTcpExt", "IpExt", "Icmp6", "Icmp", "Ip6", "Ip", "Tcp", "UdpLite6", "UdpLite", "Udp6", "Udp", "ndisc_cache",
	"TCP6", "UDP6", "UDPLITE", "UDPLITE6", "RAW", "RAW6", "FRAG6"}

// Find gives the entries of a word, in any case and spelling: several counters may have one name.
func Find(word string) []Entry {
	var found []Entry
	add := func(e Entry) {
		if !slices.ContainsFunc(found, func(f Entry) bool { return f.Word == e.Word && f.Kind == e.Kind }) {
			found = append(found, measured(e))
		}
	}
	all := read().written
	word, setting := ofInterface(word)
	if everywhere.MatchString(word) {
		word = "0.0.0.0"
	}
	for _, e := range all {
		if e.What != "" && (strings.EqualFold(e.Word, word) || slices.ContainsFunc(e.Also, func(a string) bool { return strings.EqualFold(a, word) })) {
			if setting != "" {
				e.Word = setting
			}
			add(e)
		}
	}
	for _, key := range counterNames() {
		group, name, _ := strings.Cut(key, ".")
		if strings.EqualFold(word, key) || strings.EqualFold(word, group+name) || strings.EqualFold(word, name) {
			add(counterEntry(group, name))
		}
	}
	for _, group := range groups {
		if len(word) <= len(group) || !strings.EqualFold(word[:len(group)], group) {
			continue
		}
		if name := strings.TrimPrefix(word[len(group):], "."); len(found) == 0 && Counter(group, name) != "" {
			add(counterEntry(group, name))
		}
	}
	reason := strings.TrimPrefix(strings.ToUpper(word), "SKB_DROP_REASON_")
	if Drop(reason) != "" {
		add(dropEntry(reason))
	}
	return found
}

// everywhere is a socket that listens on every address, as netstat and ss write it: with any port.
var everywhere = regexp.MustCompile(`^(0\.0\.0\.0|\*|\[::\]|::):(\d+|\*|[a-z][a-z0-9-]*)$`)

// FindIn gives the entries of the words in a phrase: of "677 in Recv-Q ESTABLISHED" both. Words such as up and local, which are of common language, too, are passed over.
func FindIn(phrase string) []Entry {
	var found []Entry
	for _, word := range strings.Fields(phrase) {
		entries := Find(word)
		if len(entries) == 0 {
			entries = Find(strings.Trim(word, "?.,;()\"'`"))
		}
		for _, e := range entries {
			if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == "" && !slices.Contains([]string{"state", "column", "counter", "setting", "term"}, e.Kind) {
				continue
			}
			if !slices.ContainsFunc(found, func(f Entry) bool { return f.Word == e.Word && f.Kind == e.Kind }) {
				found = append(found, e)
			}
		}
	}
	return found
}

// ofInterface is the word for a setting of one interface: of all of them, which means the same; and that setting itself.
func ofInterface(word string) (all, setting string) {
	family, rest, is := strings.Cut(word, ".conf.")
	i := strings.LastIndexByte(rest, '.')
	if !is || i < 0 || family != "net.ipv4" && family != "net.ipv6" {
		return word, ""
	}
	return family + ".conf.all" + rest[i:], word
}

// anHourAgo is the time of an hour before the last sample, in the SQL of any program: at() is only of netsql.
const anHourAgo = "(SELECT max(ts) FROM samples) - 3600"

// counterEntry has what is said of the counter, or of that of a group that shares its sentences.
func counterEntry(group, name string) Entry {
	word := group + "." + name
	e := Entry{Kind: "counter"}
	for proto, known := group, false; proto != "" && !known; proto = shares[proto] {
		e, known = read().more[proto+"."+name]
	}
	if e.Worry == "" && typeWords(name) != "" { // of a type with a number no more is known than of all messages
		way, _, _ := strings.Cut(name, "Type")
		e = read().more["Icmp."+way+"Msgs"]
	}
	e.Word, e.Kind, e.What = word, "counter", Counter(group, name)
	if e.Next == "" {
		e.Next = "SELECT ts, netns, value FROM protocol_deltas WHERE ts > " + anHourAgo + " AND proto = '" + group + "' AND name = '" + name + "' AND value > 0"
	}
	return e
}

func counterNames() []string { return slices.Sorted(maps.Keys(counterWords)) }

// sharers are the groups of counters that take the words of another.
var sharers = map[string][]string{"Ip": {"Ip6"}, "IpExt": {"Ip6"}, "Icmp": {"Icmp6"}, "Udp": {"Udp6", "UdpLite", "UdpLite6"}, "arp_cache": {"ndisc_cache"},
	"TCP": {"TCP6"}, "UDP": {"UDP6", "UDPLITE", "UDPLITE6", "RAW", "RAW6"}, "FRAG": {"FRAG6"}}

// All are all entries, each with the spellings that people use.
func All() []Entry {
	all := read().written
	entries := slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return e.What == "" })
	for i, e := range entries {
		entries[i] = measured(e)
	}
	for _, key := range counterNames() {
		group, name, _ := strings.Cut(key, ".")
		e := measured(counterEntry(group, name))
		e.Also = []string{group + name, name}
		for _, other := range sharers[group] {
			if counterWords[other+"."+name] == "" && counterWords[group+"."+name] == Counter(other, name) {
				e.Also = append(e.Also, other+name)
			}
		}
		entries = append(entries, e)
	}
	for _, reason := range slices.Sorted(maps.Keys(dropReasons)) {
		entries = append(entries, dropEntry(reason))
	}
	return entries
}

// Column is what is said of a column beside the sentence of its table.
func Column(table, name string) Entry {
	e, ok := read().more[table+"."+name]
	if e.Word = name; !ok {
		return Entry{Word: name, Kind: "column"}
	}
	return measured(e)
}

func dropEntry(reason string) Entry {
	e := read().more[reason]
	e.Word, e.Kind, e.What = reason, "drop reason", Drop(reason)
	if e.Next == "" {
		e.Next = "SELECT ts, protocol, packets FROM packet_drops WHERE ts > " + anHourAgo + " AND reason = '" + reason + "' ORDER BY ts DESC"
	}
	return measured(e)
}

// Words are all words that Find knows, without their other spellings, and TABLE.COLUMN for those that Column knows.
func Words() []string {
	var words []string
	for _, e := range read().written {
		words = append(words, e.Word)
	}
	for _, key := range counterNames() {
		_, name, _ := strings.Cut(key, ".")
		words = append(words, key, name)
	}
	words = append(words, slices.Collect(maps.Keys(dropReasons))...)
	slices.Sort(words)
	return slices.Compact(words)
}
