package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// leaks works out of the sums, to the last digit, what it works out of the spans alone, and that is what a model says that
// remembers every sample: over windows within a block and over many, where processes come and go, a source fails, the
// recorder is stopped, killed and started again, the machine too, sums are late, and the oldest samples are forgotten.
func TestLeaksFromSums(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(4, 6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			m := newSumsModel(t, seed)
			if seed%4 == 3 {
				m.limits.Keep = 20 * time.Minute
			}
			m.start()
			for range 1000 {
				m.step()
				switch m.rand.IntN(400) {
				case 0, 1:
					m.stop()
					m.start()
				case 2:
					m.w.file.close() // killed
					m.start()
				case 3: // a short run
					m.stop()
					m.start()
					m.step()
					m.stop()
					m.start()
				}
				if m.rand.IntN(100) == 0 {
					m.compare()
				}
			}
			tidyUp(t, m.w)
			m.compare()
			m.stop()
			for range 15 {
				m.compare()
			}
			requireSound(t, m.path)
			m.used()
		})
	}
}

// The sums do not overflow where counts and windows are as large as they may be.
func TestSumsDoNotOverflow(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "large.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	// 90 days of a sample a second: a million sockets of one process, one more in each block. Of samples there are only those
	// that are looked at.
	const blocks, samples = 950, 8192
	for _, s := range []string{
		"UPDATE run SET first_sample = 1",
		fmt.Sprintf("INSERT INTO socket_trend (id, first_sample, last_sample, proto, state) VALUES (1, 1, %d, 'tcp', 'ESTABLISHED')", blocks*samples),
		fmt.Sprintf("INSERT INTO sample (id, ts, run, uptime_s) VALUES (1, 1, 1, 1), (%[1]d, %[1]d, 1, %[1]d)", blocks*samples),
		fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO long_block SELECT 1 + %d * i, %[2]d, 1 + %[2]d * i FROM n", blocks-1, samples),
		fmt.Sprintf("INSERT INTO socket_trend_long SELECT id << 32 | 1, %[1]d, y, y, %[1]d, y * %[1]d, y * (%[1]d * (%[1]d - 1) / 2), y * y * %[1]d, y, y FROM (SELECT *, 1000000 + id / %[1]d AS y FROM long_block)", samples),
	} {
		if _, err := w.file.conn.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	db := openLeaks(t, path, 1, blocks*samples, false)
	defer db.Close()
	want := []string{fmt.Sprintf("%.1f 1.000 1000000 %d", 3600.0/samples, 1000000+blocks-1)}
	if diff := cmp.Diff(want, texts(t, db, "SELECT printf('%.1f %.3f %d %d', per_hour, r2, first_count, last_count) FROM leaks")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Check finds sums that are not those of the spans; recover leaves out all of them, and the next recorder makes them again.
func TestSumsAreChecked(t *testing.T) {
	t.Parallel()
	m := newSumsModel(t, 21)
	m.start()
	for i := range 700 {
		if i == 100 || i == 305 {
			m.stop()
			m.start()
		}
		m.step()
	}
	tidyUp(t, m.w)
	m.stop()
	m.used()
	requireSound(t, m.path)
	for i, c := range []struct{ name, damage, kind string }{
		{"a sum", "UPDATE socket_trend_short SET total = total + 1 WHERE id = (SELECT max(id) FROM socket_trend_short WHERE n NOT NULL)", "socket_trend_short"},
		{"a sum of a long block", "UPDATE socket_trend_long SET squares = squares + 1 WHERE id = (SELECT min(id) FROM socket_trend_long WHERE n NOT NULL)", "socket_trend_long"},
		{"what stood still", "UPDATE socket_trend_short SET least = least + 1, most = most + 1 WHERE id = (SELECT max(id) FROM socket_trend_short WHERE n IS NULL)", "socket_trend_short"},
		{"how long it stood still", "UPDATE socket_trend_short SET samples = samples + 1 WHERE id = (SELECT max(id) FROM socket_trend_short WHERE n IS NULL)", "socket_trend_short"},
		{"a row", "DELETE FROM socket_trend_short WHERE id = (SELECT min(id) FROM socket_trend_short)", "socket_trend_short"},
		{"a row too many", "INSERT INTO socket_trend_long SELECT (id & ~4294967295) | 4294967290, samples, least, most, n, total, moment, squares, first, last FROM socket_trend_long LIMIT 1", "socket_trend_long"},
		{"a span", "UPDATE socket_trend_span SET count = count + 1 WHERE id = (SELECT min(id) FROM socket_trend_span)", "socket_trend_short"},
		{"a block", "DELETE FROM short_block WHERE id = (SELECT max(base) FROM short_block WHERE id > base)", "short_block"},
		{"the length of a block", "UPDATE long_block SET samples = samples + 1", "long_block"},
		{"a base", "UPDATE short_block SET base = id + 1 WHERE id = (SELECT max(id) FROM short_block)", "short_block"},
		{"the begin of a run", "UPDATE run SET first_sample = first_sample + 1", "run"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if i%2 != 0 {
				onlyLong(t)
			}
			t.Parallel()
			damaged := filepath.Join(t.TempDir(), "damaged.db")
			writeFile(t, damaged, readFile(t, m.path))
			db, err := sql.Open("sqlite", dsn(damaged, "rw"))
			if err != nil {
				t.Fatal(err)
			}
			r, err := db.Exec(c.damage)
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := r.RowsAffected(); n == 0 {
				t.Fatalf("%s changes nothing", c.damage)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			report, err := Check(t.Context(), damaged, CheckOptions{})
			if err != nil || !slices.Contains(report.Kinds, c.kind) {
				t.Errorf("check: %v, %v; want a finding of %s", report.Findings, err, c.kind)
			}
			if c.name == "a span" {
				return // what it said is lost for ever
			}
			saved := filepath.Join(t.TempDir(), "saved.db")
			result, err := Recover(t.Context(), damaged, saved, RecoverOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, table := range result.Tables {
				if table.Lost+table.Pages > 0 {
					t.Errorf("%+v", table)
				}
			}
			requireSound(t, saved)
			again := &sumsModel{t: t, rand: rand.New(rand.NewPCG(3, 3)), path: saved, boot: m.boot, wall: m.wall, uptime: m.uptime}
			since, until := m.samples[0].ts, m.samples[len(m.samples)-1].ts
			for _, sums := range []string{"0", "1"} {
				if got := ask(t, saved, "SELECT EXISTS (SELECT 1 FROM long_block)"); got[0] != sums {
					t.Errorf("there are long blocks: %s, want %s", got[0], sums)
				}
				if diff := cmp.Diff(m.ask(since, until, true), again.ask(since, until, false), cmp.Comparer(nearly)); diff != "" {
					t.Errorf("leaks (-before +saved):\n%s", diff)
				}
				if sums == "0" {
					again.start()
					again.step()
					tidyUp(t, again.w)
					again.stop()
				}
			}
			requireSound(t, saved)
		})
	}
}

// A count that none can be is damage of a span; it does not keep the others, nor the limits, from being tidied up.
func TestSumsOfDamagedCounts(t *testing.T) {
	t.Parallel()
	m := newSumsModel(t, 22)
	m.start()
	m.w.retention.sums.at = math.MaxInt64 // none yet
	for range 200 {
		m.step()
	}
	for i, count := range []string{"NULL", "-1", "1 << 62"} {
		if _, err := m.w.file.conn.ExecContext(t.Context(), fmt.Sprintf("UPDATE socket_trend_span SET count = %s WHERE id = (SELECT id FROM socket_trend_span ORDER BY id LIMIT 1 OFFSET %d)", count, 3*i)); err != nil {
			t.Fatal(err)
		}
	}
	m.w.retention.sums.at = 0
	tidyUp(t, m.w)
	m.stop()
	if got := ask(t, m.path, "SELECT count(*) > 1 FROM long_block"); got[0] != "1" {
		t.Error("there are no long blocks")
	}
	requireSound(t, m.path)
}
