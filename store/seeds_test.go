package store

import (
	"os"
	"testing"
)

// long says how far the laws go. Without NETSQL_LONG they take the few seeds that a change must pass at once; with 1, as .ci/run has it, those that
// find what is seldom; with 2 twice as many, before a release.
var long = os.Getenv("NETSQL_LONG")

// seeds are those that a law is run over: a quarter of some; a third of them with NETSQL_LONG=1; all with NETSQL_LONG=2.
func seeds(some, all int) []uint64 {
	n := max(1, some/4)
	switch long {
	case "1":
		n = max(1, some/3)
	case "2":
		n = all
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = uint64(i)
	}
	return list
}

// little is few; a third of the way to many with NETSQL_LONG=1; many with NETSQL_LONG=2.
func little(few, many int) int {
	switch long {
	case "":
		return few
	case "1":
		return (2*few + many + 2) / 3
	}
	return many
}

// onlyLong skips what takes long and finds little that others do not.
func onlyLong(t *testing.T) {
	t.Helper()
	if long == "" {
		t.Skip("it takes long: NETSQL_LONG=1 runs it")
	}
}
