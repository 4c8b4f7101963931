package store

import (
	"cmp"
	"context"
	"fmt"
	"strings"
)

// identify finds out of which format the damaged recording is, and where its tables begin: as its schema says where that
// can be read, else as in every recording of that format.
func (s *salvage) identify(ctx context.Context) error {
	id, version := s.file.ApplicationID(), s.file.UserVersion()
	switch hasHeader := s.file.HasHeader(); {
	case hasHeader && s.file.Readable(1) && id != ApplicationID && id != 0:
		return foreign(s.path)
	case hasHeader && id == ApplicationID && version > int64(len(s.steps)) && version < 1000: // beyond, it is damage
		return newer(s.path, int(version), len(s.steps))
	case hasHeader && id == ApplicationID && version >= 1 && version <= int64(len(s.steps)):
		s.format = int(version)
	}
	schema := s.file.Schema(ctx)
	if s.format == 0 {
		if err := s.guessFormat(ctx, schema); err != nil {
			return err
		}
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("its head is damaged: it was taken for a recording of format %d", s.format))
	}
	s.result.Format = s.format
	objects, roots, err := schemaOf(ctx, s.format, s.file.PageSize())
	if err != nil {
		return err
	}
	s.roots = map[string]uint32{}
	taken := map[uint32]bool{}
	unread := 0
	for _, o := range objects {
		_, name, _ := strings.Cut(o.name, " ")
		if root := schema[name]; root > 1 && root <= s.file.Pages() && !taken[root] {
			s.roots[name], taken[root] = root, true
		}
	}
	for _, o := range objects {
		_, name, _ := strings.Cut(o.name, " ")
		if root := roots[name]; s.roots[name] == 0 && root > 1 {
			unread++
			if !taken[root] && s.file.HasPointerMap() {
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
	if lost := s.file.LostWAL(); lost > 0 {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("its -wal file is damaged: the last %d pages that were written to it are lost", lost))
	}
	return nil
}

// guessFormat finds the format that has most of the schema's tables, or as many roots as the file, and columns for what
// stands in its rows.
func (s *salvage) guessFormat(ctx context.Context, schema map[string]uint32) error {
	found := s.file.Roots()
	best := -1
	for format := len(s.steps); format >= 1; format-- {
		objects, roots, err := schemaOf(ctx, format, s.file.PageSize())
		if err != nil {
			return err
		}
		score := 0
		for _, o := range objects {
			_, name, _ := strings.Cut(o.name, " ")
			if width := s.file.Width(cmp.Or(schema[name], roots[name])); o.columns > 0 && width > o.columns {
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
