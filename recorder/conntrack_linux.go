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

// conntrack records how full connection tracking is. Where its module is not loaded there
// is nothing to record, and nothing wrong. Unlike /proc/PID/net, /proc/sys/net is always that
// of the network namespace of who reads it.
type conntrack struct {
	source *store.Source
	ns     namespace
	dir    string
	file   *procFile
	set    *store.Set[store.ConntrackID, store.Conntrack]

	symptoms *symptoms
	last     store.Conntrack
}

func newConntrack(w *store.Writer, ns namespace) source {
	s := &conntrack{source: w.SourceIn(ns.id, "conntrack"), ns: ns, file: ns.procFile(), dir: "/proc/sys/net/netfilter"}
	s.set = store.NewSet(s.source, store.Conntracks)
	return s
}

func (s *conntrack) read(context.Context) {
	s.source.Read(func() error {
		entries, err := s.number("nf_conntrack_count")
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		most, err := s.number("nf_conntrack_max")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		v := store.Conntrack{Entries: entries, MaxEntries: most}
		if err := s.statistics(&v); err != nil {
			return err
		}
		s.symptoms.lookAtConntrack(s.last, v)
		s.last = v
		s.set.Put(store.ConntrackID{NetNS: s.ns.id}, v)
		return nil
	})
}

// statistics adds up what the CPUs count. Since Linux 4.6 kernels may be built without them.
func (s *conntrack) statistics(v *store.Conntrack) error {
	text, err := s.file.read(s.ns.proc + "/net/stat/nf_conntrack")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = parseCPUs(text, func(title []byte, value store.Int) {
			switch string(title) {
			case "drop":
				v.Drops = value
			case "early_drop":
				v.EarlyDrops = value
			case "insert_failed":
				v.InsertFailed = value
			}
		})
	}
	if err != nil {
		return fmt.Errorf("read the statistics of conntrack: %w", err)
	}
	return nil
}

func (s *conntrack) number(name string) (store.Int, error) {
	text, err := s.file.read(s.dir + "/" + name)
	if err != nil {
		return store.Int{}, fmt.Errorf("read %s: %w", name, err)
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	if err != nil {
		return store.Int{}, fmt.Errorf("read %s: %w", name, err)
	}
	return store.Of(n), nil
}
