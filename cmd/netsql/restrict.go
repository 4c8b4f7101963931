package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"netsql/cmd/netsql/confine"
	"netsql/query"
)

// helperWord is the command of the helper.
const helperWord = "shell-part"

// A restricted is how this process is restricted, and who does for it what it may not do any more.
type restricted struct {
	words  string          // whether and how
	helper *confine.Helper // nil: there is none, and it is not needed
}

// ownProcess says that this process is netsql's own, to be restricted for good.
var ownProcess bool

// restrictTo restricts a command that knows all it will write.
func restrictTo(p confine.Plan) {
	if !ownProcess {
		return
	}
	_ = userName() // from now on the files that it stands in may be out of reach
	confine.Restrict(p)
}

// restrictFor restricts a command that reads the recording and writes only to the standard output.
func restrictFor(recording string) { restrictTo(confine.Plan{Recording: recording}) }

// restrictExport restricts an export into a folder, which it makes where it is not there: only what is there can be excepted. What it returns takes back a
// folder that stayed empty.
func restrictExport(recording, folder string) (end func()) {
	made := false
	if _, err := os.Stat(recording); err == nil {
		if _, err := os.Lstat(folder); errors.Is(err, os.ErrNotExist) {
			made = os.MkdirAll(folder, 0o750) == nil
		}
	}
	restrictTo(confine.Plan{Recording: recording, Folders: []string{folder}, Removable: []string{filepath.Dir(folder)}})
	return func() {
		if made {
			_ = os.Remove(folder)
		}
	}
}

// restrictShell restricts a shell. One that only asks needs no more than the recording. Another has a helper.
func restrictShell(recording string, onlyAsks bool) *restricted {
	if !ownProcess {
		return &restricted{}
	}
	if h, words, is := confine.Resumed(); is {
		query.KeepFromWriting(recording + "-wal")
		return through(h, words)
	}
	if onlyAsks {
		restrictFor(recording)
		return &restricted{}
	}
	if why := confine.Unavailable(); why != "" {
		return &restricted{words: why}
	}
	_ = userName()
	h, err := confine.Start(helperWord)
	if err != nil {
		return &restricted{words: fmt.Sprintf("no: %v", err)}
	}
	words, is := confine.Restrict(confine.Plan{Recording: recording, Anything: true, Names: true})
	if !is {
		h.Close()
		return &restricted{words: words}
	}
	return through(h, words)
}

func through(h *confine.Helper, words string) *restricted {
	if h != nil {
		query.OpenThrough(h)
	}
	return &restricted{words, h}
}

// Close ends the helper.
func (r *restricted) Close() error { return r.helper.Close() }

// carry is the environment of a program that takes the place of this one in its process.
func (r *restricted) carry() []string {
	if r.helper == nil {
		return nil
	}
	return confine.Carry(r.helper, r.words)
}

// system is what dot-commands reach files and programs by.
func (r *restricted) system() query.System {
	if r.helper == nil {
		return query.ThisProcess{}
	}
	return r.helper
}

// note is what .note does; nil: it does it in this process.
func (r *restricted) note(recording string) func(ctx context.Context, text string) error {
	if r.helper == nil {
		return nil
	}
	return func(ctx context.Context, text string) error {
		_, end, err := r.helper.Do(ctx, "note", recording, text)
		if err != nil {
			return err
		}
		return end()
	}
}

// live is takeLive.
func (r *restricted) live(say func(string)) func(ctx context.Context) (path string, remove func() error, err error) {
	said := map[string]bool{}
	if r.helper == nil {
		return takeLive(said, say)
	}
	return func(ctx context.Context) (string, func() error, error) {
		words, end, err := r.helper.Do(ctx, "live")
		if err != nil {
			return "", nil, err
		}
		if len(words) == 0 {
			return "", nil, errors.Join(errors.New("no sample came"), end())
		}
		for _, sentence := range words[1:] {
			if !said[sentence] {
				said[sentence] = true
				say(sentence)
			}
		}
		return words[0], end, nil
	}
}

// suspend stops this job, as Ctrl-Z does.
func (r *restricted) suspend() error {
	if r.helper == nil {
		return errors.ErrUnsupported
	}
	return r.helper.Suspend()
}

// helper is the process that does for a restricted shell what its user asks for.
func helper(*flags) runner {
	return func(ctx context.Context, words []string, _ stdio) error {
		return confine.Serve(ctx, map[string]confine.Task{
			"note": func(ctx context.Context, words []string) ([]string, func(), error) {
				if len(words) != 2 {
					return nil, nil, os.ErrInvalid
				}
				return nil, nil, query.AddNote(ctx, words[0], time.Now(), words[1], userName())
			},
			"live": func(ctx context.Context, _ []string) ([]string, func(), error) {
				var sentences []string
				path, remove, err := takeLive(map[string]bool{}, func(sentence string) { sentences = append(sentences, sentence) })(ctx)
				if err != nil {
					return nil, nil, err
				}
				return append([]string{path}, sentences...), func() { _ = remove() }, nil
			},
		})
	}
}
