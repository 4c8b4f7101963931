package main

import (
	"fmt"

	"netsql/query"
)

// A memoryLimit is what --memory says.
type memoryLimit int64

// defaultMemory is enough for every question of the manual, and little against what a server has.
const defaultMemory = 512_000_000

// memoryFlag defines --memory.
func memoryFlag(f *flags) *memoryLimit {
	limit := memoryLimit(defaultMemory)
	f.Var(&limit, "memory", "let a question have so much memory, a `SIZE` (default 512MB), 0 without limit")
	return &limit
}

func (m *memoryLimit) String() string { return "" }
func (m *memoryLimit) Type() string   { return "size" }

func (m *memoryLimit) Set(words string) error {
	n, err := query.ParseSize(words)
	if err != nil {
		return err
	}
	if n > 0 && n < query.LeastMemory {
		return fmt.Errorf("%s is too little: at least 16MiB, or 0 for no limit", words)
	}
	*m = memoryLimit(n)
	return nil
}

// apply is called before a recording is opened.
func (m *memoryLimit) apply() { query.LimitMemory(int64(*m)) }
