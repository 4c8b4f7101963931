package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"netsql/migrations"
)

// A recording of the first format is brought up to date by the next recorder, keeps what it says, and goes on.
func TestFirstFormatIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	db := makeFormat(t, path, 1)
	if _, err := db.Exec(`
		INSERT INTO boot (id, boot_id, started) VALUES (1, 'b', 1);
		INSERT INTO run (id, boot, started, pid, interval_s) VALUES (1, 1, 1, 1, 5);
		INSERT INTO sample (id, ts, run, uptime_s) VALUES (1, 100, 1, 99), (2, 105, 1, 104);
		INSERT INTO process (id, first_sample, pid, comm) VALUES (1, 1, 7, 'webd');
		INSERT INTO process_tuple (id, uid) VALUES (1, 33);
		INSERT INTO process_open VALUES (1, 1, 1, 9);
		INSERT INTO socket (id, first_sample, proto, local_port, remote_port, cookie) VALUES (1, 1, 'tcp', 80, 1234, 5);
		INSERT INTO socket_tuple (id, state, process) VALUES (1, 'ESTABLISHED', 1);
		INSERT INTO socket_open (subject, from_sample, tuple, bytes_sent) VALUES (1, 1, 1, 42);
		INSERT INTO source (id, first_sample, source) VALUES (1, 1, 'tcp4');
		INSERT INTO source_tuple (id, outcome) VALUES (1, 'read');
		INSERT INTO source_open VALUES (1, 1, 1, 1, 0);
		INSERT INTO gap (since, kind) VALUES (100, 'failed');`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("tcp4")
	set := NewSet(src, Sockets)
	w.Begin(Clock{Wall: time.Unix(110, 0), Uptime: 109 * time.Second, Awake: 109 * time.Second})
	src.Read(func() error {
		set.Put(SocketID{Proto: "tcp", LocalPort: Of(81), Cookie: Of(6)}, Socket{State: "LISTEN", OwnerHow: "none"})
		return nil
	})
	if err := w.Commit(t.Context(), Cost{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if db, err = sql.Open("sqlite", DSN(path)); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]string{
		"SELECT group_concat(ts || ' ' || comm || ' ' || state || ' ' || bytes_sent || ' ' || coalesce(owner_how, 'NULL'), ', ') FROM sockets WHERE ts < 110": "100.0 webd ESTABLISHED 42 NULL, 105.0 webd ESTABLISHED 42 NULL",
		"SELECT group_concat(ts || ' ' || local_port || ' ' || owner_how) FROM sockets WHERE ts >= 110":                                                       "110.0 81 none",
		"SELECT count(*) FROM gaps WHERE kind IN ('failed', 'crashed')":                                                                                       "2",
		"SELECT count(*) || ' ' || count(netns) FROM sources WHERE ts = 105":                                                                                  "1 0",
		"SELECT count(*) FROM connections":                                 "1",
		"SELECT group_concat(integrity_check) FROM pragma_integrity_check": "ok",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s\ngives %q, %v; want %q", query, got, err, want)
		}
	}
}

// makeFormat makes an empty recording of that format, as the program of its time did.
func makeFormat(t *testing.T, path string, format int) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "rwc", "auto_vacuum=incremental", "journal_mode=wal"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, step := range allSteps(t)[:format] {
		if _, err := db.Exec(step); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; INSERT INTO recording (id, uuid, created) VALUES (1, 'u', 1)",
		ApplicationID, format)); err != nil {
		t.Fatal(err)
	}
	return db
}

