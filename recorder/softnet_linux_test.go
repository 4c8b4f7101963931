package recorder

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

func TestSoftnet(t *testing.T) {
	if !inNamespace(t) {
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

func TestParseSoftnet(t *testing.T) {
	columns := func(n int) string {
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprintf("%08x", 100+i)
		}
		return strings.Join(words, " ") + "\n"
	}
	unknown := store.Int{}
	for _, test := range []struct {
		name string
		text string
		cpu  store.Int
		want store.Softnet
	}{
		{"2.6.32", columns(9), store.Of(0), store.Softnet{ReceivedRPS: unknown}},
		{"2.6.35", columns(10), store.Of(0), store.Softnet{ReceivedRPS: store.Of(109)}},
		{"3.11", columns(11), store.Of(0), store.Softnet{ReceivedRPS: store.Of(109), FlowLimit: store.Of(110)}},
		{"5.10", columns(13), store.Of(112), store.Softnet{ReceivedRPS: store.Of(109), FlowLimit: store.Of(110), Backlog: store.Of(111)}},
		{"6.4", columns(15), store.Of(112), store.Softnet{ReceivedRPS: store.Of(109), FlowLimit: store.Of(110), Backlog: store.Of(111)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.want.Processed, test.want.Dropped, test.want.TimeSqueeze = store.Of(100), store.Of(101), store.Of(102)
			n := 0
			err := parseSoftnet([]byte(test.text), func(id store.SoftnetID, got store.Softnet) {
				n++
				if id.CPU != test.cpu || got != test.want {
					t.Errorf("CPU %v: %v, want %v: %v", id.CPU, got, test.cpu, test.want)
				}
			})
			if err != nil || n != 1 {
				t.Errorf("%d lines, %v", n, err)
			}
		})
	}
	for _, text := range []string{columns(8), "x" + columns(13), "\n", columns(13) + columns(3)} {
		if err := parseSoftnet([]byte(text), func(store.SoftnetID, store.Softnet) {}); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if diff := cmp.Diff(error(nil), parseSoftnet(nil, nil)); diff != "" {
		t.Error(diff)
	}
}

func FuzzSoftnet(f *testing.F) {
	f.Add([]byte("00000013 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000001\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		err := parseSoftnet(b, func(id store.SoftnetID, v store.Softnet) {
			n++
			if id.CPU == (store.Int{}) || v.Processed == (store.Int{}) || v.TimeSqueeze == (store.Int{}) {
				t.Errorf("%v %v", id, v)
			}
		})
		if err == nil && n != len(strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")) && len(b) > 0 {
			t.Errorf("%d lines of %q", n, b)
		}
	})
}
