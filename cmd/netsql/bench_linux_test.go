package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	recorderbench "netsql/recorder/bench"
)

// benchCommand is netsql bench --quick, whose files go to dir.
func benchCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{"bench", "--quick"}, args...)...)
	cmd.Args[0] = "netsql" // as which the test binary is the program
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	return cmd
}

// bench measures what is there: figures that can be, of as many sockets as ss sees.
func TestBenchQuick(t *testing.T) {
	if os.Getenv("NETSQL_LONG") == "" {
		t.Skip("it takes long: NETSQL_LONG=1 runs it")
	}
	t.Parallel()
	dir := t.TempDir()
	cmd := benchCommand(t.Context(), dir, "--json")
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if strings.Contains(said.String(), "make a network namespace") && os.Getenv("NETSQL_REQUIRE_KERNEL") == "" {
			t.Skip(said.String())
		}
		t.Fatalf("%v\n%s", err, said.String())
	}
	var r recorderbench.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Loads) != 5 {
		t.Fatalf("%d loads, not idle and fifth of 100 and 1,000 sockets, and churn; left out: %q", len(r.Loads), r.LeftOut)
	}
	if os.Geteuid() == 0 && slices.ContainsFunc(r.LeftOut, func(s string) bool { return strings.Contains(s, "PID namespace") }) {
		t.Errorf("root measures beside all processes of the machine: %q", r.LeftOut)
	}
	for _, l := range r.Loads {
		if l.CPUms <= 0.1 || l.CPUms > 5000 || l.RSS < 5e6 || l.RSS > l.Peak || l.Samples < 1 || l.Written <= 0 {
			t.Errorf("%d sockets, %s: %+v", l.Sockets, l.Load, l)
		}
		if l.Recorded != l.Sockets && l.Load != "churn" || l.Load == "idle" && l.Counted != l.Sockets {
			t.Errorf("%d sockets, %s: ss sees %d, %d are recorded", l.Sockets, l.Load, l.Counted, l.Recorded)
		}
		if l.Load == "churn" && (l.Rate < 100 || l.Rate > 2000) {
			t.Errorf("%.0f connections a second, not a thousand", l.Rate)
		}
		for _, p := range l.Peers {
			if p.Missing == "" && p.CPUms <= 0 {
				t.Errorf("%s took nothing", p.Name)
			}
		}
	}
	for _, l := range r.Lines {
		for _, n := range []float64{l.Figure, l.Theirs, l.Ratio, l.Target} {
			if math.IsNaN(n) || math.IsInf(n, 0) || n < 0 {
				t.Errorf("%+v", l)
			}
		}
	}
	for _, path := range leftIn(t, dir) {
		t.Errorf("%s is left behind", path)
	}
}

// leftIn is what stands in a folder for temporary files. What asked a recording keeps a folder of its own there, which is empty.
func leftIn(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(path string) bool {
		return strings.HasPrefix(filepath.Base(path), "netsql-tmp-") && os.Remove(path) == nil
	})
}

// Ctrl-C ends bench and all that it has started, and nothing of it stays.
func TestBenchInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := benchCommand(t.Context(), dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Four: bench, the one in the namespace, a part of the crowd, the recorder.
	for deadline := time.Now().Add(20 * time.Second); len(processesWith(t, "TMPDIR="+dir)) < 4; {
		select {
		case err := <-ended:
			t.Skipf("it was over before: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("its processes are %q", processesWith(t, "TMPDIR="+dir))
		}
	}
	cmd.Process.Signal(os.Interrupt)
	err := <-ended
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Errorf("interrupted, it ended with %v", err)
	}
	if left := leftIn(t, dir); len(left) > 0 {
		t.Errorf("%s is left behind", left[0])
	}
	for deadline := time.Now().Add(5 * time.Second); len(processesWith(t, "TMPDIR="+dir)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %q", processesWith(t, "TMPDIR="+dir))
		}
	}
}

// And when it is killed, so are they.
func TestBenchKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := benchCommand(t.Context(), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for len(processesWith(t, "TMPDIR="+dir)) < 4 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	cmd.Process.Kill()
	cmd.Wait()
	for len(processesWith(t, "TMPDIR="+dir)) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %q", processesWith(t, "TMPDIR="+dir))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// processesWith lists the command lines of processes that have the variable in their environment.
func processesWith(t *testing.T, variable string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append([]byte{0}, text...), []byte("\x00"+variable+"\x00")) {
			continue
		}
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}