func allSteps(t testing.TB) []string {
	t.Helper()
	steps, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// fillFormat writes three subjects of every table that the format has: a span that ended, one that still holds, and
// a subject that is gone. It returns, for each table, the question what its columns of that format were at each sample.
func fillFormat(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	exec := func(format string, args ...any) {
		t.Helper()
		if _, err := db.Exec(fmt.Sprintf(format, args...)); err != nil {
			t.Fatalf("%s: %v", fmt.Sprintf(format, args...), err)
		}
	}
	exec(`INSERT INTO boot (id, boot_id, started) VALUES (1, 'b', 1);
		INSERT INTO run (id, boot, started, pid, interval_s) VALUES (1, 1, 1, 1, 5);
		INSERT INTO sample (id, ts, run, uptime_s) VALUES (1, 100, 1, 99), (2, 105, 1, 104), (3, 110, 1, 109), (4, 115, 1, 114);
		INSERT INTO gap (since, until, kind) VALUES (100, 105, 'late')`)
	if texts(t, db, "SELECT count(*) FROM pragma_table_info('run') WHERE name = 'first_sample'")[0] == "1" {
		exec("UPDATE run SET first_sample = 1")
	}
	// others are the columns of a table but for the first ones, and values of theirs for row i.
	others := func(table string, first []string, refs map[string]bool, i int) (names, values string) {
		rows, err := db.Query("SELECT name, type FROM pragma_table_info(?) WHERE name NOT IN ('"+strings.Join(first, "', '")+"')", table)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for n := 0; rows.Next(); n++ {
			var name, kind string
			if err := rows.Scan(&name, &kind); err != nil {
				t.Fatal(err)
			}
			value := fmt.Sprint(100*i + n)
			switch {
			case refs[name]:
				value = "1"
			case kind == "TEXT":
				value = fmt.Sprintf("'%s %d'", name, i)
			}
			names, values = names+", "+name, values+", "+value
		}
		return names, values
	}
	questions := map[string]string{}
	for _, table := range Tables() {
		s := table.Subject
		var is int
		if err := db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = ?", s+"_open").Scan(&is); err != nil {
			t.Fatal(err)
		}
		if is == 0 {
			continue
		}
		refs := map[string]bool{}
		for _, c := range table.refs() {
			refs[c.stored] = true
		}
		join, shown, spans := "", "", ""
		for i := 1; i <= 3; i++ {
			names, values := others(s, []string{"id", "first_sample", "last_sample", "gone_sample"}, refs, i)
			last, gone := "NULL", "NULL"
			if i == 3 {
				last, gone = "2", "3"
			}
			exec("INSERT INTO %s (id, first_sample, last_sample, gone_sample%s) VALUES (%d, 1, %s, %s%s)", s, names, i, last, gone, values)
			shown = strings.ReplaceAll(names, ", ", ", s.")
			tuple, tuples := "", ""
			if len(table.rare) > 0 {
				names, values := others(s+"_tuple", []string{"id"}, refs, i)
				exec("INSERT INTO %s_tuple (id%s) VALUES (%d%s)", s, names, i, values)
				tuple, tuples = ", tuple", fmt.Sprintf(", %d", i)
				join = fmt.Sprintf("JOIN %s_tuple t ON t.id = p.tuple", s)
				shown += strings.ReplaceAll(names, ", ", ", t.")
			}
			names, values = others(s+"_span", []string{"id", "length", "tuple"}, refs, i)
			exec("INSERT INTO %s_span (id, length%s%s) VALUES (%d, 1%s%s)", s, tuple, names, 2<<32|i, tuples, values)
			if i < 3 {
				exec("INSERT INTO %s_open (subject, from_sample%s%s) VALUES (%d, 3%s%s)", s, tuple, names, i, tuples, values)
			}
			shown += strings.ReplaceAll(names, ", ", ", p.")
			spans = fmt.Sprintf(`SELECT (id >> 32) - length AS a, id >> 32 AS z, id & 4294967295 AS subject%[1]s%[2]s FROM %[3]s_span
				UNION ALL SELECT from_sample, 4, subject%[1]s%[2]s FROM %[3]s_open`, tuple, names, s)
		}
		questions[table.Name] = fmt.Sprintf("SELECT m.ts, s.id%s FROM sample m JOIN (%s) p ON m.id BETWEEN a AND z JOIN %s s ON s.id = p.subject %s ORDER BY 1, 2",
			shown, spans, s, join)
	}
	return questions
}

