package store

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The as-of law holds whatever becomes of the file: the disk is full, for longer than memory lasts or not; it turns
// read-only; the recording is deleted, moved away and back, replaced by an older copy or by something foreign. Samples that
// wait in memory are written when they can be; of those that are dropped a gap tells.
func TestAsOfLawInTrouble(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(4, 6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 500+seed)
			h.trouble = &trouble{}
			if seed%2 == 1 {
				h.limits.Keep = 60 * time.Second
			}
			h.run(200)
			h.trouble.checkGaps(h)
			h.trouble.report(t)
		})
	}
}

// trouble befalls the file of a history.
type trouble struct {
	on      bool
	lost    []float64 // samples that were dropped
	notices []string
	struck  map[string]int
	dropped int // times that memory did not last
}

// lose takes note that Commit did not keep a sample. Were others in memory, they are lost with it.
func (d *trouble) lose(h *history, inFile []shot, now shot) {
	if h.w.state != stateLost {
		h.t.Fatalf("a sample is lost: %v", h.w.lost)
	}
	if len(inFile) < len(h.shots) {
		d.dropped++
	}
	d.miss(h, append(h.shots[len(inFile):], now))
	h.shots = inFile
}

// miss takes note of what must lie in a gap. While the clock is behind, the sample after the gap may have the time of one in it.
func (d *trouble) miss(h *history, lost []shot) {
	for _, s := range lost {
		if s.ts <= unixSeconds(h.wall) {
			d.lost = append(d.lost, s.ts)
		}
	}
}

// strike lets something happen now and then, and ends it after some samples.
func (d *trouble) strike(h *history) {
	kinds := []struct {
		name string
		do   func(h *history)
	}{
		{"full", d.full}, {"read-only", d.readOnly}, {"deleted", d.deleted}, {"-wal deleted", d.withoutWAL},
		{"foreign", d.foreign}, {"old copy", d.oldCopy}, {"locked", d.locked},
	}
	n := h.rand.IntN(15 * len(kinds))
	if n >= len(kinds) || len(h.shots) == 0 {
		return
	}
	if d.struck == nil {
		d.struck = map[string]int{}
	}
	d.struck[kinds[n].name]++
	h.w.options.Hold = 2000 + h.rand.IntN(10_000)
	h.w.options.Notice = func(n Notice) { d.notices = append(d.notices, n.Text) }
	d.notices, d.on = nil, true
	defer func() { d.on = false }()
	kinds[n].do(h)
	h.step()
	if h.w.Behind() {
		h.t.Fatalf("%s: it is over, and the recording is still behind: %v", kinds[n].name, h.w.trouble)
	}
	// Starting over frees pages of a full disk, so that it may go on for a while before it is full again.
	episodes := 0
	for _, s := range d.notices {
		if strings.Contains(s, "recording goes on") {
			episodes++
		}
	}
	if n := len(d.notices); n > 3*max(episodes, 1) {
		h.t.Fatalf("said %d times of %d: %q", n, episodes, d.notices)
	}
	if h.rand.IntN(4) == 0 && len(h.shots) > 0 {
		h.check()
	}
}

func (d *trouble) steps(h *history, most int) {
	for range 1 + h.rand.IntN(most) {
		h.step()
	}
}

// full: the file may not grow (SQLITE_FULL).
func (d *trouble) full(h *history) {
	h.exec("PRAGMA max_page_count = 1")
	d.steps(h, 40)
	if h.w.file.conn != nil {
		h.exec("PRAGMA max_page_count = 1000000")
	}
}

// readOnly: SQLITE_READONLY, until the file is opened again.
func (d *trouble) readOnly(h *history) {
	h.exec("PRAGMA query_only = 1")
	for !h.w.Behind() {
		h.step()
	}
}

// deleted: another recording begins, with nothing of what was before.
func (d *trouble) deleted(h *history) {
	parts := []string{"", "-wal", "-shm", "-recorder"}
	h.rand.Shuffle(3, func(i, j int) { parts[i+1], parts[j+1] = parts[j+1], parts[i+1] })
	for _, part := range parts[:1+h.rand.IntN(len(parts))] {
		if err := os.Remove(h.path + part); err != nil {
			h.t.Fatal(err)
		}
	}
	// SQLite itself drops a -wal file that is left of another file.
	h.shots, d.lost = nil, nil
	for len(h.shots) == 0 {
		h.step()
	}
	if len(h.shots) != 1 || !slices.ContainsFunc(d.notices, func(s string) bool { return strings.Contains(s, "deleted") }) {
		h.t.Fatalf("deleted: %d samples in the new file, said %q", len(h.shots), d.notices)
	}
}

