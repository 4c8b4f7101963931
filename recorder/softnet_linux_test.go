package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/procfs"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

func TestSoftnet(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t)
	sendUDP(t, "127.0.0.1:9", 50, 10)
	r := newRecording(t)
	// The counts are of the machine, where others work too: they lie between two readings.
	lines := func() [][]string {
		b, err := os.ReadFile("/proc/net/softnet_stat")
		if err != nil {
			t.Fatal(err)
		}
		var lines [][]string
		for line := range strings.Lines(string(b)) {
			lines = append(lines, strings.Fields(line))
		}
		return lines
	}
	before := lines()
	r.sample(newSoftnet(r.Writer, here(t)))
	after := lines()
	rows := r.rows("SELECT * FROM softnet_now ORDER BY cpu")
	if len(rows) != len(before) {
		t.Fatalf("%d CPUs recorded, the kernel has %d", len(rows), len(before))
	}
	hex := func(s string) int64 {
		n, err := strconv.ParseInt(s, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i, row := range rows {
		if got := row["cpu"].(int64); got != hex(before[i][12]) {
			t.Errorf("CPU %d, want %d", got, hex(before[i][12]))
		}
		for column, at := range map[string]int{"processed": 0, "dropped": 1, "time_squeeze": 2, "received_rps": 9, "flow_limit": 10} {
			if got := row[column].(int64); got < hex(before[i][at]) || got > hex(after[i][at]) {
				t.Errorf("%s of CPU %d is %d, not between %d and %d", column, i, got, hex(before[i][at]), hex(after[i][at]))
			}
		}
		if row["backlog"] == nil {
			t.Errorf("backlog of CPU %d is unknown on this kernel", i)
		}
	}
}

// What an older kernel does not say is unknown, and not 0.
func TestSoftnetOfOlderKernels(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		kernel  string
		columns int
		want    store.Softnet
	}{
		{"2.6.32", 9, store.Softnet{}},
		{"2.6.35", 10, store.Softnet{ReceivedRPS: store.Of(109)}},
		{"3.11", 11, store.Softnet{ReceivedRPS: store.Of(109), FlowLimit: store.Of(110)}},
		{"5.10", 13, store.Softnet{ReceivedRPS: store.Of(109), FlowLimit: store.Of(110), Backlog: store.Of(111)}},
		{"6.4", 15, store.Softnet{ReceivedRPS: store.Of(109), FlowLimit: store.Of(110), Backlog: store.Of(111)}},
	} {
		words := make([]string, test.columns)
		for i := range words {
			words[i] = fmt.Sprintf("%08x", 100+i)
		}
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "net"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "net/softnet_stat"), []byte(strings.Join(words, " ")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		fs, err := procfs.NewFS(dir)
		if err != nil {
			t.Fatal(err)
		}
		stats, err := fs.NetSoftnetStat()
		if err != nil || len(stats) != 1 {
			t.Fatalf("%s: %v, %v", test.kernel, stats, err)
		}
		test.want.Processed, test.want.Dropped, test.want.TimeSqueeze = store.Of(100), store.Of(101), store.Of(102)
		if _, got := softnetRow(stats[0]); got != test.want {
			t.Errorf("%s: %v, want %v", test.kernel, got, test.want)
		}
	}
}
