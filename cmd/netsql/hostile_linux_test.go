package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// No name of a file reaches a terminal as a code, by whichever command and in whichever error.
func TestNoFileNameReachesTheTerminalAsACode(t *testing.T) {
	t.Parallel()
	const hostile = "\x1b]0;pwned\a\u009b31m\x7f\u202e\x9b"
	dir := filepath.Join(t.TempDir(), "d"+hostile)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(dir, name+hostile+".db") }
	if err := night(in("night")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"empty": "", "text": "this is no recording, and long enough to be read as a header of an SQLite file, which it is not, as everybody sees who reads it"} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{in("night"), "SELECT 1"}, {in("none"), "SELECT 1"}, {in("empty"), "SELECT 1"}, {in("text"), "SELECT 1"}, {dir, "SELECT 1"}, {hostile}, {in("night"), ".status"},
		{in("night"), "SELEC '" + strings.TrimSuffix(hostile, "\x9b") + "'"}, {in("night"), hostile}, {"status", in("night")}, {"status", in("none")}, {"status", dir},
		{"check", in("night")}, {"check", in("text")}, {"check", in("none")}, {"upgrade", in("night")}, {"upgrade", in("none")}, {"recover", in("text"), in("new")},
		{"recover", in("night"), in("new2")}, {"slice", in("night"), "-o", in("slice")}, {"slice", in("night"), "-o", in("slice")}, {"slice", in("night"), "-o", in("no") + "/x"},
		{"export", "--db", in("night"), in("export"), "gaps"}, {"export", "--db", in("night"), in("export"), "gaps"}, {"export", "--db", in("night"), in("export2"), hostile},
		{"note", "--db", in("none"), "x"}, {"--file", in("none"), in("night")}, {"--mode", hostile, in("night"), "SELECT 1"}, {"--" + hostile}, {"--param", hostile, "SELECT 1"},
		{"--memory", hostile, "SELECT 1"}, {"help", hostile}, {"tables", hostile}, {"record", "--once", "--db", in("text")}, {"record", "--without", hostile}, {in("night"), in("night"), "x"},
	} {
		text, _ := exec.CommandContext(t.Context(), "netsql", args...).CombinedOutput()
		if len(text) == 0 {
			t.Errorf("%q says nothing", args)
		}
		for _, bad := range []string{"\x1b", "\a", "\u009b", "\x7f", "\u202e", "\x9b\n", "\x9b."} {
			if strings.Contains(string(text), bad) {
				t.Errorf("%q shows %q in %q", args, bad, text)
				break
			}
		}
	}
}
