package query

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// damagedQuestions are what people ask; each reads other tables.
var damagedQuestions = []string{
	"SELECT * FROM sockets WHERE ts = at()",
	"SELECT * FROM sockets WHERE ts = at('2026-03-14 01:03')",
	"SELECT * FROM leaks",
	"SELECT * FROM connections",
	"SELECT * FROM events",
	"SELECT * FROM interface_rates",
	"SELECT * FROM gaps",
}

// Whatever is spoiled in a recording or in its -wal file, opening, checking and asking it gives answers or errors, soon: nothing
// panics and nothing hangs. Opening alone takes too long for a fuzz target; package store has one for the pages.
func TestDamagedRecording(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	main, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(d.path + "-wal") // it has most of the samples: nobody has moved them yet
	if err != nil {
		t.Fatal(err)
	}
	good := slices.Concat(main, wal)
	opened, answered := 0, 0
	recordings := little(12, 40)
	for seed := range uint64(recordings) {
		r := rand.New(rand.NewPCG(seed, 5))
		var edits []byte
		for range seed % 5 { // none in a fifth of them
			edits = append(edits, byte(r.IntN(5)))
			edits = binary.BigEndian.AppendUint32(edits, r.Uint32())
			edits = append(edits, byte(r.IntN(256)))
		}
		if seed == 1 {
			edits[0] = 5 // cut off
		}
		path := filepath.Join(t.TempDir(), "damaged.db")
		data := spoil(slices.Clone(good), edits)
		split := min(len(main), len(data))
		for name, part := range map[string][]byte{path: data[:split], path + "-wal": data[split:]} {
			if err := os.WriteFile(name, part, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		n, sound := askDamaged(t, path)
		if n > 0 {
			opened++
		}
		answered += n
		if len(edits) == 0 && (!sound || n < 300) {
			t.Errorf("seed %d: of a sound recording, %d answers; sound: %v", seed, n, sound)
		}
	}
	if opened < recordings/4 || answered < 75*recordings {
		t.Errorf("%d recordings opened, %d answers: too few to hold anything", opened, answered)
	}
}

// askDamaged asks everything, and counts the rows that it gets.
func askDamaged(t *testing.T, path string) (answered int, sound bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := func(what string) {
		t.Helper()
		if ctx.Err() != nil {
			t.Fatalf("%s did not come to an end", what)
		}
	}
	report, err := Check(ctx, path, CheckOptions{})
	ended("check")
	r, openErr := Open(ctx, path)
	if openErr != nil {
		return 0, false
	}
	defer r.Close()
	for _, q := range damagedQuestions {
		rows, err := r.Query(ctx, q)
		if err != nil {
			continue
		}
		for rows.Next() {
			answered++
		}
		rows.Close()
		ended(q)
	}
	ReadStatus(ctx, r)
	ended("status")
	return answered, err == nil && report.Sound()
}

// spoil does to the file what the edits say.
func spoil(data, edits []byte) []byte {
	const size = 1024
	for ; len(edits) >= 6 && len(data) > 2*size; edits = edits[6:] {
		at := int(binary.BigEndian.Uint32(edits[1:])) % (len(data) - 8)
		page := data[at/size*size:]
		page = page[:min(len(page), size)]
		switch value := edits[5]; edits[0] % 6 {
		case 0:
			data[at] = value
		case 1: // in the head of a page, where the most depends on it
			page[int(value)%min(len(page), 40)] = byte(at)
		case 2:
			clear(page)
		case 3:
			copy(page, data[int(value)%(len(data)/size)*size:])
		case 4:
			data[at] ^= 1 << (value % 8)
		case 5:
			data = data[:at]
		}
	}
	return data
}
