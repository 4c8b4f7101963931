package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// damagedParts are the files of a recording, by what follows its name.
type damagedParts map[string][]byte

// A damageWay spoils the files of a recording. structure says that more is changed by it than what stands in some rows of a sound tree: then an answer that
// differs is an error, or check knows of it. SQLite has no checksum of a page, so that nobody notices another value, or a row of another recording.
type damageWay struct {
	name      string
	structure bool
	do        func(r *rand.Rand, f damagedParts, other []byte)
}

const damagedPage = 1024 // bytes, as night has them

// pageIn is a page of the file, from the second one on, and where it begins.
func pageIn(r *rand.Rand, data []byte) (page []byte, at int) {
	at = damagedPage * (1 + r.IntN(len(data)/damagedPage-1))
	return data[at : at+damagedPage], at
}

func damageWays() []damageWay {
	onMain := func(do func(r *rand.Rand, data, other []byte) []byte) func(*rand.Rand, damagedParts, []byte) {
		return func(r *rand.Rand, f damagedParts, other []byte) { f[""] = do(r, f[""], other) }
	}
	noise := func(r *rand.Rand, b []byte) {
		for i := range b {
			b[i] = byte(r.Uint32())
		}
	}
	// kind is where a page begins whose first byte is one of those: 5 and 13 are of tables, 2 and 10 of indexes, 2 and 5 have children.
	kind := func(r *rand.Rand, data []byte, wanted string) int {
		var at []int
		for i := damagedPage; i+damagedPage <= len(data); i += damagedPage {
			if strings.IndexByte(wanted, data[i]) >= 0 {
				at = append(at, i)
			}
		}
		if len(at) == 0 { // what was written stands in the -wal file
			_, i := pageIn(r, data)
			return i
		}
		return at[r.IntN(len(at))]
	}
	onWAL := func(do func(r *rand.Rand, wal []byte) []byte) func(*rand.Rand, damagedParts, []byte) {
		return func(r *rand.Rand, f damagedParts, _ []byte) { f["-wal"] = do(r, f["-wal"]) }
	}
	return []damageWay{
		{"a byte", false, onMain(func(r *rand.Rand, d, _ []byte) []byte { d[r.IntN(len(d))] ^= byte(1 + r.IntN(255)); return d })},
		{"8 bytes", false, onMain(func(r *rand.Rand, d, _ []byte) []byte {
			at := r.IntN(len(d) - 8)
			noise(r, d[at:at+8])
			return d
		})},
		{"the header", true, onMain(func(r *rand.Rand, d, _ []byte) []byte { d[r.IntN(100)] ^= byte(1 + r.IntN(255)); return d })},
		{"the page of the schema", false, onMain(func(r *rand.Rand, d, _ []byte) []byte {
			for range 1 + r.IntN(4) {
				d[100+r.IntN(damagedPage-100)] ^= byte(1 + r.IntN(255))
			}
			return d
		})},
		{"the head of a page", true, onMain(func(r *rand.Rand, d, _ []byte) []byte {
			p, _ := pageIn(r, d)
			p[r.IntN(8)] ^= byte(1 + r.IntN(255))
			return d
		})},
		{"the pointers of a page", true, onMain(func(r *rand.Rand, d, _ []byte) []byte {
			p, _ := pageIn(r, d)
			p[8+r.IntN(16)] ^= byte(1 + r.IntN(255))
			return d
		})},
		{"children of a page", true, onMain(func(r *rand.Rand, d, _ []byte) []byte {
			at := kind(r, d, "\x05\x02")
			noise(r, d[at+8:at+12])
			return d
		})},
		{"an index", false, onMain(func(r *rand.Rand, d, _ []byte) []byte {
			at := kind(r, d, "\x0a\x02")
			for range 1 + r.IntN(8) {
				d[at+r.IntN(damagedPage)] ^= byte(1 + r.IntN(255))
			}
			return d
		})},
		{"a page of zeros", true, onMain(func(r *rand.Rand, d, _ []byte) []byte { p, _ := pageIn(r, d); clear(p); return d })},
		{"a page of noise", true, onMain(func(r *rand.Rand, d, _ []byte) []byte { p, _ := pageIn(r, d); noise(r, p); return d })},
		{"4 KiB of zeros", true, onMain(func(r *rand.Rand, d, _ []byte) []byte {
			at := r.IntN(len(d)-4096) &^ 4095
			clear(d[at : at+4096])
			return d
		})},
		{"pages swapped", true, onMain(func(r *rand.Rand, d, _ []byte) []byte {
			a, _ := pageIn(r, d)
			b, _ := pageIn(r, d)
			old := slices.Clone(a)
			copy(a, b)
			copy(b, old)
			return d
		})},
		{"a page twice", true, onMain(func(r *rand.Rand, d, _ []byte) []byte {
			a, _ := pageIn(r, d)
			b, _ := pageIn(r, d)
			copy(a, b)
			return d
		})},
		{"cut short", true, onMain(func(r *rand.Rand, d, _ []byte) []byte { return d[:r.IntN(len(d))] })},
		{"cut short by pages", true, onMain(func(r *rand.Rand, d, _ []byte) []byte { return d[:damagedPage*r.IntN(len(d)/damagedPage)] })},
		{"more behind the end", true, onMain(func(r *rand.Rand, d, other []byte) []byte {
			return append(d, other[:r.IntN(len(other))]...)
		})},
		{"a piece of another recording", false, onMain(func(r *rand.Rand, d, other []byte) []byte {
			at := damagedPage * r.IntN(min(len(d), len(other))/damagedPage)
			copy(d[at:], other[at:min(len(other), at+damagedPage*(1+r.IntN(64)))])
			return d
		})},
		{"bytes of the -wal file", true, onWAL(func(r *rand.Rand, w []byte) []byte {
			w[r.IntN(len(w))] ^= byte(1 + r.IntN(255))
			return w
		})},
		{"the head of the -wal file", true, onWAL(func(r *rand.Rand, w []byte) []byte { w[r.IntN(32)] ^= byte(1 + r.IntN(255)); return w })},
		{"the -wal file overwritten", true, onWAL(func(r *rand.Rand, w []byte) []byte {
			at := r.IntN(len(w))
			noise(r, w[at:min(len(w), at+2*damagedPage)])
			return w
		})},
		{"the -shm file", false, func(r *rand.Rand, f damagedParts, _ []byte) {
			shm := f["-shm"]
			for range 1 + r.IntN(8) {
				shm[r.IntN([]int{136, 4096, len(shm)}[r.IntN(3)])] = byte(r.Uint32())
			}
		}},
	}
}

