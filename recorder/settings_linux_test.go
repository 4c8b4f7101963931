package recorder

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
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
	src.readNext()
	r.sample(src)
	if got := r.outcome("settings"); got != "read" {
		t.Errorf("after the interval: %s, want read", got)
	}
	check("changed")
	if got := settingsOf(r)["net.ipv4.conf.d0.forwarding"]; got != "1" {
		t.Errorf("forwarding of d0 is %s after ip_forward", got)
	}
	ip(t, "link del d0")
	src.readNext()
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

// A change that nobody tells of is seen within five seconds of samples, and the recording says when it was: after the last
// sample that read the settings.
func TestSettingsAreReadOften(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	synctest.Test(t, func(t *testing.T) { // so that a sample takes no time
		r := newRecording(t) // of one sample each second
		src := newSettings(r.Writer, here(t)).(*settings)
		r.sample(src)
		begin := 1_700_000_001.0
		changed := map[string]float64{} // when, by what it is now
		for i := range 23 {
			time.Sleep(time.Second)
			value := fmt.Sprint(100 + i)
			if i%6 == 1 {
				setSysctl(t, "net/ipv4/tcp_fin_timeout", value)
				changed["value="+value] = begin + float64(i) + 0.5
			}
			r.sample(src)
		}
		for _, row := range r.rows("SELECT ts, after, now FROM setting_changes WHERE name = 'net.ipv4.tcp_fin_timeout'") {
			at, after, ts := changed[text(row["now"])], row["after"].(float64), row["ts"].(float64)
			if !(after < at && at < ts) || ts-after > 5 {
				t.Errorf("%v was set at %.1f, and is told to be between %.1f and %.1f", row["now"], at-begin, after-begin, ts-begin)
			}
			delete(changed, text(row["now"]))
		}
		if len(changed) > 0 {
			t.Errorf("not told of: %v", changed)
		}
		// What a sample did not read is said.
		for _, row := range r.rows("SELECT outcome, count(*) AS n FROM sources WHERE source = 'settings' GROUP BY 1") {
			if want := map[string]string{"kept": "19", "read": "5"}[text(row["outcome"])]; text(row["n"]) != want {
				t.Errorf("%v samples: %v, want %v", row["n"], row["outcome"], want)
			}
		}
	})
}

// What the kernel tells of is read by the sample that its message brings forward.
func TestSettingsTheKernelTellsOf(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	r := newTestRun(t, "self")
	var src *settings
	r.sample()
	for _, s := range r.networks[0].sources {
		if s, ok := s.(*settings); ok {
			src = s
			src.interval = time.Hour
			src.readNext()
		}
	}
	atRest := func() {
		t.Helper()
		eventually(t, "settings are kept", func() bool {
			r.sample()
			return r.outcome("settings") == "kept"
		})
	}
	seconds := func() float64 { return float64(time.Now().UnixMicro()) / 1e6 }
	for _, step := range []struct{ path, value, name string }{
		{"net/ipv4/ip_forward", "1", "net.ipv4.ip_forward"},
		{"net/ipv4/conf/d0/rp_filter", "2", "net.ipv4.conf.d0.rp_filter"},
		{"net/ipv4/conf/all/ignore_routes_with_linkdown", "1", "net.ipv4.conf.all.ignore_routes_with_linkdown"},
		{"net/ipv6/conf/all/forwarding", "1", "net.ipv6.conf.all.forwarding"},
		{"net/ipv6/conf/all/proxy_ndp", "1", "net.ipv6.conf.all.proxy_ndp"},
	} {
		atRest()
		r.trigger.take()
		from := seconds()
		setSysctl(t, step.path, step.value)
		to := seconds()
		eventually(t, step.name+" brings a sample forward", func() bool { return len(r.trigger.signal) == 1 })
		r.sample()
		if got := r.outcome("settings"); got != "read" {
			t.Errorf("%s: %s, want read", step.name, got)
		}
		rows := r.rows("SELECT ts, after, now FROM setting_changes WHERE name = ?", step.name)
		if len(rows) != 1 || text(rows[0]["now"]) != "value="+step.value ||
			rows[0]["after"].(float64) > from || rows[0]["ts"].(float64) < to {
			t.Errorf("%s was set between %f and %f: %v", step.name, from, to, rows)
		}
	}
	// A sysctl that is not told of waits.
	atRest()
	setSysctl(t, "net/ipv4/tcp_fin_timeout", "17")
	r.sample()
	if got := r.outcome("settings"); got != "kept" {
		t.Errorf("nothing was told of: %s, want kept", got)
	}
}

// A change shortly before the recorder ends is in its last sample.
func TestSettingsAtTheEnd(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	r := runRecorder(t, filepath.Join(t.TempDir(), "end.db"))
	r.samples(2)
	setSysctl(t, "net/ipv4/tcp_fin_timeout", "17")
	db := r.end()
	if got := r.ask(db, "SELECT value || ' ' || outcome FROM settings_now JOIN sources_now USING (ts) WHERE name = 'net.ipv4.tcp_fin_timeout' AND source = 'settings'"); got != "17 read" {
		t.Errorf("tcp_fin_timeout and its source in the last sample: %v, want 17 read", got)
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
		if got, err := p.sysctl(path); err != nil || string(got) != want {
			t.Errorf("sysctl: %d bytes of %d: %v", len(got), len(want), err)
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
		if err == nil && bytes.IndexByte(name, 0) >= 0 {
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
	var src *settings
	source := func(w *store.Writer, ns namespace) source {
		src = newSettings(w, ns).(*settings)
		return src
	}
	b.Run("read", func(b *testing.B) { benchSource(b, source, func(int) { src.readNext() }) })
	b.Run("kept", func(b *testing.B) { benchSource(b, source, func(int) {}) })
}

// BenchmarkSettingFiles compares ways to read the files of settingNames, by the time of one reading of all.
func BenchmarkSettingFiles(b *testing.B) {
	var paths []string
	for _, name := range settingNames {
		path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		if _, err := os.ReadFile(path); err == nil {
			paths = append(paths, path)
		}
	}
	run := func(name string, read func(i int) error) {
		b.Run(name, func(b *testing.B) {
			var before, after unix.Rusage
			unix.Getrusage(unix.RUSAGE_SELF, &before)
			for b.Loop() {
				for i := range paths {
					if err := read(i); err != nil {
						b.Fatal(paths[i], err)
					}
				}
			}
			unix.Getrusage(unix.RUSAGE_SELF, &after)
			cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(cpu)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(len(paths)), "files/op")
		})
	}
	run("os.ReadFile", func(i int) error { _, err := os.ReadFile(paths[i]); return err })
	var p procFile
	run("read to the end", func(i int) error { _, err := p.read(paths[i]); return err })
	run("one short read", func(i int) error { _, err := p.sysctl(paths[i]); return err })
	fds := make([]int, len(paths))
	for i, path := range paths {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer unix.Close(fd)
		fds[i] = fd
	}
	run("descriptors kept open", func(i int) error { _, err := unix.Pread(fds[i], p.buf[:shortSysctl], 0); return err })
}
