package query

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// merged is a file of two hosts whose samples are of different times, with the paths of their recordings as they are in it.
func merged(t *testing.T) (path string, alone map[string]string) {
	t.Helper()
	alone = map[string]string{}
	var words []string
	for i, host := range []string{"web1", "db-2"} {
		d := eventful(t)
		if i == 1 {
			d = newDiary(t, began.Add(1700*time.Millisecond))
			d.start()
			for range 70 {
				d.sample(nil)
			}
		}
		alone[host] = filepath.Join(t.TempDir(), "alone.db")
		if _, err := Backup(t.Context(), d.path, alone[host]); err != nil {
			t.Fatal(err)
		}
		words = append(words, host+"="+d.path)
	}
	path = filepath.Join(t.TempDir(), "both.db")
	text, err := Merge(t.Context(), path, words)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, "web1, db-2 in "+path+", ") {
		t.Errorf("said %q", text)
	}
	return path, alone
}

func openAny(t *testing.T, path string) *Recording {
	t.Helper()
	r, err := OpenAny(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// answersOf are the rows of a result as texts, sorted.
func answersOf(t *testing.T, r *Recording, statement string) []string {
	t.Helper()
	rows, err := r.Query(t.Context(), statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, into := make([]sql.NullString, len(cols)), make([]any, len(cols))
	for i := range values {
		into[i] = &values[i]
	}
	var all []string
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(values))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	slices.Sort(all)
	return all
}

// A merged file says of each host what its recording says, in every view, in the window of one and the same time.
func TestMergedFileAnswersAsItsRecordings(t *testing.T) {
	t.Parallel()
	path, alone := merged(t)
	both := openAny(t, path)
	if _, err := Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), "ask it in SQL") {
		t.Errorf("Open: %v", err)
	}
	windows := [][2]time.Time{{}, {began.Add(30 * time.Second), began.Add(4 * time.Minute)}}
	nonEmpty := map[string]bool{}
	for i, w := range windows {
		if err := both.SetWindow(t.Context(), w[0], w[1]); err != nil {
			t.Fatal(err)
		}
		for host, file := range alone {
			one := openRecording(t, file)
			if err := one.SetWindow(t.Context(), w[0], w[1]); err != nil {
				t.Fatal(err)
			}
			for _, v := range store.Views() {
				if v.OfNoHost() || i > 0 && !windowed()[v.Name] {
					continue
				}
				var is, of []string
				for _, c := range v.Columns {
					is = append(is, quotedName(c.Name))
					if c.Name == "host" {
						c.Name = "host_name"
					}
					of = append(of, quotedName(c.Name))
				}
				want := answersOf(t, one, fmt.Sprintf("SELECT %s FROM %s", strings.Join(is, ", "), quotedName(v.Name)))
				got := answersOf(t, both, fmt.Sprintf("SELECT %s FROM %s WHERE host = '%s'", strings.Join(of, ", "), quotedName(v.Name), host))
				if !slices.Equal(want, got) {
					t.Fatalf("%s of %s in %v: %.500q, its recording has %.500q", v.Name, host, w, got, want)
				}
				if len(got) > 0 {
					nonEmpty[v.Name] = true
				}
			}
		}
	}
	if len(nonEmpty) < 28 {
		t.Errorf("only %d views had rows", len(nonEmpty))
	}
	// Heavy views join, and views join themselves.
	for _, statement := range []string{
		"SELECT count(*) FROM leaks l JOIN growth g USING (host, pid)",
		"SELECT count(*) FROM findings f JOIN events e USING (host)",
		"SELECT count(*) FROM connections a JOIN connections b ON a.local_addr = b.remote_addr AND a.local_port = b.remote_port AND a.host <> b.host",
		"SELECT host, count(*) FROM connections WHERE host IN (SELECT host FROM hosts) GROUP BY host",
	} {
		answersOf(t, both, statement)
	}
}