// asked is the question of an earlier format as the newest answers it: columns that share one by now are read out of it.
func (t *Table) asked(question string) string {
	for i, c := range t.span {
		if c.half == high {
			next := t.span[i+1]
			question = strings.NewReplacer(fmt.Sprintf(", %s, %s", c.Name, next.Name), ", "+c.stored,
				fmt.Sprintf("p.%s, p.%s", c.Name, next.Name), c.half.part("p."+c.stored)+", "+next.half.part("p."+next.stored)).Replace(question)
		}
	}
	return question
}

// What every earlier format says of a moment, it says once it is brought up to date, also in the views; and a person is told
// once that it is.
func TestEveryFormatIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	steps := allSteps(t)
	for format := 1; format <= len(steps); format += little(3, 1) {
		t.Run(fmt.Sprintf("format %d", format), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "old.db")
			db := makeFormat(t, path, format)
			questions := fillFormat(t, db)
			before := map[string][]string{}
			for table, q := range questions {
				if before[table] = texts(t, db, q); len(before[table]) != 10 {
					t.Fatalf("%s: %d rows before, want 10", table, len(before[table]))
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			var said []string
			w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}, Notice: func(n Notice) { said = append(said, n.Text) }})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			var want []string
			if format < len(steps) {
				want = []string{fmt.Sprintf("bringing %s from format %d to %d", path, format, len(steps))}
			}
			if diff := cmp.Diff(want, said); diff != "" {
				t.Errorf("what was said (-want +got):\n%s", diff)
			}
			if db, err = sql.Open("sqlite", DSN(path)); err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for _, table := range Tables() {
				q, ok := questions[table.Name]
				if !ok {
					continue
				}
				if diff := cmp.Diff(before[table.Name], texts(t, db, table.asked(q))); diff != "" {
					t.Errorf("%s (-before +after):\n%s", table.Name, diff)
				}
				want := []string{"100 3", "105 3", "110 2", "115 2"}
				if diff := cmp.Diff(want, texts(t, db, "SELECT ts, count(*) FROM "+table.Name+" GROUP BY ts ORDER BY ts")); diff != "" {
					t.Errorf("the view %s (-want +got):\n%s", table.Name, diff)
				}
			}
			if r, err := Check(t.Context(), path, CheckOptions{}); err != nil || !r.Sound() {
				t.Errorf("it is damaged: %v, %v", r.Findings, err)
			}
		})
	}
}

// An upgrade by itself records nothing: the recording may be another machine's.
func TestUpgradeRecordsNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	db := makeFormat(t, path, 1)
	fillFormat(t, db)
	ask := "SELECT (SELECT count(*) FROM sample), (SELECT count(*) FROM run), (SELECT count(*) FROM gap), (SELECT count(*) FROM socket_open)"
	before := texts(t, db, ask)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Readable(t.Context(), path); !errors.Is(err, ErrOlder) || !strings.Contains(err.Error(), "netsql upgrade "+path) {
		t.Errorf("reading it: %v", err)
	}
	latest := len(allSteps(t))
	for _, from := range []int{1, latest} {
		if got, to, err := Upgrade(t.Context(), path, nil); err != nil || got != from || to != latest {
			t.Errorf("upgraded from format %d to %d, %v; want from %d to %d", got, to, err, from, latest)
		}
	}
	if _, err := Readable(t.Context(), path); err != nil {
		t.Error(err)
	}
	if db, _ = sql.Open("sqlite", DSN(path)); db != nil {
		defer db.Close()
	}
	if diff := cmp.Diff(before, texts(t, db, ask)); diff != "" {
		t.Errorf("samples, runs, gaps and open spans (-before +after):\n%s", diff)
	}
	if _, _, err := Upgrade(t.Context(), filepath.Join(t.TempDir(), "none.db"), nil); !errors.Is(err, ErrNoRecording) {
		t.Errorf("upgrading nothing: %v", err)
	}
}

// slowSteps are the migrations, and one more that takes long and fills the disk.
func slowSteps(t *testing.T) []string {
	return append(slices.Clone(allSteps(t)), `CREATE TABLE filler (text TEXT);
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)
		INSERT INTO filler SELECT printf('%0200d', i) FROM n`)
}

