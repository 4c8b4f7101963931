package service

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the commands of systemd do is tried by .ci/debian, on a system made for it.

func TestUnitIsOurs(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{systemUnit, userUnit} {
		if !strings.HasPrefix(unit, written+"\n") {
			t.Errorf("this unit would not be removed: %.60s", unit)
		}
		if !strings.Contains(unit, "\nExecStart={{.Program}} record") || !strings.Contains(unit, "\nType=notify\n") {
			t.Errorf("this unit runs nothing: %s", unit)
		}
	}
	if !strings.HasPrefix(openRCScript, "#!/sbin/openrc-run\n"+written+"\n") {
		t.Errorf("this script would not be removed: %.60s", openRCScript)
	}
	file := filepath.Join(t.TempDir(), "netsql.service")
	if _, err := isOurs(file); !os.IsNotExist(err) {
		t.Errorf("a unit that is not there: %v", err)
	}
	for text, want := range map[string]bool{systemUnit: true, openRCScript: true, "#!/sbin/openrc-run\n# of another": false, "[Unit]\n" + written: false, "": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if is, err := isOurs(file); err != nil || is != want {
			t.Errorf("%.30q: ours %v, %v", text, is, err)
		}
	}
}

// The unit of packages is that of netsql service install, but for the program and for whose it is.
func TestPackagedUnit(t *testing.T) {
	t.Parallel()
	s := Service{Recording: "/var/lib/netsql/netsql.db"}
	packaged, err := s.PackagedUnit()
	if err != nil {
		t.Fatal(err)
	}
	installed, err := s.filled(systemUnit, "/usr/local/bin/netsql")
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(packaged, "\n")
	_, want, _ := strings.Cut(strings.ReplaceAll(installed, "/usr/local/bin/netsql", packagedProgram), "\n")
	if rest != want || !strings.Contains(rest, "\nExecStart=/usr/bin/netsql record --db /var/lib/netsql/netsql.db\n") {
		t.Errorf("another unit: %s", packaged)
	}
	if !strings.HasPrefix(first, "# ") || strings.HasPrefix(first, written) {
		t.Errorf("it would be taken for ours: %s", first)
	}
}

// A program that runs can be replaced, and is the whole of one or the other at any time.
func TestCopyProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, text := range []string{"first", "second, longer"} {
		if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := copyProgram(from, to); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(to)
		info, _ := os.Stat(to)
		if err != nil || string(got) != text || info.Mode().Perm() != 0o755 {
			t.Errorf("%q, %v, %v", got, info.Mode(), err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("left: %v", files)
	}
}

// Where no systemd runs that is said, before anything is changed.
func TestWithoutSystemd(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Skip("systemd runs here")
	}
	s := Service{Recording: filepath.Join(t.TempDir(), "netsql.db"), Say: func(line string) { t.Errorf("did: %s", line) }}
	_, stateErr := s.State(t.Context())
	for what, err := range map[string]error{"install": s.Install(t.Context()), "uninstall": s.Uninstall(t.Context(), true), "state": stateErr} {
		if err == nil || !strings.HasPrefix(err.Error(), "neither systemd nor OpenRC runs here: ") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
