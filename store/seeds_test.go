package store

import "flag"

// long makes the laws run over more seeds: before a release, or where a change may break what is rare.
var long = flag.Bool("long", false, "run the laws over more seeds")

// seeds are those that a law is run over: some, and all with -long.
func seeds(some, all int) []uint64 {
	n := some
	if *long {
		n = all
	}
	list := make([]uint64, n)
	for i := range list {
		list[i] = uint64(i)
	}
	return list
}
