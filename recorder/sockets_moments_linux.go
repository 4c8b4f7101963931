package recorder

import (
	"math"
	"time"

	"netsql/recorder/internal/sockdiag"
)

const (
	// quietFor is how long nothing must have moved on a connection, so that its row says since when. A connection that moves and rests
	// in turn would have rows of its own for each rest.
	quietFor = 5 * time.Minute
	// quietSamples is how many samples that must be at least.
	quietSamples = 30
)

// moments makes moments of a recording of what the kernel tells in ms from now.
type moments struct {
	settle    sockdiag.Settle
	now       time.Duration // of this sample, since boot
	suspended time.Duration // for how long the machine has been, since boot
	began     bool
	boot      float64 // the ts of its boot
}

// begin begins a sample now: so long the machine has been suspended, and boot is the ts of its boot.
func (m *moments) begin(now, suspended time.Duration, boot float64) {
	// Clocks are read one after the other, and something may come between.
	const slack = 50 * time.Millisecond
	if suspended > m.suspended+slack {
		m.settle.Woke, m.suspended = now, suspended
	}
	if !m.began || math.Abs(boot-m.boot) > slack.Seconds() {
		m.boot = boot
	}
	m.now, m.began = now, true
}

// past is the ts of a tick of the past, 0 for none.
func (m *moments) past(t sockdiag.Tick) float64 {
	if t == 0 {
		return 0
	}
	return m.ts(t.Past(m.now))
}

// ahead is the ts of a tick that may be to come, 0 for none.
func (m *moments) ahead(t sockdiag.Tick) float64 {
	if t == 0 {
		return 0
	}
	return m.ts(t.Ahead(m.now))
}

func (m *moments) ts(ticks int64) float64 { return math.Round(m.boot*100+float64(ticks)) / 100 }