// withoutWAL: what stands in the -wal file is saved.
func (d *trouble) withoutWAL(h *history) {
	generation := h.w.generation
	for _, part := range []string{"-wal", "-shm", "-recorder"} {
		if h.rand.IntN(2) == 0 {
			os.Remove(h.path + part)
		}
	}
	h.step()
	if h.w.generation != generation {
		h.t.Fatalf("-wal deleted: started over: %q", d.notices)
	}
}

// foreign: the recording is moved away, something else stands in its place, and then it is back.
func (d *trouble) foreign(h *history) {
	away, moved := filepath.Join(filepath.Dir(h.path), "away"), parts[:]
	if h.rand.IntN(2) == 0 {
		moved = parts[:1]
	}
	for _, part := range moved {
		if err := os.Rename(h.path+part, away+part); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := os.WriteFile(h.path, []byte(strings.Repeat("this is no recording\n", 100)), 0o600); err != nil {
		h.t.Fatal(err)
	}
	d.steps(h, 10)
	for _, part := range moved {
		os.Remove(h.path + part)
		if err := os.Rename(away+part, h.path+part); err != nil {
			h.t.Fatal(err)
		}
	}
}

// oldCopy: it is replaced by a copy, which may be of this very moment.
func (d *trouble) oldCopy(h *history) {
	backup, n, lost := filepath.Join(filepath.Dir(h.path), "backup"), len(h.shots), len(d.lost)
	os.Remove(backup)
	h.exec("VACUUM INTO '" + backup + "'")
	generation, now := h.w.generation, h.rand.IntN(2) == 0
	if !now {
		d.steps(h, 10)
	}
	if h.rand.IntN(2) == 0 { // else they stay, and are not the copy's
		for _, part := range parts[1:] {
			os.Remove(h.path + part)
		}
	}
	if err := os.Rename(backup, h.path); err != nil {
		h.t.Fatal(err)
	}
	later := h.shots[n:]
	h.shots, d.lost = h.shots[:n:n], d.lost[:lost]
	d.miss(h, later)
	h.step()
	if (h.w.generation == generation) != (len(later) == 0) {
		h.t.Fatalf("replaced by a copy %d samples old: generation %d after %d", len(later), h.w.generation, generation)
	}
}

// locked: another program has a transaction open.
func (d *trouble) locked(h *history) {
	h.exec("PRAGMA busy_timeout = 0")
	other := openForTest(h.t, h.path)
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.Exec("BEGIN IMMEDIATE"); err != nil {
		h.t.Fatal(err)
	}
	h.step()
	if _, err := other.Exec("ROLLBACK"); err != nil {
		h.t.Fatal(err)
	}
}

// openForTest opens a recording as any program would.
func openForTest(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "rw", "busy_timeout=1000"))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func (h *history) exec(stmt string) {
	h.t.Helper()
	if _, err := h.w.file.conn.ExecContext(h.t.Context(), stmt); err != nil {
		h.t.Fatalf("%s: %v", stmt, err)
	}
}

// checkGaps: each sample that was lost lies in a gap, and none that is there does.
func (d *trouble) checkGaps(h *history) {
	db := openForTest(h.t, h.path)
	defer db.Close()
	for _, ts := range d.lost {
		var n int
		if err := db.QueryRow("SELECT count(*) FROM gaps WHERE source IS NULL AND since < ? AND until >= ?", ts, ts).Scan(&n); err != nil || n == 0 {
			h.t.Errorf("no gap tells that the sample of %f is lost, %v", ts, err)
		}
	}
	wrong := texts(h.t, db, "SELECT m.ts, g.since, g.until, g.kind FROM gaps g JOIN samples m ON m.ts > g.since AND m.ts < g.until WHERE g.kind = 'unwritten'")
	if wrong != nil {
		h.t.Errorf("there are samples in gaps: %q", wrong)
	}
}

func (d *trouble) report(t *testing.T) {
	t.Logf("%v; memory did not last %d times; %d samples lost", d.struck, d.dropped, len(d.lost))
}