// unchanged holds that the recording is what it was before an upgrade began.
func unchanged(t *testing.T, path string, format int, questions map[string]string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, "rw"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := texts(t, db, "SELECT user_version || ' ' || integrity_check || ' ' || (SELECT count(*) FROM sqlite_schema WHERE name = 'filler') FROM pragma_user_version, pragma_integrity_check"); !slices.Equal(got, []string{fmt.Sprintf("%d ok 0", format)}) {
		t.Errorf("format, integrity, tables of the next format: %q", got)
	}
	for table, q := range questions {
		if got := texts(t, db, q); len(got) != 10 {
			t.Errorf("%s: %d rows, want 10", table, len(got))
		}
	}
}

// An upgrade for which there is no room leaves the recording as it was.
func TestUpgradeOnAFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	db := makeFormat(t, path, 1)
	questions := fillFormat(t, db)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1000"); err != nil {
		t.Fatal(err)
	}
	err = bringUpToDate(t.Context(), conn, slowSteps(t), nil)
	var full *sqlite.Error
	if !errors.As(err, &full) || full.Code() != sqlite3.SQLITE_FULL || !errors.Is(Explain(path, err), ErrNoSpace) {
		t.Errorf("upgrade on a full disk: %v", err)
	}
	conn.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	unchanged(t, path, 1, questions)
	// With room again, the next recorder goes on.
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// upgradeUntilKilled is the process that TestKilledUpgrade kills.
func upgradeUntilKilled(t *testing.T, path string) {
	db, err := sql.Open("sqlite", dsn(path, "rw", "cache_size=-200"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("upgrading", bringUpToDate(t.Context(), conn, slowSteps(t), nil))
	os.Exit(0)
}

// Rows that move into another table all arrive, in the room that they had; tables begin where they do in every recording of
// the format, which recover relies on.
func TestUpgradeMovesRowsInPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	db := makeFormat(t, path, 3)
	if _, err := db.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000)
		INSERT INTO socket_span SELECT i << 32 | i % 7, i % 50, i % 100, i % 11 % 2, i % 13, 1000 + i, 2000 + i, i, i + 1, 300 + i, 100 + i, 10 FROM n`); err != nil {
		t.Fatal(err)
	}
	const sums = "SELECT count(*), sum(id >> 32), sum(id & 4294967295), sum(length), sum(tuple), sum(%s), sum(%s), sum(bytes_sent), sum(bytes_received), sum(segs_out), sum(segs_in), sum(rtt_us), sum(rttvar_us), sum(cwnd) FROM socket_span"
	before := texts(t, db, fmt.Sprintf(sums, "recv_q", "send_q"))
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	size, err := sizeOf(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Upgrade(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	if db, err = sql.Open("sqlite", DSN(path)); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if diff := cmp.Diff(before, texts(t, db, fmt.Sprintf(sums, high.part("queues"), low.part("queues")))); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
	// The views of this program take 400 KB, and a round of rows 800 KB.
	if now, err := sizeOf(path); err != nil || now > size+size/4+1200<<10 {
		t.Errorf("the file of %d bytes has %d, %v", size, now, err)
	}
	var pageSize int
	if err := db.QueryRow("PRAGMA page_size").Scan(&pageSize); err != nil {
		t.Fatal(err)
	}
	_, want, err := schemaOf(t.Context(), len(allSteps(t)), pageSize)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint32{}
	for name := range want {
		var root uint32
		if err := db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = ?", name).Scan(&root); err != nil {
			t.Fatal(err)
		}
		got[name] = root
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("where tables begin (-every recording +this one):\n%s", diff)
	}
}

// Who has a large recording is told what its upgrade takes.
func TestUpgradeSaysWhatItTakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		from int
		size int64
		want string
	}{
		{3, 1 << 20, "bringing a.db from format 3 to 9"},
		{3, 2 << 30, "bringing a.db from format 3 to 9: that takes about a minute for each GB, and another 2048 MB of room until it is done"},
		{4, 2 << 30, "bringing a.db from format 4 to 9"},
	} {
		if got := upgrading("a.db", test.from, 9, test.size); got != test.want {
			t.Errorf("format %d, %d bytes: %q, want %q", test.from, test.size, got, test.want)
		}
	}
}
