//go:build !linux

package main

import (
	"context"

	"netsql/recorder"
)

func (b *background) start(context.Context, string, stdio) error { return recorder.ErrUnsupported }

func (b *background) settle(string) (func(), error) { return nil, recorder.ErrUnsupported }
