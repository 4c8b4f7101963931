package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"

	"netsql/store"
	"netsql/store/glossary"
)

// protocolCounters records everything in /proc/net/{snmp,snmp6,netstat,sockstat,sockstat6,xfrm_stat}, from /proc/net/protocols how many
// sockets there are of the kinds that the table sockets leaves out, and from /proc/net/stat/nf_conntrack what the table conntrack leaves out.
type protocolCounters struct {
	source *store.Source
	netns  store.Int // unknown: they are of the whole machine
	set    *store.Set[store.ProtocolCounterID, store.ProtocolCounter]
	file   *procFile
	files  []*counterFile

	symptoms *symptoms // nil: nobody looks for them
}

// A counterFile is one of the files, and what was in it last time. The kernel gives the
// counters in the same order each time, so that those which did not move, nearly all, cost
// a comparison.
type counterFile struct {
	name     string
	path     string
	parse    func(text []byte, visit counterVisit) error
	counters []knownCounter
}

type knownCounter struct {
	id      store.ProtocolCounterID
	kind    string
	words   string
	value   store.Int
	sign    sign
	subject *store.Subject[store.ProtocolCounterID, store.ProtocolCounter]
}

// A counterVisit is called for each counter of a file.
type counterVisit func(proto, name []byte, value store.Int)

func newProtocolCounters(w *store.Writer, ns namespace) source {
	s := &protocolCounters{source: w.SourceIn(ns.id, "protocol_counters"), netns: ns.id, file: ns.procFile()}
	s.set = store.NewSet(s.source, store.ProtocolCounters)
	dir := ns.proc + "/net/"
	s.files = []*counterFile{
		{name: "snmp", path: dir + "snmp", parse: parsePairs},
		{name: "snmp6", path: dir + "snmp6", parse: parseSnmp6},
		{name: "netstat", path: dir + "netstat", parse: parsePairs},
		{name: "sockstat", path: dir + "sockstat", parse: parseSockstat},
		{name: "sockstat6", path: dir + "sockstat6", parse: parseSockstat},
		{name: "protocols", path: dir + "protocols", parse: parseProtocols},
		{name: "xfrm_stat", path: dir + "xfrm_stat", parse: parseXfrm},
		{name: "nf_conntrack", path: dir + "stat/nf_conntrack", parse: parseConntrackStat},
	}
	return s
}

// newMachineCounters records the counters of the whole machine: of the tables of neighbours, which all network namespaces share, and
// how many files are open.
func newMachineCounters(w *store.Writer, ns namespace) source {
	s := &protocolCounters{source: w.Source("protocol_counters"), file: ns.procFile()}
	s.set = store.NewSet(s.source, store.ProtocolCounters)
	s.files = []*counterFile{{name: "file-nr", path: "/proc/sys/fs/file-nr", parse: parseFileNr}}
	for _, name := range [...]string{"arp_cache", "ndisc_cache"} {
		group := []byte(name)
		s.files = append(s.files, &counterFile{name: name, path: neighborStat(ns.proc, name), parse: func(text []byte, visit counterVisit) error {
			return parseCPUs(text, func(title []byte, value store.Int) { visit(group, title, value) })
		}})
	}
	return s
}

// neighborStat is the file with the counters of a table of neighbours. The kernel shows it in its first network namespace only, where
// the first process is, unless that is the first of a container.
func neighborStat(proc, name string) string {
	for _, dir := range [...]string{proc, "/proc/1"} {
		if path := dir + "/net/stat/" + name; unix.Access(path, unix.R_OK) == nil {
			return path
		}
	}
	return proc + "/net/stat/" + name
}

func (s *protocolCounters) read(context.Context) {
	s.source.Read(func() error {
		for _, f := range s.files {
			text, err := s.file.read(f.path)
			if errors.Is(err, fs.ErrNotExist) && f.name != "snmp" {
				continue // a kernel without IPv6, say
			}
			if err == nil {
				err = s.record(f, text)
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", f.path, err)
			}
		}
		return nil
	})
}

