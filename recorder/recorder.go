// Package recorder samples the network of a Linux machine into a recording.
//
// # What it does
//
// Run takes a sample every interval: it asks each source (tcp4, unix, owners, routes, interfaces
// …) what the kernel says now, and lets package store remember what changed, in one transaction a sample. The
// sources stand in files of their own, named by what they read: list the folder and you know
// what is recorded. The list of those that run is explicit, in sources of run_linux.go.
//
// # How a source is built
//
// It reads through a store.Source, so that an error, or a panic in a parser, costs its own rows of that
// sample and a row of gaps, and nothing else. Reading is apart from parsing; parsers take bytes, never
// trust the kernel's text or lengths, and are fuzzed. What may not be read without privileges is said once,
// in words, with what to grant.
//
// # What it never does
//
// It does not decide what changed, write SQL, or answer questions. It sends nothing to the network. Only Linux
// can be recorded: elsewhere Run returns ErrUnsupported.
package recorder

import (
	"errors"
	"fmt"
	"time"
)

// ErrUnsupported is returned by Run where there is nothing to record from.
var ErrUnsupported = errors.New("recording needs Linux: copy a recording here and open it with netsql FILE")

// The bounds of Config.Interval.
const (
	MinInterval     = 100 * time.Millisecond
	MaxInterval     = time.Hour
	DefaultInterval = 5 * time.Second
)

// Config says what to record where.
type Config struct {
	Path     string        // the recording; made when it is not there
	Interval time.Duration // between samples, from MinInterval to MaxInterval
	For      time.Duration // how long to record; 0: until the context ends
	Once     bool          // take one sample and end
	Version  string        // of the program, for the recording's runs

	// Notice, if set, is told what a person should know, in a sentence: what could not be
	// seen and what to grant, that a sample could not be written. Each only once.
	Notice func(string)
	// Sampled, if set, is called after each sample that was written.
	Sampled func()
}

func (c Config) check() error {
	if c.Interval < MinInterval || c.Interval > MaxInterval {
		return fmt.Errorf("interval %v: it must be from 100ms to 1h, such as 5s", c.Interval)
	}
	if c.For < 0 {
		return fmt.Errorf("for %v: a time to record must not be negative", c.For)
	}
	return nil
}
