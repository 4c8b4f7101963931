// Package bench measures what recording costs on this machine, against what ss, netstat, atop and sadc take in the same run.
//
// # What it does
//
// Run starts the program itself, netsql record, in network and PID namespaces of its own, beside crowds of sockets (package
// crowd) that rest, send bytes, or come and go. It reads from outside what the recorder has used: CPU time, memory, bytes
// written. The other programs are run there too. Then it has package store write and ask a recording of days. A Report holds all
// figures, the targets that they should reach, and what was left out and why.
//
// # What it never does
//
// Nothing of it runs while recording, and it uses nothing of package recorder: it measures the program as anybody could. All
// processes and files that it makes end with it.
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	storebench "netsql/store/bench"
)

// Config says what Run measures.
type Config struct {
	Sockets  []int         // crowds of so many TCP sockets, one after the other
	Interval time.Duration // between samples; what is measured is what one every ten seconds costs
	Samples  int           // that are measured of each load, after some that are not
	Churn    int           // connections a second that come and go
	Days     float64       // of a recording to ask
	Held     int           // sockets in that
	Dir      string        // for its files, which may be large; "": the usual folder

	// Progress, if set, is told what is being measured.
	Progress func(string) `json:"-"`
}

// Defaults measure everything, which takes a quarter of an hour.
func Defaults() Config {
	return Config{Sockets: []int{100, 1000, 20_000, 100_000}, Interval: targetInterval, Samples: 6, Churn: 10_000, Days: 7, Held: 1000}
}

// Quick measures little, within half a minute: to see that it works.
func Quick(dir string) Config {
	return Config{Sockets: []int{100, 1000}, Interval: 300 * time.Millisecond, Samples: 3, Churn: 1000, Days: 0.05, Held: 100, Dir: dir}
}

// A Report is what was measured on one machine in one run.
type Report struct {
	Machine   string             `json:"machine"`
	IntervalS float64            `json:"interval_s"`
	Lines     []Line             `json:"lines"`
	LeftOut   []string           `json:"left_out"` // with the reason
	Loads     []Load             `json:"loads"`
	Recording *storebench.Result `json:"recording"`
}

// A Line is a figure beside that of another program, and the target that it should reach.
type Line struct {
	Section string  `json:"section"`
	What    string  `json:"what"`
	Figure  float64 `json:"figure"`
	Unit    string  `json:"unit"`
	Note    string  `json:"note,omitempty"`
	Peer    string  `json:"peer,omitempty"`
	Theirs  float64 `json:"theirs,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"` // Figure / Theirs
	Target  float64 `json:"target,omitempty"`
	Reached *bool   `json:"reached,omitempty"` // nil: there is no target
}

// A Load is what the recorder costs while a crowd of sockets does something.
type Load struct {
	Sockets   int     `json:"sockets"`
	Load      string  `json:"load"` // idle, fifth or churn
	Samples   int     `json:"samples"`
	CPUms     float64 `json:"cpu_ms"`          // a sample, everything included
	Percent   float64 `json:"percent"`         // of one core, at a sample every ten seconds
	RSS       float64 `json:"rss_bytes"`       // median at the samples
	Anonymous float64 `json:"anonymous_bytes"` // of that, what is no part of a file
	Peak      float64 `json:"peak_bytes"`      // most that was ever resident
	Kept      float64 `json:"kept_bytes"`      // by which the recording grew, a sample
	Written   float64 `json:"written_bytes"`   // with write(2), a sample
	ToDisk    float64 `json:"to_disk_bytes"`   // of that, what the kernel had to bring to a disk
	Rate      float64 `json:"connections_per_s,omitempty"`
	Counted   int     `json:"counted,omitempty"` // sockets that ss sees
	Recorded  int     `json:"recorded,omitempty"`

	Peers   []Peer   `json:"peers,omitempty"`
	Replays []Replay `json:"replays,omitempty"`

	began, ended time.Time // of what was measured
}

// A Replay is what netsql takes to print as another tool, of a moment of a recording, beside that tool.
type Replay struct {
	Peer
	Real   Peer    `json:"real"`
	Target float64 `json:"target"` // times the real one
}

// A Peer is what another program costs beside the same crowd.
type Peer struct {
	Name    string  `json:"name"`
	CPUms   float64 `json:"cpu_ms"` // a run, or a sample
	RSS     float64 `json:"rss_bytes,omitempty"`
	Kept    float64 `json:"kept_bytes,omitempty"`
	Written float64 `json:"written_bytes,omitempty"`
	Missing string  `json:"missing,omitempty"` // why it was not measured
}

// Run measures what recording costs, in namespaces of its own and against what other programs take in the same run,
// and what a recording of days takes and answers. All that it starts ends with it.
func Run(ctx context.Context, c Config) (*Report, error) {
	dir, err := os.MkdirTemp(c.Dir, "netsql-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the measurement (name another with --dir): %w", err)
	}
	defer os.RemoveAll(dir)
	r := &Report{Machine: machine(), IntervalS: c.Interval.Seconds()}
	if err := r.measureLoads(ctx, c, dir); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !errors.Is(err, errUnsupported) {
			return nil, fmt.Errorf("measure what a sample costs: %w", err)
		}
		r.LeftOut = append(r.LeftOut, "what a sample costs: only Linux can be recorded")
	}
	samples := max(400, int(c.Days*24*float64(time.Hour/targetInterval)))
	if r.Recording, err = storebench.Run(ctx, storebench.Options{
		Dir: dir, Sockets: c.Held, Samples: samples, Interval: targetInterval, Moments: moments,
		Progress: func(n int) {
			c.tell(fmt.Sprintf("writing a recording of %.3g days: %d %%", c.Days, 100*n/samples))
		},
	}); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("measure a recording: %w", err)
	}
	r.judge()
	return r, nil
}

// errUnsupported: there is nothing to record from.
var errUnsupported = errors.New("what a sample costs can be measured on Linux only")

const (
	targetInterval = 10 * time.Second // that of the targets
	moments        = 25               // that are asked about
)

// bare is what a peer is called that asks for the sockets and does nothing with them.
const bare = "bare dump"

func (c *Config) tell(what string) {
	if c.Progress != nil {
		c.Progress(what)
	}
}

func machine() string {
	host := fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	if boot, err := kernelRelease(); err == nil {
		host += ", kernel " + boot
	}
	return host
}

// JSON writes the report for other programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
