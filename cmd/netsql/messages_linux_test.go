package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// What the recorder says has a level where the journal reads it, and is plain text in a file, also where the file has inherited the variable.
func TestMessagesHaveLevels(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, socket := os.NewFile(uintptr(pair[0]), "journal"), os.NewFile(uintptr(pair[1]), "stderr")
	defer ours.Close()
	file, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var of syscall.Stat_t
	if err := syscall.Fstat(pair[1], &of); err != nil {
		t.Fatal(err)
	}
	record := func(stderr *os.File, words ...string) {
		netsql := exec.CommandContext(t.Context(), "netsql", append([]string{"record", "--netns", "self", "--interval", "100ms", "--for", "200ms"}, words...)...)
		netsql.Env = append(os.Environ(), "NETSQL_CONFIG="+os.DevNull, fmt.Sprintf("JOURNAL_STREAM=%d:%d", of.Dev, of.Ino))
		netsql.Stderr = stderr
		err := netsql.Run()
		if failed := len(words) == 2 && strings.Contains(words[1], "none"); failed != (err != nil) {
			t.Errorf("record %q: %v", words, err)
		}
	}
	good, bad := []string{"--db", filepath.Join(dir, "good.db")}, []string{"--db", filepath.Join(file.Name(), "none.db")}
	record(socket, good...)
	record(socket, bad...)
	socket.Close()
	journal, err := io.ReadAll(ours)
	if err != nil {
		t.Fatal(err)
	}
	record(file, good...)
	record(file, bad...)
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	lines := func(text []byte) []string { return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") }
	leveled, plain := regexp.MustCompile(`^<[3456]>[^<]`), regexp.MustCompile(`^netsql: `)
	for _, line := range lines(journal) {
		if !leveled.MatchString(line) || plain.MatchString(line) {
			t.Errorf("the journal reads %q", line)
		}
	}
	for _, line := range lines(text) {
		if !plain.MatchString(line) {
			t.Errorf("the file has %q", line)
		}
	}
	for _, want := range []string{"<6>recording into " + good[1], "<3>make the folder of the recording: "} {
		if strings.Count("\n"+string(journal), "\n"+want) != 1 {
			t.Errorf("the journal has not once %q:\n%s", want, journal)
		}
	}
	for _, want := range []string{"netsql: recording into " + good[1], "netsql: make the folder of the recording: "} {
		if strings.Count("\n"+string(text), "\n"+want) != 1 {
			t.Errorf("the file has not once %q:\n%s", want, text)
		}
	}
}
