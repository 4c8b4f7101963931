package main

import (
	"context"
	"fmt"
	"path/filepath"

	"netsql/cmd/netsql/confine"
	"netsql/query"
)

// backup is netsql backup.
func backup(f *flags) runner {
	f.completeWords(anyFile, nothing)
	return func(ctx context.Context, words []string, std stdio) error {
		if len(words) != 1 {
			return usagef("copy the recording to which file? netsql backup copy.db; which recording, --db says")
		}
		path, _, err := f.asked()
		if err != nil {
			return err
		}
		restrictTo(confine.Plan{Recording: path, Folders: []string{filepath.Dir(words[0])}})
		text, err := query.Backup(ctx, path, words[0])
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(std.out, query.Safe(text))
		return err
	}
}

// merge is netsql merge.
func merge(f *flags) runner {
	var out, only string
	f.StringVarP(&out, "output", "o", "", "the file to make, a `FILE` that is not there yet")
	f.StringVar(&only, "only", "", "take the recording of one `HOST` out of a merged file")
	f.complete("output", anyFile)
	f.completeWords(recordings)
	return func(ctx context.Context, words []string, std stdio) error {
		if out == "" {
			return usagef("merge into which file? netsql merge -o both.db web1.db db1.db")
		}
		var text string
		var err error
		switch {
		case only != "" && len(words) != 1:
			return usagef("--only takes one recording out of one merged file: netsql merge --only web1 -o web1.db both.db")
		case only != "":
			text, err = query.TakeOut(ctx, words[0], only, out)
		case len(words) < 2:
			return usagef("merge which recordings? netsql merge -o both.db web1.db db1.db")
		default:
			text, err = query.Merge(ctx, out, words)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(std.out, query.Safe(text))
		return err
	}
}