func (s *protocolCounters) record(f *counterFile, text []byte) error {
	n := 0
	err := f.parse(text, func(proto, name []byte, value store.Int) {
		if n == len(f.counters) {
			f.counters = append(f.counters, knownCounter{})
		}
		c := &f.counters[n]
		n++
		if c.id.Name != string(name) || c.id.Proto != string(proto) {
			*c = s.learn(f.name, string(proto), string(name))
		}
		if c.sign != noSign {
			s.symptoms.lookAtCounter(c, value)
		}
		if c.value == value && s.set.Keep(c.subject) {
			return
		}
		c.value = value
		c.subject = s.set.Put(c.id, store.ProtocolCounter{Kind: c.kind, Description: c.words, Value: value})
	})
	f.counters = f.counters[:n]
	return err
}

func (s *protocolCounters) learn(file, proto, name string) knownCounter {
	c := knownCounter{
		id:   store.ProtocolCounterID{NetNS: s.netns, File: file, Proto: proto, Name: name},
		kind: "counter", words: glossary.Counter(proto, name), sign: signOf(proto, name),
	}
	if protocolGauge(file, proto, name) {
		c.kind = "gauge"
	}
	return c
}

// protocolGauge tells the numbers that go up and down, or are settings.
func protocolGauge(file, proto, name string) bool {
	if file == "sockstat" || file == "sockstat6" || file == "protocols" || file == "file-nr" {
		return true
	}
	switch proto + "." + name {
	case "Ip.Forwarding", "Ip.DefaultTTL",
		"Tcp.RtoAlgorithm", "Tcp.RtoMin", "Tcp.RtoMax", "Tcp.MaxConn", "Tcp.CurrEstab",
		"MPTcpExt.MPCurrEstab",
		"arp_cache.entries", "ndisc_cache.entries":
		return true
	}
	return false
}

// parsePairs reads snmp and netstat: lines in pairs, the names and then the values, each
// after the group's name.
func parsePairs(text []byte, visit counterVisit) error {
	for len(text) > 0 {
		var names, values []byte
		names, text = nextLine(text)
		values, text = nextLine(text)
		proto, names, ok := bytes.Cut(names, []byte{':'})
		again, values, ok2 := bytes.Cut(values, []byte{':'})
		if !ok || !ok2 || !bytes.Equal(proto, again) {
			return fmt.Errorf("%.20q and %.20q are no pair of lines", proto, again)
		}
		for {
			var name, word []byte
			name, names = nextField(names)
			word, values = nextField(values)
			if len(name) == 0 && len(word) == 0 {
				break
			}
			if len(name) == 0 || len(word) == 0 {
				return fmt.Errorf("%.20s has not as many values as names", proto)
			}
			value, err := counterValue(word)
			if err != nil {
				return fmt.Errorf("%.20s %.40s: %w", proto, name, err)
			}
			visit(proto, name, value)
		}
	}
	return nil
}

// parseSnmp6 reads snmp6: a name and a value on each line. The group ends with the
// first 6 of the name: Ip6, Icmp6, Udp6, UdpLite6.
func parseSnmp6(text []byte, visit counterVisit) error {
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		name, rest := nextField(line)
		word, _ := nextField(rest)
		end := bytes.IndexByte(name, '6') + 1
		if end == len(name) || len(name) == 0 {
			return fmt.Errorf("%.40q names no counter", line)
		}
		value, err := counterValue(word)
		if err != nil {
			return fmt.Errorf("%.40s: %w", name, err)
		}
		visit(name[:end], name[end:], value)
	}
	return nil
}

// parseSockstat reads sockstat and sockstat6: a group, then names and values in turn.
func parseSockstat(text []byte, visit counterVisit) error {
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		proto, rest, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			return fmt.Errorf("%.40q names no group", line)
		}
		for {
			var name, word []byte
			if name, rest = nextField(rest); len(name) == 0 {
				break
			}
			word, rest = nextField(rest)
			value, err := counterValue(word)
			if err != nil {
				return fmt.Errorf("%.20s %.40s: %w", proto, name, err)
			}
			visit(proto, name, value)
		}
	}
	return nil
}

var socketsWord = []byte("sockets")

