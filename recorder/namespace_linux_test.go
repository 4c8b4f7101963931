package recorder

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// ip runs ip(8); the words of its command line are parted by blanks.
func ip(t *testing.T, line string) {
	t.Helper()
	kerneltest.Command(t, "ip", strings.Fields(line)...)
}

// ipJSON asks ip(8), the oracle.
func ipJSON(t *testing.T, line string) []map[string]any {
	t.Helper()
	var got []map[string]any
	text := kerneltest.Command(t, "ip", append([]string{"-j"}, strings.Fields(line)...)...)
	if strings.TrimSpace(text) == "" {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		t.Fatalf("ip %s: %v\n%s", line, err, text)
	}
	// Some lists of ip have empty objects for what it filters out.
	return slices.DeleteFunc(got, func(m map[string]any) bool { return len(m) == 0 })
}

// links makes veth pairs that are up. The kernel gives them IPv6 addresses; so that routes
// and flags stand still at once, it is told not to look for others that have the same.
func links(t *testing.T, pairs ...string) {
	t.Helper()
	setSysctl(t, "net/ipv6/conf/default/accept_dad", "0")
	setSysctl(t, "net/ipv6/conf/default/router_solicitations", "0")
	ip(t, "link set lo up")
	for _, name := range pairs {
		ip(t, fmt.Sprintf("link add %s type veth peer name %sp", name, name))
		ip(t, "link set "+name+" up")
		ip(t, "link set "+name+"p up")
	}
}

func setSysctl(t *testing.T, path, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+path, []byte(value), 0); err != nil {
		kerneltest.NeedKernel(t, err.Error())
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatal("not in ten seconds: " + what)
		}
		unix.Poll(nil, 10)
	}
}

// agree samples the source and compares what the recording then says with what the oracle
// says. The kernel works on by itself (carrier, multicast entries, addresses): an answer
// counts when the oracle gives it before and after the sample.
func agree[T any](t *testing.T, r *testRecording, src source, when string, oracle func() T, recorded func() T) {
	t.Helper()
	diff := "never still"
	for range 50 {
		before := oracle()
		r.sample(src)
		if !cmp.Equal(before, oracle()) {
			continue
		}
		if diff = cmp.Diff(before, recorded()); diff == "" {
			return
		}
		break
	}
	t.Errorf("%s (-ip +recorded):\n%s", when, diff)
}

// text writes a column of the recording or of ip's JSON: nothing for NULL.
func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// joined writes a list of ip's JSON as the recording does.
func joined(v any) string {
	list, _ := v.([]any)
	words := make([]string, len(list))
	for i := range list {
		words[i] = text(list[i])
	}
	return strings.Join(words, ",")
}

// outcome is what the recording says of the last reading of the source.
func (r *testRecording) outcome(name string) string {
	r.t.Helper()
	rows := r.rows("SELECT outcome, error FROM sources_now WHERE source = ?", name)
	if len(rows) != 1 {
		r.t.Fatalf("%d rows of source %s", len(rows), name)
	}
	return strings.TrimSpace(text(rows[0]["outcome"]) + " " + text(rows[0]["error"]))
}

// sendUDP sends datagrams with so many bytes each.
func sendUDP(t *testing.T, to string, datagrams, size int) {
	t.Helper()
	conn, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range datagrams {
		// An error tells that an earlier one was refused; this one is then not sent.
		for tries := 0; ; tries++ {
			if _, err := conn.Write(make([]byte, size)); err == nil {
				break
			} else if tries == 10 {
				t.Fatal(err)
			}
		}
	}
}

// benchInNamespace is inNamespace for benchmarks: what the second process prints is the
// result.
func benchInNamespace(b *testing.B) bool {
	b.Helper()
	if os.Getenv("NETSQL_TEST_NAMESPACE") == b.Name() {
		return true
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^"+b.Name()+"$", "-test.benchtime="+flag.Lookup("test.benchtime").Value.String())
	cmd.Env = append(os.Environ(), "NETSQL_TEST_NAMESPACE="+b.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := kerneltest.Output(cmd)
	if cmd.Process == nil {
		b.Skip("no user and network namespaces here: " + err.Error())
	}
	fmt.Printf("%s", out)
	if err != nil {
		b.Errorf("in its namespace: %v", err)
	}
	return false
}

// ipBatch runs many commands of ip(8) at once.
func ipBatch(b testing.TB, lines string) {
	b.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(lines)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("ip -batch: %v\n%s", err, out)
	}
}

// benchSource measures the reading of a source, without what the store writes. Before each
// reading it calls change.
func benchSource(b *testing.B, make func(*store.Writer, namespace) source, change func(i int)) {
	b.Helper()
	w, err := store.Create(b.Context(), store.Options{
		Path: filepath.Join(b.TempDir(), "bench.db"), Interval: time.Second, Version: "bench",
		Boot: store.Boot{ID: "boot", Host: "host", Kernel: "6.18", Started: time.Unix(1_700_000_000, 0)},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close(context.Background())
	src := make(w, namespace{id: store.Of(1), proc: "/proc/self"})
	sample := func(i int) {
		change(i)
		up := time.Duration(i+1) * time.Second
		w.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		b.StartTimer()
		src.read(b.Context())
		b.StopTimer()
		if err := w.Commit(b.Context(), store.Cost{}); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	sample(0)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		sample(1 + i)
	}
}
