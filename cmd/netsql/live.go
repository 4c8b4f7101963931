package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"netsql/recorder"
)

// takeLive takes a sample of this moment into a recording of its own, for live.sockets and the like, and gives its path. What the recorder says about
// what it may not see is told the first time.
func takeLive(said map[string]bool, say func(string)) func(ctx context.Context) (path string, remove func() error, err error) {
	return func(ctx context.Context) (string, func() error, error) {
		dir, err := os.MkdirTemp("", "netsql-live-*")
		if err != nil {
			return "", nil, err
		}
		remove := func() error { return os.RemoveAll(dir) }
		path := filepath.Join(dir, "live.db")
		err = recorder.Run(ctx, recorder.Config{
			Path: path, Interval: time.Second, Once: true, Version: version, Limits: recorder.DefaultLimits,
			Notice: func(n recorder.Notice) {
				if !said[n.Text] {
					said[n.Text] = true
					say(n.Text)
				}
			},
		})
		if err != nil {
			return "", nil, errors.Join(err, remove())
		}
		return path, remove, nil
	}
}
