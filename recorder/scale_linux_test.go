package recorder

import (
	"testing"

	"netsql/recorder/kerneltest"
)

// A tenth of what the benchmarks of large networks record, and what must not grow: bytes of heap for each thing, and allocations
// in a sample at rest. Rows are compared with ip and ss on the way.
func TestTenThousandsOfRoutes(t *testing.T) {
	if kerneltest.InNamespace(t) {
		scaleRoutes(t, little(20_000, 100_000)).within(180, 0.1)
	}
}

func TestThousandsOfNeighbors(t *testing.T) {
	if kerneltest.InNamespace(t) {
		scaleNeighbors(t, 10_000).within(450, 0.5)
	}
}

func TestHundredsOfInterfaces(t *testing.T) {
	if kerneltest.InNamespace(t) {
		scaleInterfaces(t, 410).within(12_000, 20)
	}
}

func TestDozensOfNamespaces(t *testing.T) {
	if kerneltest.InNamespace(t) {
		scaleNamespaces(t, little(30, 100)).within(255_000, 500) // what there is once counts for a thirtieth
	}
}

func TestTenThousandsOfSockets(t *testing.T) {
	if kerneltest.InNamespace(t) {
		scaleSockets(t, little(10_000, 28_800)).within(900, 1)
	}
}

// within checks what each thing costs: bytes of heap after the first sample, and the fewest allocations in a sample at rest.
func (s *scale) within(heap uint64, allocs float64) {
	s.b.Helper()
	if s.each > heap {
		s.b.Errorf("%d bytes of heap for each, want %d at the most", s.each, heap)
	}
	if s.rest == 0 || s.rest > allocs {
		s.b.Errorf("%.2f allocations for each at rest, want %.2f at the most", s.rest, allocs)
	}
}
