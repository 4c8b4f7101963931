package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A recorder under systemd says when it is ready, that it lives, how it is, and that it ends.
func TestSupervisorIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := filepath.Join(dir, "told.db")
	netsql := exec.CommandContext(t.Context(), "netsql", "record", "--db", path, "--interval", "100ms", "--for", "1500ms", "--netns", "self")
	netsql.Env = append(os.Environ(), "NETSQL_CONFIG="+os.DevNull, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=300000")
	var errors strings.Builder
	netsql.Stderr = &errors
	if err := netsql.Start(); err != nil {
		t.Fatal(err)
	}
	var said []string
	l.SetReadDeadline(time.Now().Add(time.Minute))
	for buf := make([]byte, 4096); !slices.Contains(said, "STOPPING=1"); {
		n, err := l.Read(buf)
		if err != nil {
			t.Fatalf("%v, after %q", err, said)
		}
		said = append(said, string(buf[:n]))
	}
	if err := netsql.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, errors.String())
	}
	alive, samples := 0, 0
	for i, message := range said {
		switch {
		case message == "WATCHDOG=1":
			alive++
		case strings.HasPrefix(message, "READY=1\nSTATUS=recording into "+path+", last at "):
			samples++
		case strings.HasPrefix(message, "STATUS="): // what could not be seen
		case message == "STOPPING=1" && i == len(said)-1:
		default:
			t.Errorf("message %d of %d: %q", i, len(said), message)
		}
	}
	if alive < 2 || samples < 2 {
		t.Errorf("alive %d times, %d samples: %q", alive, samples, said)
	}
}

// A supervisor that does not read what it is told does not hold up the recorder.
func TestSupervisorWhoDoesNotListen(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadBuffer(1); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "unread.db")
	netsql := exec.CommandContext(t.Context(), "netsql", "record", "--db", path, "--interval", "100ms", "--for", "6s", "--netns", "self")
	netsql.Env = append(os.Environ(), "NETSQL_CONFIG="+os.DevNull, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=30000")
	if out, err := netsql.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	samples, err := exec.CommandContext(t.Context(), "netsql", path, "SELECT count(*) > 15 FROM samples").Output()
	if err != nil || !strings.Contains(string(samples), "1\n") {
		t.Errorf("samples: %q, %v", samples, err)
	}
}
