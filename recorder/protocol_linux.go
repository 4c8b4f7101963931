package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"netsql/store"
)

// protocolCounters records everything in /proc/net/{snmp,snmp6,netstat,sockstat,sockstat6}, and from /proc/net/protocols how many
// sockets there are of the kinds that the table sockets leaves out.
type protocolCounters struct {
	source *store.Source
	ns     namespace
	set    *store.Set[store.ProtocolCounterID, store.ProtocolCounter]
	file   *procFile
	files  []*counterFile
}

// A counterFile is one of the files, and what was in it last time. The kernel gives the
// counters in the same order each time, so that those which did not move, nearly all, cost
// a comparison.
type counterFile struct {
	name     string
	parse    func(text []byte, visit counterVisit) error
	counters []knownCounter
}

type knownCounter struct {
	id      store.ProtocolCounterID
	kind    string
	words   string
	value   store.Int
	subject *store.Subject[store.ProtocolCounterID, store.ProtocolCounter]
}

// A counterVisit is called for each counter of a file.
type counterVisit func(proto, name []byte, value store.Int)

func newProtocolCounters(w *store.Writer, ns namespace) source {
	s := &protocolCounters{source: w.SourceIn(ns.id, "protocol_counters"), ns: ns, file: ns.procFile()}
	s.set = store.NewSet(s.source, store.ProtocolCounters)
	s.files = []*counterFile{
		{name: "snmp", parse: parsePairs},
		{name: "snmp6", parse: parseSnmp6},
		{name: "netstat", parse: parsePairs},
		{name: "sockstat", parse: parseSockstat},
		{name: "sockstat6", parse: parseSockstat},
		{name: "protocols", parse: parseProtocols},
	}
	return s
}

func (s *protocolCounters) read(context.Context) {
	s.source.Read(func() error {
		for _, f := range s.files {
			path := s.ns.proc + "/net/" + f.name
			text, err := s.file.read(path)
			if errors.Is(err, fs.ErrNotExist) && f.name != "snmp" {
				continue // a kernel without IPv6, say
			}
			if err == nil {
				err = s.record(f, text)
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", path, err)
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
		} else if c.value == value && s.set.Keep(c.subject) {
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
		id:   store.ProtocolCounterID{NetNS: s.ns.id, File: file, Proto: proto, Name: name},
		kind: "counter", words: protocolWords(proto, name),
	}
	if protocolGauge(file, proto, name) {
		c.kind = "gauge"
	}
	return c
}

// protocolGauge tells the numbers that go up and down, or are settings.
func protocolGauge(file, proto, name string) bool {
	if file == "sockstat" || file == "sockstat6" || file == "protocols" {
		return true
	}
	switch proto + "." + name {
	case "Ip.Forwarding", "Ip.DefaultTTL",
		"Tcp.RtoAlgorithm", "Tcp.RtoMin", "Tcp.RtoMax", "Tcp.MaxConn", "Tcp.CurrEstab",
		"MPTcpExt.MPCurrEstab":
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
// are. Of some kinds the kernel always says 0 (AF_VSOCK); so only those are taken that it counts, and that are not in the table
// sockets.
func parseProtocols(text []byte, visit counterVisit) error {
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		kind, rest := nextField(line)
		switch string(kind) {
		case "PACKET", "NETLINK", "XDP", "UDP-Lite", "UDPLITEv6", "PING", "PINGv6", "MPTCP", "MPTCPv6", "SCTP", "SCTPv6":
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
