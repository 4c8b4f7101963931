//go:build !linux

package recorder

import (
	"context"
	"io"
)

// BenchPart returns ErrUnsupported.
func BenchPart(context.Context, []string, io.Reader, io.Writer) error { return ErrUnsupported }

func benchKernel() (string, error) { return "", ErrUnsupported }

func (r *BenchReport) measureLoads(context.Context, BenchConfig, string) error { return ErrUnsupported }