// parseProtocols reads protocols: after a line of titles, on each line a kind of socket, the size of one, and how many there
// are. Of some kinds the kernel always says 0 (AF_VSOCK); so only those are taken that it counts, and of which some kernels
// have no dump for the table sockets.
func parseProtocols(text []byte, visit counterVisit) error {
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		kind, rest := nextField(line)
		switch string(kind) {
		case "XDP", "SCTP", "SCTPv6":
		default:
			continue
		}
		_, rest = nextField(rest)
		word, _ := nextField(rest)
		value, err := counterValue(word)
		if err != nil {
			return fmt.Errorf("%.20s: %w", kind, err)
		}
		visit(kind, socketsWord, value)
	}
	return nil
}

var (
	xfrmGroup      = []byte("Xfrm")
	conntrackGroup = []byte("nf_conntrack")
	fileGroup      = []byte("files")
	allocatedWord  = []byte("allocated")
	maxWord        = []byte("max")
)

// parseXfrm reads xfrm_stat: a name and a value on each line.
func parseXfrm(text []byte, visit counterVisit) error {
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		name, rest := nextField(line)
		word, _ := nextField(rest)
		if len(name) == 0 {
			return fmt.Errorf("%.40q names no counter", line)
		}
		value, err := counterValue(word)
		if err != nil {
			return fmt.Errorf("%.40s: %w", name, err)
		}
		visit(xfrmGroup, name, value)
	}
	return nil
}

// parseConntrackStat reads stat/nf_conntrack, but for what the table conntrack has.
func parseConntrackStat(text []byte, visit counterVisit) error {
	return parseCPUs(text, func(title []byte, value store.Int) {
		switch string(title) {
		case "entries", "drop", "early_drop", "insert_failed":
		default:
			visit(conntrackGroup, title, value)
		}
	})
}

// mostTitles is how many columns a file of /proc/net/stat may have.
const mostTitles = 64

// parseCPUs reads a file of /proc/net/stat: a line of titles, and then one of hexadecimal numbers for each CPU, which are added up. How many
// entries there are, every line says of all CPUs.
func parseCPUs(text []byte, visit func(title []byte, value store.Int)) error {
	var sums [mostTitles]uint64
	titles, text := nextLine(text)
	cpus := 0
	for ; len(text) > 0; cpus++ {
		var line []byte
		line, text = nextLine(text)
		names := titles
		for i := 0; ; i++ {
			var name, word []byte
			name, names = nextField(names)
			word, line = nextField(line)
			if len(name) == 0 && len(word) == 0 {
				break
			}
			if len(name) == 0 || len(word) == 0 || i == mostTitles {
				return fmt.Errorf("not as many values as titles in %.80q", titles)
			}
			n, err := strconv.ParseUint(string(word), 16, 64)
			if err != nil {
				return fmt.Errorf("%.40s: %w", name, err)
			}
			if string(name) == "entries" {
				sums[i] = 0
			}
			sums[i] += n
		}
	}
	if cpus == 0 {
		return nil
	}
	for i := 0; ; i++ {
		var name []byte
		if name, titles = nextField(titles); len(name) == 0 {
			return nil
		}
		visit(name, store.Of(sums[i]))
	}
}

// parseFileNr reads /proc/sys/fs/file-nr: open files, a number that is 0 since Linux 2.6, and the most there may be.
func parseFileNr(text []byte, visit counterVisit) error {
	line, _ := nextLine(text)
	allocated, rest := nextField(line)
	_, rest = nextField(rest)
	most, _ := nextField(rest)
	for _, field := range [...]struct{ name, word []byte }{{allocatedWord, allocated}, {maxWord, most}} {
		value, err := counterValue(field.word)
		if err != nil {
			return fmt.Errorf("%s files: %w", field.name, err)
		}
		visit(fileGroup, field.name, value)
	}
	return nil
}

// counterValue reads an unsigned 64-bit count, or a negative number: Tcp MaxConn is -1.
func counterValue(word []byte) (store.Int, error) {
	if len(word) > 0 && word[0] == '-' {
		n, err := strconv.ParseInt(string(word), 10, 64)
		if err != nil {
			return store.Int{}, err
		}
		return store.Of(n), nil
	}
	n, err := strconv.ParseUint(string(word), 10, 64)
	if err != nil {
		return store.Int{}, err
	}
	return store.Of(n), nil
}
