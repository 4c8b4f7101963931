package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A damager spoils a file at places that chance names.
type damager struct {
	name string
	do   func(r *rand.Rand, data []byte) []byte
}

const damagePage = newPageSize

// somePage is a page of the file, from the second one on.
func somePage(r *rand.Rand, data []byte) []byte {
	n := 1 + r.IntN(len(data)/damagePage-1)
	return data[n*damagePage : (n+1)*damagePage]
}

func damagers() []damager {
	return []damager{
		{"flip a bit", func(r *rand.Rand, d []byte) []byte { d[r.IntN(len(d))] ^= 1 << r.IntN(8); return d }},
		{"change 8 bytes", func(r *rand.Rand, d []byte) []byte {
			binary.LittleEndian.PutUint64(d[r.IntN(len(d)-8):], r.Uint64())
			return d
		}},
		{"head", func(r *rand.Rand, d []byte) []byte { d[r.IntN(100)] = byte(r.Uint32()); return d }},
		{"head of a page", func(r *rand.Rand, d []byte) []byte { somePage(r, d)[r.IntN(12)] ^= byte(1 + r.IntN(255)); return d }},
		{"zero a page", func(r *rand.Rand, d []byte) []byte { clear(somePage(r, d)); return d }},
		{"noise in a page", func(r *rand.Rand, d []byte) []byte {
			p := somePage(r, d)
			for i := 0; i < len(p); i += 8 {
				binary.LittleEndian.PutUint64(p[i:], r.Uint64())
			}
			return d
		}},
		{"swap two pages", func(r *rand.Rand, d []byte) []byte {
			a, b := somePage(r, d), somePage(r, d)
			old := slices.Clone(a)
			copy(a, b)
			copy(b, old)
			return d
		}},
		{"truncate", func(r *rand.Rand, d []byte) []byte { return d[:r.IntN(len(d))] }},
	}
}

// Whatever is damaged in a recording, what is recovered of it is sound, can be recorded on, and says of every sample that
// it has what was recorded, or says in gaps that something of it was lost. check finds the damage wherever answers differ,
// but for values that nothing else depends on.
func TestDamageLaw(t *testing.T) {
	t.Parallel()
	rounds := little(1, 3)
	fmt.Sscan(os.Getenv("NETSQL_TEST_ROUNDS"), &rounds) // more find more
	h := recordLittle(t, 11, 300)
	good := readFile(t, h.path)
	want := answers(t.Context(), h.path)
	if len(want) < 500 {
		t.Fatalf("%d answers of a sound recording", len(want))
	}
	rows := countRows(t, h.path)
	for i, damage := range damagers() {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			var different, missed, refused, hopeless int
			var kept int64
			for round := range rounds {
				seed := fmt.Sprintf("seed %d", round)
				r := rand.New(rand.NewPCG(uint64(round), uint64(i)))
				damaged := filepath.Join(t.TempDir(), "damaged.db")
				writeFile(t, damaged, damage.do(r, slices.Clone(good)))
				report, err := Check(t.Context(), damaged, CheckOptions{})
				sound := err == nil && report.Sound()
				if err != nil {
					refused++
				} else if got := answers(t.Context(), damaged); !maps.Equal(got, want) {
					if different++; sound {
						missed++
					}
				}
				saved := filepath.Join(t.TempDir(), "saved.db")
				result, err := Recover(t.Context(), damaged, saved, RecoverOptions{})
				if errors.Is(err, ErrNothingSaved) || errors.Is(err, ErrNotRecording) || errors.Is(err, ErrNewer) {
					hopeless++
					continue
				}
				if err != nil {
					t.Fatalf("%s: %v", seed, err)
				}
				n := countRows(t, saved)
				if kept += n; n*100 < rows*90 {
					t.Logf("%s: %d of %d rows saved", seed, n, rows)
				}
				if r, err := Check(t.Context(), saved, CheckOptions{}); err != nil || !r.Sound() {
					t.Errorf("%s: what was saved is not sound: %v, %v", seed, r.Findings, err)
				}
				if wrong := contradictions(t.Context(), want, saved, result); len(wrong) > 0 && !sound {
					t.Errorf("%s: %d answers differ from what was recorded, and no gap says so: %s", seed, len(wrong), wrong[0])
				}
				goesOn(t, saved, "boot-0")
				requireSound(t, saved)
			}
			t.Logf("%d refused, %d with other answers, of which check missed %d; recover saved %.1f %% of the rows, of %d of %d anything",
				refused, different, missed, 100*float64(kept)/float64(rows*int64(rounds)), rounds-hopeless, rounds)
			if missed > 0 && damage.name != "flip a bit" && damage.name != "change 8 bytes" {
				t.Errorf("check missed %d of %d", missed, different)
			}
		})
	}
}

// answers is what the recording says, by table and sample; what cannot be read is an error.
func answers(ctx context.Context, path string) map[string]string {
	got := map[string]string{}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		return map[string]string{"": err.Error()}
	}
	defer db.Close()
	for table, question := range map[string]string{
		"interfaces":         "SELECT ts, ifindex, mtu, operstate FROM interfaces",
		"interface_counters": "SELECT ts, ifindex, rx_bytes FROM interface_counters",
		"sockets":            "SELECT ts, local_port, cookie, state, recv_q, bytes_sent, rtt_ms, pid FROM sockets",
		"processes":          "SELECT ts, pid, fds FROM processes",
	} {
		err := func() error {
			rows, err := db.QueryContext(ctx, question)
			if err != nil {
				return err
			}
			defer rows.Close()
			names, _ := rows.Columns()
			values, into := make([]any, len(names)), make([]any, len(names))
			for i := range values {
				into[i] = &values[i]
			}
			said := map[float64][]string{}
			for rows.Next() {
				if err := rows.Scan(into...); err != nil {
					return err
				}
				ts, _ := values[0].(float64)
				said[ts] = append(said[ts], fmt.Sprint(values[1:]...))
			}
			for ts, rows := range said {
				slices.Sort(rows)
				got[fmt.Sprintf("%s %f", table, ts)] = fmt.Sprint(rows)
			}
			return rows.Err()
		}()
		if err != nil {
			got[table] = err.Error()
		}
	}
	return got
}

// contradictions are the answers of a recovered recording that differ from what was recorded although no gap says that
// something was lost then.
func contradictions(ctx context.Context, want map[string]string, saved string, result Recovered) []string {
	got := answers(ctx, saved)
	db, err := sql.Open("sqlite", DSN(saved))
	if err != nil {
		return []string{err.Error()}
	}
	defer db.Close()
	var wrong []string
	for key, rows := range want {
		if got[key] == rows {
			continue
		}
		var table string
		var ts float64
		fmt.Sscan(key, &table, &ts)
		if ts < result.First-0.001 || ts > result.Last+0.001 {
			continue // it does not claim to know of that time
		}
		var said int
		if err := db.QueryRow(`SELECT count(*) FROM gap WHERE kind = 'damaged' AND since <= ?1 + 0.001 AND until >= ?1 - 0.001
			AND (source IS NULL OR source IN (?2, 'recording', 'sample', 'processes'))`, ts, table).Scan(&said); err != nil {
			return []string{err.Error()}
		}
		if said == 0 {
			wrong = append(wrong, fmt.Sprintf("%s\nwant %s\n got %s\n%+v", key, rows, got[key], result))
		}
	}
	return wrong
}

func countRows(t *testing.T, path string) (n int64) {
	t.Helper()
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, name := range texts(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'gap'") {
		var rows int64
		if err := db.QueryRow("SELECT count(*) FROM " + name).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		n += rows
	}
	return n
}