// at() finds the sample of the host that a row is of.
func TestAtOfMergedFile(t *testing.T) {
	t.Parallel()
	path, alone := merged(t)
	both := openAny(t, path)
	moment := began.Add(2 * time.Minute)
	words := moment.Format("2006-01-02 15:04:05")
	check := func(call, own string) {
		t.Helper()
		for host, file := range alone {
			one := openRecording(t, file)
			if _, _, err := one.SetAt(t.Context(), both.at); err != nil {
				t.Fatal(err)
			}
			want := answersOf(t, one, "SELECT ts, cookie, state FROM sockets WHERE ts = "+own)
			got := answersOf(t, both, fmt.Sprintf("SELECT ts, cookie, state FROM sockets WHERE ts = %s AND host = '%s'", call, host))
			if !slices.Equal(want, got) || len(got) < 5 {
				t.Errorf("%s of %s: %q, its recording has %q", call, host, got, want)
			}
		}
		times := answersOf(t, both, "SELECT DISTINCT host, ts FROM sockets WHERE ts = "+call)
		if len(times) != 2 || times[0][strings.Index(times[0], " "):] == times[1][strings.Index(times[1], " "):] {
			t.Errorf("%s: the samples of both hosts are %q", call, times)
		}
	}
	check("at('"+words+"', host)", "at('"+words+"')")
	check(fmt.Sprintf("at(%d, host)", moment.Unix()), fmt.Sprintf("at(%d)", moment.Unix()))
	check("at(host)", "at()")
	if _, note, err := both.SetAt(t.Context(), moment); err != nil || note != "" {
		t.Fatal(note, err)
	}
	check("at(host)", "at()")

	for _, statement := range []string{"SELECT 1 FROM sockets WHERE ts = at('" + words + "')", "SELECT at()", "SELECT at('03:14', 'web9')"} {
		rows, err := both.Query(t.Context(), statement)
		if err == nil {
			rows.Next()
			err = rows.Err()
			rows.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "name the host, ts = at('03:14', host)") || !strings.Contains(err.Error(), "db-2, web1") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	// One host began before the other.
	early := began.Add(time.Second)
	if _, note, err := both.SetAt(t.Context(), began.Add(6*time.Second)); err != nil || !strings.HasPrefix(note, "db-2: nothing is known of ") || strings.Contains(note, "web1") {
		t.Errorf("note %q, %v", note, err)
	}
	if _, _, err := both.SetAt(t.Context(), early); err == nil || !strings.Contains(err.Error(), "nothing is known of") {
		t.Error(err)
	}
	// What nobody saw is said with the host.
	for after, want := range map[time.Duration]string{7 * time.Minute: "db-2: the recording ends at ", 5*time.Minute + 40*time.Second: "web1: nobody looked at "} {
		answersOf(t, both, "SELECT count(*) FROM sockets WHERE ts = at('"+began.Add(after).Format("2006-01-02 15:04:05")+"', host)")
		if notes := both.Notes(); len(notes) != 1 || !strings.HasPrefix(notes[0], want) {
			t.Errorf("after %v: notes %q", after, notes)
		}
	}
}

// The shell of a merged file shows the column host, and refuses in a sentence what asks one recording.
func TestShellOfMergedFile(t *testing.T) {
	t.Parallel()
	path, _ := merged(t)
	ask := func(text string) (string, error) {
		var out strings.Builder
		s, err := NewShell(openAny(t, path), ShellConfig{Out: &out, Err: &out})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Script(t.Context(), text)
		return out.String(), err
	}
	for text, want := range map[string]string{
		".describe sockets":         "host                          The host whose recording says so",
		".describe hosts":           "UUID of its recording.",
		".describe boots host_name": "Host name.",
		".tables hosts":             "What is in this file",
		".at '" + began.Add(time.Minute).Format("2006-01-02 15:04:05") + "'\nSELECT host, count(*) FROM sockets WHERE ts = at(host) GROUP BY 1": "db-2|6\nweb1|6",
		".since '" + began.Format("2006-01-02 15:04:05") + "'":                "",
		"SELECT host, samples FROM hosts":                                     "db-2|70\nweb1|100",
		"SELECT count(DISTINCT word) > 100, count(host) FROM glossary, hosts": "1|",
	} {
		if got, err := ask(text); err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{".diff 01:01 01:02", ".around 01:01", ".note x", ".against yesterday", ".status", ".run leaking"} {
		if got, err := ask(text); err == nil || !strings.Contains(err.Error(), "asks one recording, and this file holds those of db-2, web1: netsql merge --only db-2 -o FILE ") {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	s, err := NewShell(openAny(t, path), ShellConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Prompt(t.Context(), time.Now()); got != "netsql 2 hosts> " {
		t.Errorf("prompt %q", got)
	}
	if got := s.Names(t.Context()).Values("host"); !slices.Equal(got, []string{"db-2", "web1"}) {
		t.Errorf("values of host: %q", got)
	}
	if names := openAny(t, path).Names(t.Context()); names.Tables["sockets"][0] != "host" || names.Tables["hosts"][0] != "host" || names.Tables["glossary"][0] != "word" ||
		slices.ContainsFunc(names.TableNames(), func(n string) bool { return strings.Contains(n, "/") }) {
		t.Errorf("names to complete: %v", names.TableNames())
	}
}

// A file that somebody has changed so that a table of a host is no table is refused.
func TestDisguisedMergedFile(t *testing.T) {
	t.Parallel()
	path, _ := merged(t)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`DROP TABLE "web1/socket_span"; CREATE VIEW "web1/socket_span" AS SELECT 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAny(t.Context(), path); err == nil || !strings.Contains(err.Error(), "web1/socket_span in it is a view") {
		t.Error(err)
	}
}

// A word may name the host and the file, also where one of them is odd.
func TestMergeReadsItsWords(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	d.sample(nil)
	odd := filepath.Join(filepath.Dir(d.path), "a=b.db")
	if _, err := Backup(t.Context(), d.path, odd); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "both.db")
	text, err := Merge(t.Context(), path, []string{odd, "w=" + d.path})
	if err != nil || !strings.HasPrefix(text, "db1, w in ") { // db1 is what the recording says
		t.Errorf("%q, %v", text, err)
	}
	if _, err := Merge(t.Context(), path+"2", []string{odd, d.path}); err == nil || !strings.Contains(err.Error(), "both of host db1") {
		t.Error(err)
	}
}
