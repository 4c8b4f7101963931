// Package migrations holds the schema of a recording, as numbered steps that are never
// edited once landed. A step creates tables; the views are no part of it, because they
// hold no data and every version of the program brings its own.
package migrations

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"io/fs"
)

// What stands between these comments is repeated until its last statement changes no row, if there may be rows. In an empty file all of a
// step may be run as it is.
const (
	Repeat = "-- repeat:\n"
	Until  = "-- until nothing is left.\n"
)

//go:embed *.sql
var files embed.FS

//go:embed empty.db.gz
var empty []byte

// Empty returns a database file that all steps have made of an empty one, and which holds nothing else. The test that holds the two equal writes it:
// go test ./store -run TestEmptyIsWhatTheStepsMake -update.
func Empty() ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(empty))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// All returns the steps in order: the first turns an empty file into version 1, the
// second that into version 2.
func All() ([]string, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	steps := make([]string, len(names))
	for i, name := range names {
		var number int
		if _, err := fmt.Sscanf(name, "%04d_", &number); err != nil || number != i+1 {
			return nil, fmt.Errorf("migration %s does not bear number %04d", name, i+1)
		}
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		steps[i] = string(text)
	}
	return steps, nil
}
