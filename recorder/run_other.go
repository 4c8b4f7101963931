//go:build !linux

package recorder

import "context"

// Run returns ErrUnsupported.
func Run(context.Context, Config) error { return ErrUnsupported }

// Become returns ErrUnsupported.
func Become(string) error { return ErrUnsupported }
