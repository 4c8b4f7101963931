package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// BenchmarkCloseBytes writes closes of several populations, and prints the bytes that each takes: beside what rows without
// tuples take, with the same columns and pages, in the same file.
func BenchmarkCloseBytes(b *testing.B) {
	for _, population := range []struct {
		name    string
		clients int
	}{{"both ends of 4 services", 0}, {"20 clients", 20}, {"1000 clients", 1000}, {"each another client", 1 << 24}} {
		b.Run(population.name, func(b *testing.B) {
			for b.Loop() {
				rnd := rand.New(rand.NewPCG(1, 1))
				path := filepath.Join(b.TempDir(), "closes.db")
				w, err := Create(b.Context(), Options{Path: path, Interval: 5 * time.Second, Boot: Boot{ID: "b"}})
				if err != nil {
					b.Fatal(err)
				}
				src := w.Source("closes")
				log := NewLog(src, Closes)
				const samples, each = 200, 500
				for i := range samples {
					up := time.Duration(i+1) * 5 * time.Second
					w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
					src.Read(func() error {
						for j := range each {
							log.Add(up-time.Duration(rnd.IntN(5_000_000))*time.Microsecond, someClose(rnd, population.clients, i*each+j))
						}
						return nil
					})
					if err := w.Commit(b.Context(), Cost{}); err != nil {
						b.Fatal(err)
					}
				}
				for _, statement := range []string{
					"CREATE TABLE plain " + Closes.Schema()[len("CREATE TABLE close "):],
					"INSERT INTO plain SELECT *, NULL FROM " + Closes.whole(),
				} {
					if _, err := w.file.conn.ExecContext(b.Context(), statement); err != nil {
						b.Fatal(err)
					}
				}
				bytes := func(tables string) float64 {
					var n int64
					if err := w.file.conn.QueryRowContext(b.Context(), "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE AND name IN ("+tables+")").Scan(&n); err != nil {
						b.Fatal(err)
					}
					return float64(n) / (samples * each)
				}
				with, without := bytes("'close', 'close_tuple'"), bytes("'plain'")
				b.ReportMetric(with, "B/close")
				b.ReportMetric(without, "B/close-without")
				b.ReportMetric(bytes("'close_tuple'"), "B/close-tuples")
				b.ReportMetric(without/with, "ratio")
				if err := w.Close(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// someClose is the end of a connection of one of so many clients; with 0, of one end or the other of a connection within
// the machine.
func someClose(rnd *rand.Rand, clients, n int) Close {
	service, port := Of([]int{80, 443, 5432, 6379}[rnd.IntN(4)]), Of(32768+rnd.IntN(28232))
	c := Close{NetNS: Of(4026531840), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: service, RemotePort: port, Cookie: Of(1_000_000 + 7*n),
		Process: Ref(1 + service.Or(0)%7), OwnerHow: "listener", Candidates: Of(1), Lived: Of(rnd.IntN(900)), BytesSent: Of(rnd.IntN(90_000)), BytesReceived: Of(rnd.IntN(9000)),
		SegsOut: Of(rnd.IntN(80)), SegsIn: Of(rnd.IntN(60)), Retransmits: Of(0), RTT: Of(50 + rnd.IntN(80_000)), RTTVar: Of(30 + rnd.IntN(8000)), MinRTT: Of(40 + rnd.IntN(6000)),
		Cwnd: Of(10), MSS: Of(1448), PMTU: Of(1500)}
	if clients == 0 {
		c.LocalAddr, c.RemoteAddr = "127.0.0.1", "127.0.0.1"
		if rnd.IntN(2) == 0 {
			c.LocalPort, c.RemotePort, c.Process, c.OwnerHow, c.Candidates = port, service, 0, "none", Int{}
		}
		return c
	}
	k := rnd.IntN(clients)
	c.RemoteAddr = fmt.Sprintf("10.%d.%d.%d", k>>16, k>>8&255, k&255)
	return c
}

// A sample that is written twice is the same both times: where the first writing failed, it may have come into the file all
// the same.
func TestWrittenTwiceIsTheSame(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 1400)
	statements := 0
	values := func(args []driver.NamedValue) (all []any) {
		for _, a := range args {
			all = append(all, a.Value)
		}
		return all
	}
	h.begun = func() {
		w := h.w
		rehearse := func() (all []string) {
			w.pending.collecting = true
			err := w.write(t.Context(), Cost{})
			w.pending.collecting = false
			if err != nil {
				t.Fatal(err)
			}
			for ops := w.pending.current; len(ops) > 0; {
				b, rows, args, rest := w.next(ops)
				if ops = rest; b != w.addSample { // that has the time it takes
					same := len(args) - rows*b.columns
					for i := range rows {
						all = append(all, fmt.Sprint(b.number, values(args[:same]), values(args[same+i*b.columns:same+(i+1)*b.columns])))
					}
				}
			}
			slices.Sort(all) // some sets are maps
			w.pending.current = nil
			for _, table := range w.order {
				table.again()
			}
			return all
		}
		first := rehearse()
		if diff := cmp.Diff(first, rehearse()); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
		statements += len(first)
	}
	h.run(150)
	if statements < 1000 {
		t.Errorf("only %d statements were compared", statements)
	}
}