// A damagedCommand is one that is run on a damaged copy.
type damagedCommand struct {
	args   []string // REC is the recording, NEW a name that is not there yet
	in     string
	answer bool // it is the same whenever the recording is the same
	writes bool // into the recording
}

func damagedCommands() []damagedCommand {
	ask := func(sql string) damagedCommand {
		return damagedCommand{args: []string{"--timeout", "10s", "REC", sql}, answer: true}
	}
	return []damagedCommand{
		ask("SELECT * FROM sockets"), ask("SELECT * FROM sockets WHERE ts = at()"), ask("SELECT * FROM socket_deltas"), ask("SELECT * FROM events"),
		ask("SELECT * FROM leaks"), ask("SELECT * FROM connections"), ask("SELECT * FROM route_changes"), ask("SELECT * FROM closed_sockets"),
		ask("SELECT * FROM interface_rates"), ask("SELECT * FROM interface_rates_1m"), ask("SELECT * FROM gaps"), ask("SELECT * FROM processes WHERE ts = at('2026-11-23 03:10')"),
		ask("SELECT * FROM settings; SELECT * FROM notes; SELECT * FROM samples"), ask("SELECT * FROM protocol_deltas"),
		{args: []string{"--timeout", "10s", "--no-bail", "REC"}, answer: true, in: ".tables\n.schema sockets\n.diff '2026-11-23 03:01' '2026-11-23 03:15'\n.around '2026-11-23 03:14' 2m\n" +
			".mode json\nSELECT count(*), sum(local_port) FROM sockets;\n.at '2026-11-23 03:12'\nSELECT * FROM routes WHERE ts = at();\n"},
		{args: []string{"--timeout", "10s", "REC", ".status"}},
		{args: []string{"status", "REC"}},
		{args: []string{"check", "REC"}},
		{args: []string{"check", "--quick", "REC"}},
		{args: []string{"recover", "REC", "NEW"}},
		{args: []string{"export", "--db", "REC", "NEW", "sockets", "routes", "gaps"}},
		{args: []string{"slice", "REC", "--since", "2026-11-23 03:05", "--until", "2026-11-23 03:12", "-o", "NEW"}},
		{args: []string{"tables", "sockets"}},
		{args: []string{"note", "--db", "REC", "a remark"}, writes: true},
		{args: []string{"upgrade", "REC"}, writes: true},
		{args: []string{"record", "--once", "--netns", "self", "--db", "REC"}, writes: true},
	}
}

