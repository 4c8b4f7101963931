package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"netsql/query"
)

// history is what was entered, oldest first, and the file that keeps it.
//
// The file has one entry per line: \n, \r, \0 and \\ stand for newline, carriage
// return, NUL and backslash, everything else for itself. So it can be read, searched and edited
// with any tool. Lines that are none of this are passed over, never an error:
// a crash or a full disk may have left them.
//
// Several shells may append at once: each entry is one write in append mode
// under a lock. A shell sees the entries that were there when it began, and
// its own.
type history struct {
	entries []string
	path    string    // "" once the file turned out to be of no use
	warn    io.Writer // told so, once
	system  query.System
}

const (
	maxHistory = 5000
	// An entry longer than this, a pasted dump say, is remembered in memory only.
	maxHistoryEntry = 256 << 10
)

func openHistory(path string, warn io.Writer) *history {
	h := &history{path: path, warn: warn, system: query.ThisProcess{}}
	if path == "" {
		return h
	}
	if err := h.load(); err != nil {
		h.giveUp(err)
	}
	return h
}

// giveUp goes on without the file: losing the history is no reason to keep
// anybody from asking questions.
func (h *history) giveUp(err error) {
	fmt.Fprintf(h.warn, "history is not kept: %s\n", query.Safe(err.Error()))
	h.path = ""
}

func (h *history) load() error {
	if err := os.MkdirAll(filepath.Dir(h.path), 0o700); err != nil {
		return err
	}
	f, err := h.open()
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("read history: %w", err)
	}
	h.entries = parseHistory(data)
	// Trimming rewrites the file; the slack makes it rare.
	if lines := bytes.Count(data, []byte("\n")); lines > maxHistory+maxHistory/10 {
		return h.trim(f)
	}
	return nil
}

// open returns the file, locked, and for nobody else's eyes: statements can
// hold addresses and names.
func (h *history) open() (*os.File, error) {
	for {
		// A device or pipe (-history /dev/null) is neither locked nor changed.
		info, err := os.Stat(h.path)
		if err == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file", h.path)
		}
		f, err := h.system.OpenFile(h.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := lockFile(f); err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", h.path, err)
		}
		// While we waited for the lock, another shell may have trimmed the
		// file, and this one is not the history any more.
		same, err := sameFile(f, h.path)
		if err == nil && same {
			err = makePrivate(f)
			if err == nil {
				return f, nil
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
}

func sameFile(f *os.File, path string) (bool, error) {
	a, err := f.Stat()
	if err != nil {
		return false, err
	}
	b, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(a, b), nil
}

func makePrivate(f *os.File) error {
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600)
	}
	return err
}

// add appends an entry, without blanks at its end, unless it is empty or repeats the one before.
func (h *history) add(text string) {
	text = strings.TrimRight(text, " \t\r\n")
	if text == "" {
		return
	}
	if n := len(h.entries); n > 0 && h.entries[n-1] == text {
		return
	}
	h.entries = append(h.entries, text)
	if len(h.entries) > maxHistory {
		h.entries = h.entries[len(h.entries)-maxHistory:]
	}
	if h.path == "" || len(text) > maxHistoryEntry {
		return
	}
	if err := h.append(text); err != nil {
		h.giveUp(err)
	}
}

func (h *history) append(text string) error {
	f, err := h.open()
	if err != nil {
		return err
	}
	line := encodeEntry(text)
	// A line that was cut short must not swallow this one.
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = io.WriteString(f, line)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// trim replaces the file, locked in f, by the entries that are kept. A new
// file takes its name, so that a crash leaves the one or the other.
func (h *history) trim(f *os.File) error {
	// Not through a symbolic link: the link would be replaced, not the file.
	path, err := filepath.EvalSymlinks(h.path)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	var out strings.Builder
	for _, e := range h.entries {
		out.WriteString(encodeEntry(e))
	}
	_, err = io.WriteString(tmp, out.String())
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

func parseHistory(data []byte) []string {
	var entries []string
	for line := range bytes.Lines(data) {
		text, ok := decodeEntry(string(line))
		if !ok {
			continue
		}
		if n := len(entries); n > 0 && entries[n-1] == text {
			continue
		}
		entries = append(entries, text)
	}
	return entries[max(0, len(entries)-maxHistory):]
}

var historyEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)

// encodeEntry is the line of the file that stands for text.
func encodeEntry(text string) string {
	return historyEscapes.Replace(strings.ToValidUTF8(text, "\uFFFD")) + "\n"
}

// decodeEntry takes a line of the file, with its newline, and returns false if
// it stands for nothing: half a line, blocks of NULs after a crash, no text.
func decodeEntry(line string) (text string, ok bool) {
	line, whole := strings.CutSuffix(line, "\n")
	line = strings.TrimSuffix(line, "\r") // edited on Windows
	if !whole || line == "" || strings.ContainsRune(line, 0) || !utf8.ValidString(line) {
		return "", false
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(line, `\`)
		out.WriteString(before)
		if !found {
			return out.String(), true
		}
		if after == "" {
			return "", false
		}
		switch after[0] {
		case '\\':
			out.WriteByte('\\')
		case 'n':
			out.WriteByte('\n')
		case 'r':
			out.WriteByte('\r')
		case '0':
			out.WriteByte(0)
		default:
			return "", false
		}
		line = after[1:]
	}
}
