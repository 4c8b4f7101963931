package query

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// Every file of an export holds what the views say of the window, and nothing else.
func TestExportIsTheWindow(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	// From the 31st sample on: it cuts runs, boots and gaps.
	var since, until float64
	if err := r.conn.QueryRowContext(t.Context(), "SELECT (SELECT ts FROM sample WHERE id = 31), (SELECT ts FROM sample WHERE id = 90)").Scan(&since, &until); err != nil {
		t.Fatal(err)
	}
	if err := r.SetWindow(t.Context(), unixTime(since), unixTime(until)); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a", "post-mortem")
	progress := map[string]int64{}
	got, err := Export(t.Context(), r, dir, ExportOptions{Progress: func(table string, rows int64) { progress[table] = rows }})
	if err != nil {
		t.Fatal(err)
	}
	if got.Samples != 60 || !got.Since.Equal(unixTime(since)) || !got.Until.Equal(unixTime(until)) {
		t.Errorf("exported %d samples from %v to %v, want 60 from %v to %v", got.Samples, got.Since, got.Until, unixTime(since), unixTime(until))
	}
	var names []string
	for _, f := range got.Files {
		names = append(names, f.Table)
		if progress[f.Table] != f.Rows {
			t.Errorf("%s: the last progress was %d rows, want %d", f.Table, progress[f.Table], f.Rows)
		}
		if info, err := os.Stat(filepath.Join(dir, f.Name)); err != nil || info.Size() != f.Bytes {
			t.Errorf("%s: %v, size %v, want %d", f.Name, err, info, f.Bytes)
		}
	}
	if diff := cmp.Diff(ExportTables(), names); diff != "" {
		t.Errorf("exported tables (-want +got):\n%s", diff)
	}

	db, err := sql.Open("sqlite", store.DSN(d.path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	total := 0
	for _, f := range got.Files {
		rows := readCSV(t, filepath.Join(dir, f.Name))
		if int64(len(rows)-1) != f.Rows {
			t.Errorf("%s: %d rows, reported %d", f.Table, len(rows)-1, f.Rows)
		}
		total += len(rows) - 1
		var want [][]string
		switch f.Table {
		case "leaks", "growth", "slow_leaks", "top_talkers", "connections", "listeners", "events", "findings", "symptom_episodes", "upstreams", "links", "peers", "first_seen", "compared": // they look at the shell's window
			want = table(t, r.conn, "SELECT * FROM "+f.Table)
		case "boots", "runs", "capabilities", "glossary":
			want = table(t, db, "SELECT * FROM "+f.Table)
		case "gaps":
			want = table(t, db, "SELECT * FROM gaps WHERE since <= ? AND coalesce(until, 1e15) >= ?", until, since)
		default:
			want = table(t, db, "SELECT * FROM "+f.Table+" WHERE ts >= ? AND ts <= ?", since, until)
			if !slices.IsSortedFunc(rows[1:], func(a, b []string) int { return strings.Compare(a[0], b[0]) }) {
				t.Errorf("%s: not in the order of ts", f.Table)
			}
		}
		for _, rows := range [][][]string{rows, want} {
			slices.SortFunc(rows[1:], slices.Compare)
			for _, row := range rows { // encoding/csv reads \r\n in a field as \n
				for i := range row {
					row[i] = strings.ReplaceAll(row[i], "\r\n", "\n")
				}
			}
		}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%s (-SQLite +export):\n%s", f.Table, diff)
		}
	}
	if total < 1000 {
		t.Errorf("%d rows in all: the test exports next to nothing", total)
	}
}

func TestExportIsRFC4180(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	dir := t.TempDir() // an empty folder is welcome
	if _, err := Export(t.Context(), openRecording(t, d.path), dir, ExportOptions{Tables: []string{"Processes", "settings"}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "processes.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(text), "ts,pid,started,comm,") || !strings.HasSuffix(string(text), "\r\n") {
		t.Errorf("processes.csv begins %.60q", text)
	}
	if want := `,"a,""b""` + "\r\nc|*d*\x1b[31m\","; !strings.Contains(string(text), want) {
		t.Errorf("processes.csv does not hold the exact name %q", want)
	}
	if want := time.Now().Format("-07:00"); want != "+00:00" && !strings.Contains(string(text), want) {
		t.Errorf("processes.csv has no times with the offset %s", want)
	}
	if bare := regexp.MustCompile(`[^\r]\n`).FindAllString(strings.ReplaceAll(string(text), "\r\n", ""), -1); bare != nil {
		t.Errorf("processes.csv has lines that end without CR: %q", bare[0])
	}
	// What has no rows has its columns all the same: nothing was there.
	if rows := readCSV(t, filepath.Join(dir, "settings.csv")); len(rows) != 1 || rows[0][0] != "ts" {
		t.Errorf("settings.csv = %v, want its header", rows)
	}
}

// Compressed files hold the same, under names that say so, and what they take is told.
func TestExportGzip(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	plain, packed := filepath.Join(t.TempDir(), "x"), filepath.Join(t.TempDir(), "z")
	if _, err := Export(t.Context(), r, plain, ExportOptions{Tables: []string{"sockets", "gaps"}}); err != nil {
		t.Fatal(err)
	}
	got, err := Export(t.Context(), r, packed, ExportOptions{Tables: []string{"sockets", "gaps"}, Gzip: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range got.Files {
		want, err := os.ReadFile(filepath.Join(plain, strings.TrimSuffix(file.Name, ".gz")))
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(packed, file.Name))
		if err != nil || int64(len(data)) != file.Bytes {
			t.Fatalf("%s: %d bytes, %d are told, %v", file.Name, len(data), file.Bytes, err)
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if unpacked, err := io.ReadAll(z); err != nil || !bytes.Equal(unpacked, want) {
			t.Errorf("%s holds other than the plain file, %v", file.Name, err)
		}
		if file.Table == "sockets" && len(data) > len(want)/4 {
			t.Errorf("%s: %d bytes of %d", file.Name, len(data), len(want))
		}
	}
	readme, err := os.ReadFile(filepath.Join(packed, "README.md"))
	if err != nil || !strings.Contains(string(readme), "sockets.csv.gz") {
		t.Errorf("README.md does not name the files: %v", err)
	}
}

func TestExportJSONL(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	dir := filepath.Join(t.TempDir(), "x")
	got, err := Export(t.Context(), r, dir, ExportOptions{Format: "jsonl", Tables: []string{"sockets"}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "sockets.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var n, strangers int64
	for line := range strings.Lines(string(text)) {
		var row struct {
			TS   time.Time
			Comm string
			Path *string
			RTT  float64 `json:"rtt_ms"`
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if row.Comm == stranger {
			strangers++
		}
		if row.TS.IsZero() || row.Path != nil || row.Comm != "" && (row.Comm != stranger || row.RTT != 1.5) {
			t.Fatalf("row = %+v", row)
		}
		n++
	}
	if strangers == 0 || n != got.Files[0].Rows {
		t.Errorf("%d lines, reported %d", n, got.Files[0].Rows)
	}
}

// Who gets only the folder learns from its README what it is, what is missing in it and what each column means.
func TestExportReadme(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	if err := r.SetWindow(t.Context(), d.wall.Add(-3*time.Hour), time.Time{}); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "x")
	got, err := Export(t.Context(), r, dir, ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(bytes)
	var uuid string
	if err := r.conn.QueryRowContext(t.Context(), "SELECT uuid FROM recording").Scan(&uuid); err != nil {
		t.Fatal(err)
	}
	zone := d.wall.Format(" -07:00 (MST)")
	for _, want := range []string{
		"# What the network of db1 looked like",
		d.path, uuid, "kernel 6.18.0", "boot id boot-1", "boot id boot-2",
		zoned(d.wall.Add(-3*time.Hour)) + " to " + zoned(d.wall), zone,
		"samples: 100\n",
		"(1m 35s): the recorder was stopped",
		"the recorder was stopped, and the machine was rebooted",
		"still so at the last sample: routes incomplete: not root",
		`routes failed: read routes: no \<i>buffer\</i> space`,
		"| ts | time | Time of the sample; the same in every table, so tables join on it. |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the README does not hold %q:\n%.2500s", want, text)
		}
	}
	for _, f := range got.Files {
		v, err := viewNamed(store.Views(), f.Table)
		if err != nil {
			t.Fatal(err)
		}
		_, section, found := strings.Cut(text, fmt.Sprintf("### %s: %s\n", f.Name, plural(f.Rows, "row")))
		section, _, _ = strings.Cut(section, "\n### ")
		if !found || !strings.Contains(section, markdownText(v.Doc)) {
			t.Errorf("%s: not in the README, with %d rows and its sentence", f.Name, f.Rows)
		}
		for _, c := range v.Columns {
			if !strings.Contains(section, "| "+c.Name+" |") || !strings.Contains(section, markdownText(c.Doc)) {
				t.Errorf("%s: the README does not explain %s", f.Name, c.Name)
			}
		}
	}

	// A window in which all went well says so.
	if err := r.SetWindow(t.Context(), began.Add(20*time.Second), began.Add(40*time.Second)); err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "y")
	if _, err := Export(t.Context(), r, dir, ExportOptions{Tables: []string{"gaps"}}); err != nil {
		t.Fatal(err)
	}
	bytes, err = os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil || !strings.Contains(string(bytes), "Never in this window") {
		t.Errorf("%v\n%s", err, bytes)
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := newDiary(t, time.Now())
	empty.start()
	tests := []struct {
		name    string
		path    string
		since   time.Time
		dir     string
		options ExportOptions
		want    string
	}{
		{"a folder with files", d.path, time.Time{}, full, ExportOptions{}, "is not empty, and an export overwrites nothing: name a new folder"},
		{"a file", d.path, time.Time{}, filepath.Join(full, "notes.txt"), ExportOptions{}, "look into the folder of the export"},
		{"an unknown table", d.path, time.Time{}, "x", ExportOptions{Tables: []string{"sokets"}}, `no table "sokets"; did you mean "sockets"?`},
		{"an unknown format", d.path, time.Time{}, "x", ExportOptions{Format: "xlsx"}, `no export format "xlsx": csv or jsonl`},
		{"a window between samples", d.path, time.Date(2026, 3, 14, 1, 20, 0, 0, time.Local), "x", ExportOptions{},
			"no sample lies between 2026-03-14 01:20:00 and 2026-03-14 01:21:00: the recording goes from 2026-03-14 01:00:05.123 to "},
		{"a recording without samples", empty.path, time.Time{}, "x", ExportOptions{}, "the recording has no sample yet: wait for the first"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := openRecording(t, tt.path)
			if !tt.since.IsZero() {
				if err := r.SetWindow(t.Context(), tt.since, tt.since.Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
			}
			dir := tt.dir
			if dir == "x" {
				dir = filepath.Join(t.TempDir(), "x")
			}
			_, err := Export(t.Context(), r, dir, tt.options)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if _, err := os.Stat(dir); tt.dir == "x" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it left a folder behind: %v", err)
			}
		})
	}
	if text, err := os.ReadFile(filepath.Join(full, "notes.txt")); err != nil || string(text) != "mine" {
		t.Errorf("notes.txt = %q, %v", text, err)
	}
}

// However far it came, an export that is cancelled leaves nothing, and what was set before stays set.
func TestExportCancelled(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	since := d.wall.Add(-2 * time.Hour)
	if err := r.SetWindow(t.Context(), since, time.Time{}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(t.TempDir(), "new"), t.TempDir()} {
		ctx, cancel := context.WithCancel(t.Context())
		var seen []string
		_, err := Export(ctx, r, dir, ExportOptions{Progress: func(string, int64) {
			if entries, _ := os.ReadDir(dir); len(entries) > 4 {
				for _, e := range entries {
					seen = append(seen, e.Name())
				}
				cancel()
			}
		}})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		if slices.Contains(seen, "README.md") || len(seen) == 0 {
			t.Errorf("while it was written there were %q", seen)
		}
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			t.Errorf("it left %v behind", entries)
		}
		if got, _, _, err := r.Window(t.Context()); err != nil || !got.Equal(since.Round(time.Microsecond)) {
			t.Errorf("the window now begins at %v (%v), want %v", got, err, since)
		}
	}
}

// The window is that of the moment at which the export began, even when samples go on being written.
func TestExportWhileRecording(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	dir := filepath.Join(t.TempDir(), "x")
	got, err := Export(t.Context(), r, dir, ExportOptions{Progress: func(string, int64) { d.sample(nil) }})
	if err != nil {
		t.Fatal(err)
	}
	last := got.Until.Format(exactTime)
	for _, f := range got.Files {
		rows := readCSV(t, filepath.Join(dir, f.Name))
		if i := slices.Index(rows[0], "ts"); i >= 0 && f.Rows > 0 {
			newest := slices.MaxFunc(rows[1:], func(a, b []string) int { return strings.Compare(a[i], b[i]) })[i]
			if newest > last {
				t.Errorf("%s: goes up to %s, want %s at the most", f.Table, newest, last)
			}
		}
	}
	// A connection begins with every sample, the last one of the window as well.
	first := 0
	for _, row := range readCSV(t, filepath.Join(dir, "connections.csv"))[1:] {
		if row[0] == last {
			first++
		} else if row[0] > last {
			t.Errorf("a connection begins at %s, after the window", row[0])
		}
	}
	if first != 1 {
		t.Errorf("%d connections begin with the last sample of the window, want 1", first)
	}
	if rows := readCSV(t, filepath.Join(dir, "samples.csv")); len(rows)-1 != got.Samples {
		t.Errorf("%d samples exported, reported %d", len(rows)-1, got.Samples)
	}
}
