package confine

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"netsql/query"
)

// The rights of a rule.
const (
	readFile   = ll.AccessFSReadFile
	readFolder = readFile | ll.AccessFSReadDir
	writeFile  = readFile | ll.AccessFSWriteFile | ll.AccessFSTruncate
	writeIn    = readFolder | writeFile | ll.AccessFSMakeReg | ll.AccessFSRemoveFile
)

// known are the files of the system that a question may need: names of services, users and zones, what the kernel says of the machine.
var known = []string{
	"/etc/services", "/etc/protocols", "/etc/networks", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group",
	"/etc/localtime", "/etc/timezone", "/etc/zoneinfo", "/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/usr/lib/zoneinfo",
	"/etc/iproute2", "/usr/share/iproute2", "/usr/lib/iproute2", "/etc/machine-id", "/proc", "/sys", "/dev/urandom", "/dev/random", "/dev/zero",
}

// temporaryName is how the name of the folder of temporary files begins.
const temporaryName = "netsql-tmp-"

// Unavailable is why a process is not restricted here; "": it can be.
func Unavailable() string {
	if IsOff() {
		return "no: " + Variable + "=" + os.Getenv(Variable)
	}
	if abi, err := ll.LandlockGetABIVersion(); err != nil || abi < 1 {
		return "no: this kernel has no Landlock"
	}
	return ""
}

// Restrict restricts this process to the plan, and says in a few words whether and how. It ends what SQLite may do with the -wal file of the recording
// as well: no reader writes it, and a refusal by the kernel would stand in the audit log each time.
func Restrict(p Plan) (words string, is bool) {
	if why := Unavailable(); why != "" {
		return why, false
	}
	folder := makeTemporary()
	makeSidecars(p.Recording)
	if err := landlock.V7.BestEffort().Restrict(p.rules(folder)...); err != nil {
		return fmt.Sprintf("no: %v", err), false
	}
	useTemporary(folder)
	if p.Recording != "" {
		query.KeepFromWriting(p.Recording + "-wal")
	}
	abi, _ := ll.LandlockGetABIVersion()
	return inWords(abi), true
}

func inWords(abi int) string {
	switch {
	case abi < 4:
		return fmt.Sprintf("by Landlock, of version %d: in what it writes and runs, but not in its connections", abi)
	default:
		return fmt.Sprintf("by Landlock, of version %d: in what it writes and runs, and in its connections", abi)
	}
}

// makeTemporary makes the folder of temporary files of this user, or finds it; "": there is no place for one. It stays: a folder for each process would
// stay behind each time that one is killed, and one in netsql … | head is. Files in it have no name as soon as they are open.
func makeTemporary() string {
	for _, place := range []string{os.TempDir(), "/var/tmp", "."} {
		folder, err := filepath.Abs(filepath.Join(place, temporaryName+strconv.Itoa(os.Geteuid())))
		if err != nil {
			continue
		}
		if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			continue
		}
		info, err := os.Lstat(folder)
		if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) == os.Geteuid() { // and not of somebody who was there first
			return folder
		}
	}
	return ""
}

// useTemporary has the program and SQLite make their temporary files in the folder.
func useTemporary(folder string) {
	if folder == "" {
		return
	}
	_ = os.Setenv("TMPDIR", folder)
	query.KeepTemporaryIn(folder)
}

// makeSidecars makes the files beside a recording that SQLite makes when it reads it, as SQLite makes them: it will not be able to.
func makeSidecars(recording string) {
	info, err := os.Stat(recording)
	if err != nil || !info.Mode().IsRegular() || !isRecording(recording) {
		return
	}
	real, err := filepath.EvalSymlinks(recording)
	if err != nil {
		return
	}
	for _, part := range []string{"-wal", "-shm"} {
		f, err := os.OpenFile(real+part, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, info.Mode().Perm())
		if err != nil {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
			_ = f.Chown(int(stat.Uid), int(stat.Gid))
		}
		_ = f.Chmod(info.Mode().Perm())
		_ = f.Close()
	}
}

// isRecording reports whether a file begins as a recording in WAL mode does (fileformat2.html): others get no files beside them.
func isRecording(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [72]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return false
	}
	return strings.HasPrefix(string(head[:]), "SQLite format 3\x00") && head[18] == 2 && head[19] == 2 && string(head[68:72]) == "nsql"
}

// rules are those of the plan.
func (p Plan) rules(temporary string) (rules []landlock.Rule) {
	allow := func(file, folder landlock.AccessFSSet, paths ...string) {
		for _, path := range paths {
			info, err := os.Stat(path)
			if err != nil {
				continue
			}
			rights := file
			if info.IsDir() {
				rights = folder
			}
			rules = append(rules, landlock.PathAccess(rights, path).IgnoreIfMissing())
		}
	}
	if p.Anything {
		allow(readFile, readFolder, "/")
		allow(readFile|ll.AccessFSExecute, 0, ownProgram()...)
	} else {
		allow(readFile, readFolder, known...)
		allow(readFile, readFolder, p.Read...)
		if real, err := filepath.EvalSymlinks(p.Recording); err == nil && p.Recording != "" {
			allow(readFile, readFolder, real, real+"-wal", real+"-shm", real+"-recorder")
		}
	}
	if real, err := filepath.EvalSymlinks(p.Recording); err == nil && p.Recording != "" {
		allow(writeFile, 0, real+"-shm")
	}
	allow(writeFile, 0, "/dev/null")
	allow(writeFile, writeIn, p.Folders...)
	if temporary != "" {
		allow(writeFile, writeIn, temporary)
	}
	allow(0, ll.AccessFSRemoveDir, p.Removable...)
	if p.Names {
		rules = append(rules, landlock.ConnectTCP(53))
	}
	return rules
}

// ownProgram is this program, and what starts it where it is linked dynamically.
func ownProgram() []string {
	const own = "/proc/self/exe"
	all := []string{own}
	f, err := elf.Open(own)
	if err != nil {
		return all
	}
	defer f.Close()
	for _, part := range f.Progs {
		if part.Type == elf.PT_INTERP {
			if text, err := io.ReadAll(io.LimitReader(part.Open(), unix.PathMax)); err == nil {
				all = append(all, strings.TrimRight(string(text), "\x00"))
			}
		}
	}
	return all
}

// carried is what a process that is replaced by this program again gives it: the descriptor of the helper, and in words how it is restricted.
const carried = "NETSQL_RESTRICTED"

// Carry is the environment, beyond that of this process, of a program that takes its place: restrictions stay with a process, whatever it runs.
func Carry(h *Helper, words string) []string {
	return []string{fmt.Sprintf("%s=%d %s", carried, h.keep(), words)}
}

// Resumed is what the process had that this program took the place of. is says whether there was one.
func Resumed() (h *Helper, words string, is bool) {
	text, is := os.LookupEnv(carried)
	if !is {
		return nil, "", false
	}
	_ = os.Unsetenv(carried)
	number, words, _ := strings.Cut(text, " ")
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return nil, "", false
	}
	if h, err = helperOn(fd); err != nil {
		return nil, "", false
	}
	useTemporary(os.Getenv("TMPDIR"))
	return h, words, true
}