// A damagedOutcome is what a command did.
type damagedOutcome struct {
	code     int
	out, err string
	peak     int64 // bytes
}

const (
	damagedTime   = 20 * time.Second
	damagedMemory = 300 << 20
)

// runDamaged runs a command on the recording at path and holds what each command must hold, whatever is damaged.
func (c damagedCommand) run(t *testing.T, path string) (o damagedOutcome, fresh string) {
	t.Helper()
	fresh = filepath.Join(t.TempDir(), "new")
	ctx, cancel := context.WithTimeout(t.Context(), damagedTime)
	defer cancel()
	args := slices.Clone(c.args)
	for i := range args {
		args[i] = strings.NewReplacer("REC", path, "NEW", fresh).Replace(args[i])
	}
	cmd := exec.CommandContext(ctx, "netsql", args...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "HOME="+t.TempDir())
	cmd.Stdin = strings.NewReader(c.in)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Errorf("%q did not end within %v", c.args, damagedTime)
		return o, fresh
	case err != nil && !errors.As(err, &exit):
		t.Fatal(err)
	}
	o = damagedOutcome{code: cmd.ProcessState.ExitCode(), out: strings.ReplaceAll(out.String(), path, "REC"), err: stderr.String()}
	if use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		// To the kernel a program that was begun by another has had the memory of that one, until it has taken more.
		var own syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
			t.Fatal(err)
		}
		if use.Maxrss > own.Maxrss {
			o.peak = use.Maxrss << 10
		}
	}
	if !slices.Contains([]int{exitOK, exitFailed, exitUsage, exitTimeout}, o.code) {
		t.Errorf("%q: exit code %d\n%s", c.args, o.code, o.err)
	}
	if o.code != exitOK && strings.TrimSpace(o.err) == "" {
		t.Errorf("%q: exit code %d without a word", c.args, o.code)
	}
	if bad := panicked.FindString(o.out + o.err); bad != "" {
		t.Errorf("%q: %q in its output:\n%s", c.args, bad, o.err)
	}
	if o.peak > damagedMemory {
		t.Errorf("%q took %d MB", c.args, o.peak>>20)
	}
	return o, fresh
}

var panicked = regexp.MustCompile(`panic:|goroutine \d|runtime error|SIG(BUS|SEGV)|fatal error|nil pointer`)

// damagedRecordings are the files of a recording that was closed, and of the same while it was being written.
func damagedRecordings(t *testing.T) (closed, written damagedParts) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "night.db")
	read := func() damagedParts {
		f := damagedParts{}
		for _, part := range []string{"", "-wal", "-shm"} {
			data, err := os.ReadFile(path + part)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if len(data) > 0 {
				f[part] = data
			}
		}
		return f
	}
	if err := nightUntil(path, 20*time.Minute, func() { written = read() }); err != nil {
		t.Fatal(err)
	}
	closed = read()
	if len(closed[""]) < 100<<10 || len(written["-wal"]) < 50<<10 || len(written["-shm"]) == 0 {
		t.Fatalf("%d bytes, %d in the -wal file, %d in the -shm file: too few to damage", len(closed[""]), len(written["-wal"]), len(written["-shm"]))
	}
	return closed, written
}

func (f damagedParts) clone() damagedParts {
	f = maps.Clone(f)
	for part := range f {
		f[part] = slices.Clone(f[part])
	}
	return f
}

