package recorder

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// The lines are what kernels of several builds show: with and without the unloading of modules, as root and as another user.
const (
	someModules = `nf_conntrack 172032 3 xt_conntrack,nf_nat,nf_conntrack_netlink, Live 0x0000000000000000
nvidia 56000512 12 [permanent], Live 0xffffffffc0a00000 (POE)
dummy 16384 0 - Live 0x0000000000000000
`
	noUnloading = "tun 57344 - - Live 0xffffffffc0200000\nwireguard 94208 - - Loading 0xffffffffc0100000 (E+)\n"
)

func TestParseModules(t *testing.T) {
	t.Parallel()
	type module struct {
		id store.ModuleID
		m  store.Module
	}
	for _, test := range []struct {
		text string
		want []module
	}{
		{"", nil},
		{someModules, []module{
			{store.ModuleID{Name: "nf_conntrack"}, store.Module{State: "Live", Size: store.Of(172032)}},
			{store.ModuleID{Name: "nvidia"}, store.Module{State: "Live", Size: store.Of(56000512), Taints: "POE"}},
			{store.ModuleID{Name: "dummy"}, store.Module{State: "Live", Size: store.Of(16384)}},
		}},
		{noUnloading, []module{
			{store.ModuleID{Name: "tun"}, store.Module{State: "Live", Size: store.Of(57344)}},
			{store.ModuleID{Name: "wireguard"}, store.Module{State: "Loading", Size: store.Of(94208), Taints: "E"}},
		}},
	} {
		var got []module
		if err := parseModules([]byte(test.text), func(id store.ModuleID, m store.Module) { got = append(got, module{id, m}) }); err != nil {
			t.Errorf("%q: %v", test.text, err)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%q: %+v, want %+v", test.text, got, test.want)
		}
	}
	for _, bad := range []string{"tun\n", "tun x - - Live 0x0\n", "tun 57344 - - Live\n", "\n"} {
		if err := parseModules([]byte(bad), func(store.ModuleID, store.Module) {}); err == nil {
			t.Errorf("%q is told as a module", bad)
		}
	}
}

// A module that comes between two samples is a change, an event, and new in the window; those that were there when the recorder first looked are not.
// This kernel may have none, so the lines of another are read.
func TestModulesComeAndGo(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	r.sample() // before anybody looked at modules, as in a recording of an older format
	if err := r.Writer.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.Writer, err = store.Create(t.Context(), store.Options{Path: r.path, Interval: time.Second, Version: "test",
		Boot: store.Boot{ID: "boot", Host: "host", Kernel: "6.18", Started: time.Unix(1_700_000_000, 0)}}); err != nil {
		t.Fatal(err)
	}
	s := newModules(r.Writer, namespace{}).(*modules)
	s.path = filepath.Join(t.TempDir(), "modules")
	show := func(text string) {
		t.Helper()
		if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.sample(s)
	}
	show(someModules)
	show(someModules + noUnloading)
	show(strings.Replace(someModules+noUnloading, "Loading", "Live", 1))
	show(strings.Replace(someModules, " 3 xt_conntrack,", " 4 tcp_bbr,xt_conntrack,", 1))

	got := r.rows("SELECT name, change, was, now FROM module_changes ORDER BY ts, name")
	want := []map[string]any{
		{"name": "tun", "change": "added", "was": nil, "now": "state=Live size=57344"},
		{"name": "wireguard", "change": "added", "was": nil, "now": "state=Loading size=94208 taints=E"},
		{"name": "wireguard", "change": "changed", "was": "state=Loading", "now": "state=Live"},
		{"name": "tun", "change": "removed", "was": "state=Live size=57344", "now": nil},
		{"name": "wireguard", "change": "removed", "was": "state=Live size=94208 taints=E", "now": nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("module_changes (-want +got):\n%s", diff)
	}
	if n := r.rows("SELECT count(*) AS n FROM events WHERE object = 'module'")[0]["n"]; n != int64(len(want)) {
		t.Errorf("%v events, want %d", n, len(want))
	}
	got = r.rows("SELECT what FROM first_seen WHERE kind = 'module' ORDER BY what")
	if diff := cmp.Diff([]map[string]any{{"what": "tun"}, {"what": "wireguard (E)"}}, got); diff != "" {
		t.Errorf("first_seen (-want +got):\n%s", diff)
	}
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	r.sample(s)
	if row := r.rows("SELECT outcome, rows FROM sources_now WHERE source = 'modules'")[0]; row["outcome"] != "read" || row["rows"] != int64(0) {
		t.Errorf("without modules: %v", row)
	}
}

// What is recorded of this kernel is what the file says.
func TestModulesOfThisKernel(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Skip("a kernel without modules: " + err.Error())
	}
	r := newRecording(t)
	r.sample(newModules(r.Writer, namespace{}))
	if n := r.rows("SELECT count(*) AS n FROM modules_now")[0]["n"]; n != int64(bytes.Count(text, []byte{'\n'})) {
		t.Errorf("%v modules, want %d", n, bytes.Count(text, []byte{'\n'}))
	}
}

func FuzzModules(f *testing.F) {
	f.Add([]byte(someModules))
	f.Add([]byte(noUnloading))
	f.Fuzz(func(t *testing.T, text []byte) {
		n := 0
		if err := parseModules(text, func(store.ModuleID, store.Module) { n++ }); err == nil && n > bytes.Count(text, []byte{'\n'})+1 {
			t.Errorf("%d modules in %q", n, text)
		}
	})
}

// A server has some 150 modules.
func BenchmarkModules(b *testing.B) {
	text := []byte(strings.Repeat(someModules, 50))
	for b.Loop() {
		if err := parseModules(text, func(store.ModuleID, store.Module) {}); err != nil {
			b.Fatal(err)
		}
	}
}
