package query

import (
	"database/sql"
	"sync/atomic"
	"time"
)

// Flags are the settings of this shell as flags of the command line, for a shell that takes its place.
func (s *Shell) Flags() []string {
	flags := []string{"--mode", s.mode}
	for name, moment := range map[string]time.Time{"--at": s.recording.at, "--since": s.recording.since, "--until": s.recording.until} {
		if !moment.IsZero() {
			flags = append(flags, name, exact(moment))
		}
	}
	if s.look.noHeader {
		flags = append(flags, "--no-header")
	}
	if s.look.null != "" {
		flags = append(flags, "--nullvalue", s.look.null)
	}
	if s.look.separator != "" {
		flags = append(flags, "--separator", s.look.separator)
	}
	for name, value := range s.params {
		flags = append(flags, "-p", name+"="+(&sink{}).literal(value))
	}
	return flags
}

// InSQLite reports, to any goroutine, whether a statement of the user is being worked out now, rather than printed.
func (s *Shell) InSQLite() bool { return s.inSQLite.Load() }

// markedRows marks the time that the next row takes.
type markedRows struct {
	*sql.Rows
	within *atomic.Bool
}

func (r markedRows) Next() bool {
	r.within.Store(true)
	defer r.within.Store(false)
	return r.Rows.Next()
}
