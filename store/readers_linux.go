package store

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Readers are the processes that read the recording at this moment and so keep its -wal file from being cut back: those
// that hold one of the locks of SQLite's readers (WAL_READ_LOCK, the bytes 123 to 127 of the -shm file) as /proc/locks
// (proc(5)) tells. Those of other PID namespaces are not among them.
func Readers(path string) []Reader {
	var st unix.Stat_t
	if unix.Stat(path+"-shm", &st) != nil {
		return nil
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return nil
	}
	defer f.Close()
	var readers []Reader
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 1: POSIX  ADVISORY  READ  4711 08:01:131074 123 123
		fields := strings.Fields(lines.Text())
		if len(fields) != 8 || fields[1] != "POSIX" || fields[3] != "READ" {
			continue
		}
		var pid, first int
		var major, minor uint32
		var inode uint64
		if n, _ := fmt.Sscanf(fields[5], "%x:%x:%d", &major, &minor, &inode); n != 3 || inode != st.Ino || unix.Mkdev(major, minor) != st.Dev {
			continue
		}
		if _, err := fmt.Sscan(fields[4], &pid); err != nil || pid <= 0 {
			continue
		}
		if _, err := fmt.Sscan(fields[6], &first); err == nil && first >= 123 && first <= 127 && !slices.ContainsFunc(readers, func(r Reader) bool { return r.PID == pid }) {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			readers = append(readers, Reader{pid, strings.TrimSuffix(string(comm), "\n")})
		}
	}
	slices.SortFunc(readers, func(a, b Reader) int { return a.PID - b.PID })
	return readers
}
