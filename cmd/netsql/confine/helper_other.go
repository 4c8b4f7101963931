//go:build !linux

package confine

import (
	"context"
	"errors"
	"io/fs"

	"netsql/query"
)

// A Helper is of Linux.
type Helper struct{ query.System }

// A Task is what else a helper does.
type Task func(ctx context.Context, words []string) (answer []string, end func(), err error)

var errNone = errors.New("no restrictions here, and so no helper")

// Start fails here.
func Start(string) (*Helper, error) { return nil, errNone }

// Serve fails here.
func Serve(context.Context, map[string]Task) error { return errNone }

// Descriptor fails here.
func (h *Helper) Descriptor(string, int, fs.FileMode) (int, error) { return -1, errNone }

// Close does nothing here.
func (h *Helper) Close() error { return nil }

// Suspend fails here.
func (h *Helper) Suspend() error { return errNone }

// Do fails here.
func (h *Helper) Do(context.Context, string, ...string) ([]string, func() error, error) {
	return nil, nil, errNone
}
