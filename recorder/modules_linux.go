package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"netsql/recorder/internal/kernel"
	"netsql/store"
)

// modules records the kernel modules that are loaded (/proc/modules): a firewall, connection tracking, a tunnel and a driver often come as one. A
// kernel that was built without modules has no such file, and no rows.
type modules struct {
	source *store.Source
	path   string
	file   *procFile
	set    *store.Set[store.ModuleID, store.Module]
}

func newModules(w *store.Writer, ns namespace) source {
	s := &modules{source: w.Source("modules"), path: "/proc/modules", file: ns.procFile()}
	s.set = store.NewSet(s.source, store.Modules)
	return s
}

func (s *modules) read(context.Context) {
	s.source.Read(func() error {
		text, err := s.file.read(s.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = parseModules(text, func(id store.ModuleID, m store.Module) { s.set.Put(id, m) })
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", s.path, err)
		}
		return nil
	})
}

// parseModules visits each line: name, size, how many use it, which modules do, state, address, and taints in brackets where there are some
// (kernel/module/procfs.c). Which use it changes all the time, and is left out.
func parseModules(text []byte, visit func(store.ModuleID, store.Module)) error {
	for len(text) > 0 {
		var line []byte
		line, text = nextLine(text)
		f := bytes.Fields(line)
		if len(f) < 6 {
			return fmt.Errorf("%q is no line of a module", line)
		}
		size, err := strconv.ParseInt(string(f[1]), 10, 64)
		if err != nil {
			return fmt.Errorf("%q has no size: %w", line, err)
		}
		m := store.Module{State: kernel.Printable(f[4]), Size: store.Of(size)}
		if len(f) > 6 {
			m.Taints = kernel.Printable(bytes.Trim(f[6], "()+-")) // + and - say what state does
		}
		visit(store.ModuleID{Name: kernel.Printable(f[0])}, m)
	}
	return nil
}
