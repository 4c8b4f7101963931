//go:build !linux

package bench

import (
	"context"
	"io"
)

// Part returns an error.
func Part(context.Context, []string, io.Reader, io.Writer) error { return errUnsupported }

func kernelRelease() (string, error) { return "", errUnsupported }

func (r *Report) measureLoads(context.Context, Config, string) error { return errUnsupported }
