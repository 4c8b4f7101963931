package recorder

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"

	"netsql/recorder/internal/kernel"
	"netsql/store"
)

// multicastGroups records the multicast groups that the interfaces have joined. It reads /proc/net/igmp and igmp6: rtnetlink tells of
// groups too (RTM_GETMULTICAST, of IPv4 since Linux 6.15), but not how many users each has.
type multicastGroups struct {
	source *store.Source
	ns     namespace
	file   *procFile
	set    *store.Set[store.MulticastGroupID, store.MulticastGroup]
	files  [2]groupFile
}

// A groupFile is one of the files, and what was in it last time: groups hardly ever change, and then nothing is parsed.
type groupFile struct {
	name     string
	parse    func(text []byte, visit groupVisit) error
	text     []byte
	subjects []*store.Subject[store.MulticastGroupID, store.MulticastGroup]
}

// A groupVisit is called for each group of a file.
type groupVisit func(dev []byte, index int64, group netip.Addr, users int64)

func newMulticastGroups(w *store.Writer, ns namespace) source {
	s := &multicastGroups{source: w.SourceIn(ns.id, "multicast_groups"), ns: ns, file: ns.procFile()}
	s.set = store.NewSet(s.source, store.MulticastGroups)
	s.files = [2]groupFile{{name: "igmp", parse: parseIGMP}, {name: "igmp6", parse: parseIGMP6}}
	return s
}

func (s *multicastGroups) read(context.Context) {
	s.source.Read(func() error {
		for i := range s.files {
			path := s.ns.proc + "/net/" + s.files[i].name
			text, err := s.file.read(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue // a kernel without IPv6, or without multicast
			}
			if err == nil {
				err = s.record(&s.files[i], text)
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", path, err)
			}
		}
		return nil
	})
}

func (s *multicastGroups) record(f *groupFile, text []byte) error {
	if bytes.Equal(text, f.text) && s.keep(f) {
		return nil
	}
	f.text, f.subjects = f.text[:0], f.subjects[:0] // should it end early
	err := f.parse(text, func(dev []byte, index int64, group netip.Addr, users int64) {
		id := store.MulticastGroupID{NetNS: s.ns.id, Dev: kernel.Printable(dev), IfIndex: store.Of(index), Family: store.Of(4), Addr: group.String()}
		if group.Is6() {
			id.Family = store.Of(6)
		}
		f.subjects = append(f.subjects, s.set.Put(id, store.MulticastGroup{Users: store.Of(users)}))
	})
	if err == nil {
		f.text = append(f.text, text...)
	}
	return err
}

// keep says that all groups of the file are as they were. It answers false when the recording does not have all of them so.
func (s *multicastGroups) keep(f *groupFile) bool {
	for _, subject := range f.subjects {
		if !s.set.Keep(subject) {
			return false
		}
	}
	return true
}

// parseIGMP reads igmp: after a line of titles, a line for each interface, and below it an indented one for each of its groups. The
// address is a number as this machine has it in memory.
func parseIGMP(text []byte, visit groupVisit) error {
	_, text = nextLine(text)
	var dev []byte
	var index int64
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		first, rest := nextField(line)
		second, _ := nextField(rest)
		var err error
		if len(line) > 0 && line[0] != '\t' {
			dev = bytes.TrimSuffix(second, []byte{':'})
			if index, err = strconv.ParseInt(string(first), 10, 32); err != nil || len(dev) == 0 {
				return fmt.Errorf("%.40q names no interface", line)
			}
			continue
		}
		group, err := strconv.ParseUint(string(first), 16, 32)
		if err != nil || len(first) != 8 || dev == nil {
			return fmt.Errorf("%.40q names no group", line)
		}
		users, err := strconv.ParseInt(string(second), 10, 64)
		if err != nil {
			return fmt.Errorf("users of %.40q: %w", line, err)
		}
		var b [4]byte
		binary.NativeEndian.PutUint32(b[:], uint32(group))
		visit(dev, index, netip.AddrFrom4(b), users)
	}
	return nil
}

// parseIGMP6 reads igmp6: on each line an interface, one of its groups, and how many use it.
func parseIGMP6(text []byte, visit groupVisit) error {
	for len(text) > 0 {
		var line, number, dev, group, users []byte
		line, text = nextLine(text)
		number, rest := nextField(line)
		dev, rest = nextField(rest)
		group, rest = nextField(rest)
		users, _ = nextField(rest)
		index, err := strconv.ParseInt(string(number), 10, 32)
		if err != nil {
			return fmt.Errorf("%.40q names no interface", line)
		}
		var b [16]byte
		if len(group) != 2*len(b) {
			return fmt.Errorf("%.80q names no group", line)
		}
		if _, err := hex.Decode(b[:], group); err != nil {
			return fmt.Errorf("%.80q names no group: %w", line, err)
		}
		n, err := strconv.ParseInt(string(users), 10, 64)
		if err != nil {
			return fmt.Errorf("users of %.80q: %w", line, err)
		}
		visit(dev, index, netip.AddrFrom16(b), n)
	}
	return nil
}
