package recorder

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

func TestConntrack(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t)
	r := newRecording(t)
	src := newConntrack(r.Writer, here(t))
	oracle := func() []map[string]any {
		count, err := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
		if os.IsNotExist(err) {
			return nil
		}
		most, err2 := os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_max")
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		return []map[string]any{{"entries": strings.TrimSpace(string(count)), "max_entries": strings.TrimSpace(string(most))}}
	}
	agree(t, r, src, "at first", oracle, func() []map[string]any {
		return r.rows("SELECT CAST(entries AS TEXT) AS entries, CAST(max_entries AS TEXT) AS max_entries FROM conntrack_now")
	})
	if got := r.outcome("conntrack"); got != "read" {
		t.Errorf("outcome %s", got)
	}
}

// TestConntrackStatistics: what the CPUs count is added up.
func TestConntrackStatistics(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "net/stat"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := newRecording(t)
	src := newConntrack(r.Writer, namespace{id: store.Of(7), proc: dir}).(*conntrack)
	src.dir = dir
	for name, text := range map[string]string{"nf_conntrack_count": "1\n", "nf_conntrack_max": "2\n",
		"net/stat/nf_conntrack": "entries  insert_failed drop early_drop\n00000001 00000010 00000002 00000003\n00000001 00000001 0000000a 00000100\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.sample(src)
	want := []map[string]any{{"drops": int64(12), "early_drops": int64(259), "insert_failed": int64(17)}}
	if diff := cmp.Diff(want, r.rows("SELECT drops, early_drops, insert_failed FROM conntrack_now")); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(dir, "net/stat/nf_conntrack"), []byte("entries drop\n1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.sample(src)
	if got := r.outcome("conntrack"); !strings.HasPrefix(got, "failed read the statistics") {
		t.Errorf("of a short line: %s", got)
	}
}

// TestConntrackModule: without the module there are no files, and that is no failure.
func TestConntrackModule(t *testing.T) {
	r := newRecording(t)
	src := newConntrack(r.Writer, namespace{id: store.Of(7), proc: "/proc/self"}).(*conntrack)
	src.dir = t.TempDir()
	now := func() []map[string]any { return r.rows("SELECT netns, entries, max_entries FROM conntrack_now") }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(src.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.sample(src)
	if got := r.outcome("conntrack"); got != "read" || len(now()) != 0 {
		t.Errorf("without the module: %s, %v", got, now())
	}
	write("nf_conntrack_count", "1234\n")
	write("nf_conntrack_max", "262144\n")
	r.sample(src)
	want := []map[string]any{{"netns": int64(7), "entries": int64(1234), "max_entries": int64(262144)}}
	if diff := cmp.Diff(want, now()); diff != "" {
		t.Error(diff)
	}
	write("nf_conntrack_count", "many\n")
	r.sample(src)
	if got := r.outcome("conntrack"); !strings.HasPrefix(got, "failed read nf_conntrack_count") || len(now()) != 0 {
		t.Errorf("with nonsense: %s, %v", got, now())
	}
}
