package store

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store/glossary"
)

// The glossary stands in the file, for any program, as it is in this one; a recorder makes that of an older program new.
func TestGlossaryInTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "words.db")
	open := func() {
		t.Helper()
		w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
		if err != nil {
			t.Fatal(err)
		}
		w.Begin(Clock{Wall: time.Now(), Uptime: time.Hour, Awake: time.Hour})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	open()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := texts(t, db, "SELECT * FROM glossary")
	for _, word := range []string{"CLOSE_WAIT", "close-wait"} {
		want := glossary.Find("CLOSE_WAIT")[0]
		if got := texts(t, db, "SELECT kind, what, normal, worry, next FROM glossary WHERE word = ?", word); len(got) != 1 ||
			got[0] != strings.Join([]string{want.Kind, want.What, want.Normal, want.Worry, want.Next}, "") {
			t.Errorf("%s: %q, want %+v", word, got, want)
		}
	}
	for _, want := range []string{"TcpExtListenOverflows", "ListenOverflows", "NO_SOCKET", "UG", "Recv-Q", "gateway", "first_seen", "Icmp6InErrors", "0.0.0.0"} {
		if len(texts(t, db, "SELECT 1 FROM glossary WHERE word = ? AND what <> ''", want)) == 0 {
			t.Errorf("nothing on %s", want)
		}
	}
	if n := texts(t, db, "SELECT 1 FROM glossary WHERE coalesce(what, '') = '' OR coalesce(word, '') = '' OR normal = '' OR worry = '' OR next = ''"); len(n) > 0 {
		t.Errorf("%d rows say nothing", len(n))
	}

	// One that an older program wrote, and one without.
	for _, older := range []string{"DELETE FROM glossary_entry WHERE kind = 'state'; UPDATE glossary_entry SET what = 'old'", "DROP TABLE glossary_entry"} {
		if _, err := db.Exec(older + "; UPDATE recording SET views = 'of an older program'"); err != nil {
			t.Fatal(err)
		}
		open()
		if diff := cmp.Diff(all, texts(t, db, "SELECT * FROM glossary")); diff != "" {
			t.Errorf("after %s:\n%s", older, diff)
		}
		report, err := Check(t.Context(), path, CheckOptions{})
		if err != nil || slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.Kind == "schema" }) {
			t.Errorf("after %s: %v %+v", older, err, report.Findings)
		}
	}
	if _, err := exec.LookPath("sqlite3"); err != nil && os.Getenv("NETSQL_REQUIRE_KERNEL") == "" {
		t.Skip("sqlite3 is not installed (Debian: sqlite3)")
	}
	out, err := exec.Command("sqlite3", "-readonly", path, "SELECT kind FROM glossary WHERE word = 'time_wait'").CombinedOutput()
	if err != nil || string(out) != "state\n" {
		t.Errorf("sqlite3: %v %s", err, out)
	}
}

// Each unit and each column of a table has an entry.
func TestGlossaryHasUnitsAndColumns(t *testing.T) {
	t.Parallel()
	for _, v := range Views() {
		for _, c := range v.Columns {
			if c.Unit != "" && !slices.ContainsFunc(glossary.Find(c.Unit), func(e glossary.Entry) bool { return e.Kind == "unit" && e.Word == c.Unit }) {
				t.Errorf("nothing on the unit %s of %s.%s", c.Unit, v.Name, c.Name)
			}
		}
	}
	said := func(e glossary.Entry) bool {
		return e.Kind == "column" && e.Normal != "" && e.Worry != "" && e.Next != ""
	}
	for _, v := range Views() {
		if !slices.Contains([]string{"interface_counters", "qdiscs", "softnet", "conntrack"}, v.Name) {
			continue
		}
		for _, c := range v.Columns {
			if c.Unit != "" && c.Name != "ts" && !said(glossary.Column(v.Name, c.Name)) && !slices.ContainsFunc(glossary.Find(c.Name), said) {
				t.Errorf("%s.%s does not say what is normal and when to worry", v.Name, c.Name)
			}
		}
	}
	known := map[string]bool{}
	for _, e := range columnWords(Views()) {
		known[e.Word] = e.What != ""
	}
	for _, v := range Views() {
		for _, c := range v.Columns {
			if !known[c.Name] {
				t.Errorf("nothing on the column %s.%s", v.Name, c.Name)
			}
		}
	}
}
