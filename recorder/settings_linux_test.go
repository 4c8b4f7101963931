package recorder

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kerneltest"
	"netsql/store"
)

// sysctls reads what sysctl(8) prints of the settings that the recording has.
func sysctls(t *testing.T, names []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for line := range strings.Lines(kerneltest.Command(t, "sysctl", names...)) {
		name, value, _ := strings.Cut(line, "=")
		all[strings.TrimSpace(name)] = strings.Join(strings.Fields(value), " ")
	}
	return all
}

func settingsOf(r *testRecording) map[string]string {
	all := map[string]string{}
	for _, m := range r.rows("SELECT name, value FROM settings_now") {
		all[m["name"].(string)] = text(m["value"])
	}
	return all
}

func TestSettings(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "link add br.7 type bridge") // sysctl(8) writes br/7
	setSysctl(t, "net/ipv4/conf/d0/rp_filter", "2")
	setSysctl(t, "net/ipv6/conf/br.7/disable_ipv6", "1")
	setSysctl(t, "net/ipv4/ip_local_reserved_ports", "8080,9000-9010")
	r := newRecording(t)
	src := newSettings(r.Writer, here(t)).(*settings)
	src.interval = time.Hour
	check := func(when string) {
		t.Helper()
		got := settingsOf(r)
		if diff := cmp.Diff(sysctls(t, slices.Collect(maps.Keys(got))), got); diff != "" {
			t.Errorf("%s: settings (-sysctl +recorded):\n%s", when, diff)
		}
	}
	r.sample(src)
	check("at first")
	// Each that the kernel has is there.
	got := settingsOf(r)
	for _, name := range settingNames {
		_, err := os.Stat("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
		if _, recorded := got[name]; recorded != (err == nil) {
			t.Errorf("%s: recorded %v, in /proc/sys %v", name, recorded, err == nil)
		}
	}
	for name, want := range map[string]string{
		"net.ipv4.conf.d0.rp_filter": "2", "net.ipv6.conf.br/7.disable_ipv6": "1", "net.ipv6.conf.d0.disable_ipv6": "0",
		"net.ipv4.ip_local_reserved_ports": "8080,9000-9010", "net.ipv4.conf.lo.forwarding": "0", "net.ipv6.conf.d0.accept_ra": "1",
		"net.ipv4.ip_local_port_range": "32768 60999",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}

	setSysctl(t, "net/ipv4/ip_forward", "1")
	r.sample(src)
	if got := r.outcome("settings"); got != "kept" {
		t.Errorf("within the interval: %s, want kept", got)
	}
	if got := settingsOf(r)["net.ipv4.ip_forward"]; got != "0" {
		t.Errorf("within the interval: ip_forward is %s", got)
	}
	src.interval, src.due = 0, time.Time{}
	r.sample(src)
	if got := r.outcome("settings"); got != "read" {
		t.Errorf("after the interval: %s, want read", got)
	}
	check("changed")
	if got := settingsOf(r)["net.ipv4.conf.d0.forwarding"]; got != "1" {
		t.Errorf("forwarding of d0 is %s after ip_forward", got)
	}
	ip(t, "link del d0")
	r.sample(src)
	check("link deleted")
	for name := range settingsOf(r) {
		if strings.Contains(name, ".d0.") {
			t.Errorf("%s of a deleted link", name)
		}
	}
	if got := r.rows("SELECT DISTINCT value FROM settings WHERE name = 'net.ipv4.ip_forward' ORDER BY value"); len(got) != 2 {
		t.Errorf("ip_forward had the values %v, want 0 and 1", got)
	}
}

// TestSettingsAfterLostSample: what a sample that could not be written said is read again.
func TestSettingsAfterLostSample(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	r := newRecording(t)
	src := newSettings(r.Writer, here(t)).(*settings)
	src.interval = time.Hour
	r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0)})
	src.read(t.Context())
	// Nothing is committed: the sample is lost, as on a full disk.
	canceled, cancel := contextCanceled(t)
	defer cancel()
	if err := r.Commit(canceled, store.Cost{}); err == nil {
		t.Fatal("the sample was written")
	}
	r.sample(src)
	if got := r.outcome("settings"); got != "read" {
		t.Errorf("after a lost sample: %s, want read", got)
	}
	r.sample(src)
	if got := r.outcome("settings"); got != "kept" {
		t.Errorf("then: %s, want kept", got)
	}
	if n := len(settingsOf(r)); n < 100 {
		t.Errorf("%d settings recorded, want 100", n)
	}
}

func TestSettingNames(t *testing.T) {
	names := slices.Clone(settingNames)
	slices.Sort(names)
	if n := len(slices.Compact(names)); n != len(settingNames) {
		t.Errorf("%d names stand twice", len(settingNames)-n)
	}
}

// TestProcFile: a file larger than the buffer is read whole.
func TestProcFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	want := strings.Repeat("0123456789\n", 10_000)
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
	var p procFile
	for range 2 {
		if got, err := p.read(path); err != nil || string(got) != want {
			t.Errorf("%d bytes of %d: %v", len(got), len(want), err)
		}
	}
	if _, err := p.read(path + "x"); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzLinkSettings(f *testing.F) {
	header := make([]byte, unix.SizeofIfInfomsg)
	f.Add(kerneltest.Message(header, kerneltest.Attribute(unix.IFLA_IFNAME, 'l', 'o', 0), kerneltest.Attribute(unix.IFLA_AF_SPEC,
		append(kerneltest.Attribute(unix.AF_INET, kerneltest.Attribute(unix.IFLA_INET_CONF, make([]byte, 132)...)...),
			kerneltest.Attribute(unix.AF_INET6, kerneltest.Attribute(unix.IFLA_INET6_CONF, make([]byte, 236)...)...)...)...)))
	f.Fuzz(func(t *testing.T, msg []byte) {
		name, values, err := parseLinkSettings(msg)
		if err == nil && strings.ContainsRune(name, 0) {
			t.Errorf("name %q", name)
		}
		for i, v := range values {
			if n, ok := v.Get(); ok && (n < -1<<31 || n >= 1<<31) {
				t.Errorf("%s is %d", linkSettings[i].name, n)
			}
		}
	})
}

func FuzzSettingText(f *testing.F) {
	f.Add([]byte("4096\t131072\t6291456\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got := settingText(b)
		if strings.ContainsAny(got, "\t\n") || strings.Contains(got, "  ") || settingText([]byte(got)) != got {
			t.Errorf("%q", got)
		}
	})
}

func BenchmarkSettings(b *testing.B) {
	b.Run("read", func(b *testing.B) {
		benchSource(b, func(w *store.Writer, ns namespace) source {
			s := newSettings(w, ns).(*settings)
			s.interval = 0
			return s
		}, func(int) {})
	})
	b.Run("kept", func(b *testing.B) { benchSource(b, newSettings, func(int) {}) })
}