func (f damagedParts) write(t *testing.T, path string) {
	t.Helper()
	for part, data := range f {
		if err := os.WriteFile(path+part, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is damaged in a recording, each command ends soon, with an answer or with an error that says something. An answer that is not that of the
// recording as it was stands beside a check that says that the recording is damaged; but for values that nothing else depends on. Where the end of the -wal file is
// lost, each answer says so itself. NETSQL_TEST_ROUNDS=300 runs every command on each of 300 copies.
func TestDamagedCopies(t *testing.T) {
	t.Parallel()
	copies, each := 8, 3
	if os.Getenv("NETSQL_LONG") != "" {
		copies, each = 31, 4
	}
	if n, err := strconv.Atoi(os.Getenv("NETSQL_TEST_ROUNDS")); err == nil {
		copies, each = n, len(damagedCommands())
	}
	closed, written := damagedRecordings(t)
	otherPath := filepath.Join(t.TempDir(), "other.db")
	if err := nightUntil(otherPath, 7*time.Minute, func() {}); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(otherPath)
	if err != nil {
		t.Fatal(err)
	}
	sound := map[string]string{"closed": filepath.Join(t.TempDir(), "closed.db"), "written": filepath.Join(t.TempDir(), "written.db")}
	closed.write(t, sound["closed"])
	written.write(t, sound["written"])
	known := map[string]string{}
	// want is the answer of the recording as it was.
	want := func(t *testing.T, recording string, c damagedCommand) string {
		t.Helper()
		key := fmt.Sprint(recording, c.args)
		if _, is := known[key]; !is {
			o, _ := c.run(t, sound[recording])
			if o.code != exitOK {
				t.Fatalf("%q of the sound recording: exit code %d\n%s", c.args, o.code, o.err)
			}
			known[key] = o.out
		}
		return known[key]
	}
	ways := damageWays()
	type tally struct{ copies, commands, failed, same, told, excused int }
	figures := map[string]*tally{}
	var peak int64
	for seed := range copies {
		way := ways[seed*5%len(ways)] // few copies, too, are damaged in ways that differ
		r := rand.New(rand.NewPCG(uint64(seed), 23))
		name, f := "closed", closed.clone()
		if strings.Contains(way.name, "-wal") || strings.Contains(way.name, "-shm") || r.IntN(3) == 0 {
			name, f = "written", written.clone()
		}
		n := figures[way.name]
		if n == nil {
			n = &tally{}
			figures[way.name] = n
		}
		n.copies++
		t.Run(fmt.Sprintf("%d %s, %s", seed, way.name, name), func(t *testing.T) {
			whole := f.clone()
			way.do(r, f, other)
			commands := damagedCommands()
			r.Shuffle(len(commands), func(i, k int) { commands[i], commands[k] = commands[k], commands[i] })
			path := filepath.Join(t.TempDir(), "damaged.db")
			if way.name == "the -shm file" { // SQLite makes it again unless somebody has it open
				whole.write(t, path)
				holdOpen(t, path)
				shm, err := os.OpenFile(path+"-shm", os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer shm.Close()
				if _, err := shm.WriteAt(f["-shm"], 0); err != nil {
					t.Fatal(err)
				}
			} else {
				f.write(t, path)
			}
			check := ""
			for _, c := range commands[:each] {
				on := path
				if c.writes && way.name != "the -shm file" {
					on = filepath.Join(t.TempDir(), "damaged.db")
					f.clone().write(t, on)
				}
				o, fresh := c.run(t, on)
				peak = max(peak, o.peak)
				n.commands++
				switch {
				case o.code != exitOK:
					n.failed++
					continue
				case slices.Contains(c.args, "recover"):
					if o, _ := (damagedCommand{args: []string{"check", "REC"}}).run(t, fresh); o.code != exitOK {
						t.Errorf("what recover saved is not sound: %s", o.out)
					}
					continue
				case !c.answer:
					continue
				}
				if o.out == want(t, name, c) {
					n.same++
					continue
				}
				if check == "" {
					o, _ := (damagedCommand{args: []string{"check", "REC"}}).run(t, path)
					check = fmt.Sprint(o.code, " ", o.out, o.err)
				}
				switch {
				case strings.Contains(way.name, "-wal") && !strings.Contains(o.err, "-wal file are damaged"):
					t.Errorf("%q: an older answer, and nothing says that what came later is lost: %s", c.args, o.err)
				case !strings.HasPrefix(check, "0"):
					n.told++
				case !way.structure:
					n.excused++
				default:
					t.Errorf("%q: another answer, no error, and check says %s\n%s", c.args, check, cmp.Diff(strings.Split(want(t, name, c), "\n"), strings.Split(o.out, "\n")))
				}
			}
		})
	}
	for _, way := range ways {
		if n := figures[way.name]; n != nil {
			t.Logf("%s: %d copies, %d commands: %d gave an error, %d the same answer, %d another of which check knows, %d another value",
				way.name, n.copies, n.commands, n.failed, n.same, n.told, n.excused)
		}
	}
	t.Logf("most memory: %d MB", peak>>20)
}

// holdOpen keeps the recording open, as a shell does.
func holdOpen(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", store.DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	if err := db.QueryRow("SELECT count(*) FROM sample").Scan(new(int)); err != nil {
		t.Fatal(err)
	}
}
