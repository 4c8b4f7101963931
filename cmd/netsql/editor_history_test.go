package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestEditorHistorySurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "history")
	h := openHistory(path, t.Output())
	want := []string{"select 1;", "select 2\nfrom t\nwhere x = 'a\\n日本';", ".tables", "x\ty"}
	for _, text := range want {
		h.add(text)
		h.add(text)         // no duplicate
		h.add(text + " \n") // nor one that only looks like another
	}
	h.add("  \n ")
	if diff := cmp.Diff(want, openHistory(path, t.Output()).entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil {
		t.Error(err)
	} else if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode != 0o600 {
		t.Errorf("mode %o, want 600", mode)
	}
}

func TestEditorHistoryIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	path := filepath.Join(t.TempDir(), "history")
	if err := os.WriteFile(path, []byte("select 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	openHistory(path, t.Output())
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestEditorHistoryToleratesDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	damaged := "one\n\x00\x00\x00\ntwo\\\n\xff\xfe\nthree\\x\n\n\nfour\r\nhalf a li"
	if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
		t.Fatal(err)
	}
	h := openHistory(path, t.Output())
	h.add("five")
	want := []string{"one", "four", "half a li", "five"}
	if diff := cmp.Diff(want, openHistory(path, t.Output()).entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEditorHistoryIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	var all bytes.Buffer
	for i := range 3 * maxHistory {
		fmt.Fprintf(&all, "select %d\n", i)
	}
	if err := os.WriteFile(path, all.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	h := openHistory(path, t.Output())
	if n := len(h.entries); n != maxHistory || h.entries[n-1] != fmt.Sprintf("select %d", 3*maxHistory-1) {
		t.Errorf("%d entries, the last one %q", n, h.entries[n-1])
	}
	h.add("last")
	if n := len(h.entries); n != maxHistory {
		t.Errorf("%d entries after one more", n)
	}
	h.add(strings.Repeat("x", maxHistoryEntry+1))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, []byte("\n")); n != maxHistory+1 {
		t.Errorf("%d lines in the file, want %d", n, maxHistory+1)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

// Several shells write at once, and some trim: every entry arrives whole.
func TestEditorHistoryIsShared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	old := strings.Repeat("old\nolder\n", maxHistory) // makes the first ones trim
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	const shells, each = 8, 50
	var wg sync.WaitGroup
	for shell := range shells {
		wg.Go(func() {
			h := openHistory(path, t.Output())
			for i := range each {
				h.add(fmt.Sprintf("shell %d\nentry %d %s", shell, i, strings.Repeat("x", 1000)))
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, e := range openHistory(path, t.Output()).entries {
		e, _, _ = strings.Cut(e, " x")
		seen[e] = true
	}
	for shell := range shells {
		for i := range each {
			if e := fmt.Sprintf("shell %d\nentry %d", shell, i); !seen[e] {
				t.Errorf("lost: %q", e)
			}
		}
	}
}

func TestEditorHistoryWithoutAFile(t *testing.T) {
	dir := t.TempDir()
	tests := []struct{ name, path, warning string }{
		{"none wanted", "", ""},
		{"a directory", dir, "history is not kept: " + dir + " is not a regular file\n"},
		{"a device", os.DevNull, "history is not kept: " + os.DevNull + " is not a regular file\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var warning bytes.Buffer
			h := openHistory(test.path, &warning)
			h.add("select 1")
			h.add("select 2")
			if diff := cmp.Diff([]string{"select 1", "select 2"}, h.entries); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if warning.String() != test.warning {
				t.Errorf("warning %q, want %q", warning.String(), test.warning)
			}
		})
	}
}

func FuzzEditorHistory(f *testing.F) {
	f.Add("select 1\nfrom \\t\r\n\x00")
	f.Add("\xff\\x")
	f.Fuzz(func(t *testing.T, s string) {
		for _, e := range parseHistory([]byte(s)) {
			if !utf8.ValidString(e) || e == "" {
				t.Fatalf("%q has the entry %q", s, e)
			}
		}
		if s == "" || !utf8.ValidString(s) {
			return
		}
		line := encodeEntry(s)
		if strings.Count(line, "\n") != 1 {
			t.Fatalf("%q is not one line: %q", s, line)
		}
		if got, ok := decodeEntry(line); !ok || got != s {
			t.Fatalf("%q became %q, %q, %v", s, line, got, ok)
		}
	})
}

func TestEditorWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	e, err := newEditor(editorConfig{
		prompt: "> ", continuation: ". ",
		finished: func(text string) bool { return strings.HasSuffix(text, ";") },
		stdin:    io.NopCloser(strings.NewReader("select\r\n1;\n2;\nrest")),
		stdout:   &out,
		stderr:   io.Discard,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"select\n1;", "2;"} {
		if got, err := e.read(); got != want || err != nil {
			t.Errorf("read = %q, %v, want %q", got, err, want)
		}
	}
	if got, err := e.read(); err != io.EOF {
		t.Errorf("read = %q, %v, want EOF", got, err)
	}
	if got, want := out.String(), "> . > > . \n"; got != want {
		t.Errorf("prompts %q, want %q", got, want)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := e.read(); err != io.EOF {
		t.Errorf("read after Close = %v", err)
	}
}
