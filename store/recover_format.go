package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
)

// identify finds out of which format the damaged recording is, and where its tables begin: as its schema says where that can be read,
// else as in every recording of that format.
func (s *salvage) identify(ctx context.Context) error {
	p := s.pages
	id, version := int64(binary.BigEndian.Uint32(p.header[68:])), int64(binary.BigEndian.Uint32(p.header[60:]))
	switch _, readable := p.node(1); {
	case p.magic && readable && id != ApplicationID && id != 0:
		return foreign(s.path)
	case p.magic && id == ApplicationID && version > int64(len(s.steps)) && version < 1000: // beyond, it is damage
		return newer(s.path, int(version), len(s.steps))
	case p.magic && id == ApplicationID && version >= 1 && version <= int64(len(s.steps)):
		s.format = int(version)
	}
	schema := s.readSchema(ctx)
	if s.format == 0 {
		if err := s.guessFormat(ctx, schema); err != nil {
			return err
		}
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("its head is damaged: it was taken for a recording of format %d", s.format))
	}
	s.result.Format = s.format
	objects, roots, err := schemaOf(ctx, s.format, s.pages.size)
	if err != nil {
		return err
	}
	s.roots = map[string]uint32{}
	taken := map[uint32]bool{}
	unread := 0
	for _, o := range objects {
		_, name, _ := strings.Cut(o.name, " ")
		if root := schema[name]; root > 1 && root <= p.count && !taken[root] {
			s.roots[name], taken[root] = root, true
		}
	}
	for _, o := range objects {
		_, name, _ := strings.Cut(o.name, " ")
		if root := roots[name]; s.roots[name] == 0 && root > 1 {
			unread++
			if !taken[root] && p.vacuumed {
				s.roots[name], taken[root] = root, true
			}
		}
	}
	if unread > 0 {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("its schema is damaged: where %d of its tables and indexes begin was taken from the format", unread))
	}
	for name, root := range schema { // tables of other people
		if !taken[root] && s.roots[name] == 0 {
			s.roots[name] = root
		}
	}
	if p.cutWAL > 0 {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("its -wal file is damaged: the last %d pages that were written to it are lost", p.cutWAL))
	}
	return nil
}

// readSchema is where the tables and indexes begin, as far as the damaged file says so.
func (s *salvage) readSchema(ctx context.Context) map[string]uint32 {
	schema := map[string]uint32{}
	r := newReader(s.pages)
	text := func(name string) columnShape { return columnShape{name: name, kind: "TEXT"} }
	r.trees[1] = &tree{
		root: 1, rowid: -1,
		columns: []columnShape{text("type"), text("name"), text("tbl_name"), {name: "rootpage", kind: "INTEGER"}, text("sql")},
		take: func(row []any) error {
			name, _ := row[1].(string)
			if root, _ := row[3].(int64); root > 1 && root <= int64(s.pages.count) && name != "" {
				schema[name] = uint32(root)
			}
			return nil
		},
	}
	r.descend(ctx, r.trees[1], 1, minKey, maxKey, 0)
	return schema
}

// guessFormat finds the format that has most of the schema's tables, or as many roots as the file, and columns for what stands in its rows.
func (s *salvage) guessFormat(ctx context.Context, schema map[string]uint32) error {
	var found int
	cache := map[uint32][]byte{}
	for n := uint32(3); n <= s.pages.count; n++ {
		if kind, _ := s.pages.about(n, cache); kind == pageRoot {
			found++
		} else if kind != pageUnknown && found > 0 && kind != pageOther {
			break // roots stand at the front
		}
	}
	best := -1
	for format := len(s.steps); format >= 1; format-- {
		objects, roots, err := schemaOf(ctx, format, s.pages.size)
		if err != nil {
			return err
		}
		score := 0
		for _, o := range objects {
			_, name, _ := strings.Cut(o.name, " ")
			if width := s.pages.width(cmp.Or(schema[name], roots[name])); o.columns > 0 && width > o.columns {
				score -= 4
			}
		}
		for name := range roots {
			if schema[name] != 0 {
				score += 2
			} else if len(schema) > 0 {
				score--
			}
		}
		if found == len(roots) {
			score++
		}
		if score > best {
			best, s.format = score, format
		}
	}
	return nil
}

// width is how many columns most rows have on the first page of the table that begins there; 0: that cannot be told.
func (p *pages) width(root uint32) int {
	for n, depth := root, 0; depth < 20; depth++ {
		d, ok := p.node(n)
		if !ok || d.index() || d.count == 0 {
			return 0
		}
		if !d.leaf() {
			first, _ := p.cell(&d, 0)
			n = first.child
			continue
		}
		widths := map[int]int{}
		most := 0
		for i := range d.count {
			if c, ok := p.cell(&d, i); ok {
				if widths[len(c.row)]++; widths[len(c.row)] > widths[most] {
					most = len(c.row)
				}
			}
		}
		return most
	}
	return 0
}
