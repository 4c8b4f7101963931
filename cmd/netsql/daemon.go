package main

import (
	"os"
	"path/filepath"
	"strings"
)

// background is what record --daemon wants.
type background struct {
	asked            bool
	pidFile, logFile string
}

// readyFD is set in a recorder that --daemon has started: where the one that did waits for word of the first sample.
const readyFD = "NETSQL_READY_FD"

// ready is the first word of the recorder in the background, once a sample is written. Anything else says why there is none.
const ready = "READY=1\n"

// dated has messages begin with the time, for a file that nobody watches.
const dated = "NETSQL_DATED"

func (b *background) define(f *flags) {
	f.BoolVar(&b.asked, "daemon", false, "go on in the background, once the first sample is written")
	f.StringVar(&b.pidFile, "pid-file", "", "with --daemon: hold a `FILE` with the number of the process")
	f.StringVar(&b.logFile, "log-file", "", "with --daemon: the `FILE` for messages (default beside the recording, netsql.log for netsql.db)")
}

// check refuses what makes no sense.
func (b *background) check(f *flags, once bool) error {
	if b.asked && once {
		return usagef("--daemon and --once: one sample needs no background")
	}
	for _, name := range []string{"pid-file", "log-file"} {
		if f.Changed(name) && f.origin[name] == "" && !b.asked { // in a file of flags it is for when --daemon is there
			return usagef("--%s belongs to --daemon: netsql record --daemon --%[1]s FILE", name)
		}
	}
	return nil
}

// absolute makes paths independent of where the process works.
func (b *background) absolute(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if b.logFile == "" {
		b.logFile = strings.TrimSuffix(path, filepath.Ext(path)) + ".log"
	}
	for _, file := range []*string{&b.pidFile, &b.logFile} {
		if *file == "" {
			continue
		}
		if *file, err = filepath.Abs(*file); err != nil {
			return "", err
		}
	}
	return path, nil
}

// inBackground reports whether this is the recorder that --daemon has started.
func inBackground() bool { return os.Getenv(readyFD) != "" }
