package recorder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/kerneltest"
	"netsql/recorder/internal/tracepoint"
)

// followedDrops begins to record why packets are dropped.
func followedDrops(t *testing.T, r *testRecording) *drops {
	t.Helper()
	events, err := openDrops()
	if err != nil {
		kerneltest.NeedTracing(t, err)
	}
	m, err := newMonitor()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.end)
	d := newDrops(r.Writer)
	t.Cleanup(d.close)
	if err := d.follow(events, m); err != nil {
		t.Fatal(err)
	}
	return d
}
