package recorder

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// dropProgram lets go of the pages of the program and of its libraries that are mapped: much of what a start needs never runs
// again, nor, for a while, what a roll-up needs, and the rest is mapped again when it does, at about a microsecond for each 64 KB.
func dropProgram() {
	for _, m := range programMappings() {
		unix.Syscall(unix.SYS_MADVISE, m[0], m[1]-m[0], unix.MADV_DONTNEED)
	}
}

// programMappings is where in memory they stand as they are on the disk. There they stay.
var programMappings = sync.OnceValue(func() [][2]uintptr {
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return nil
	}
	return cleanMappings(text)
})

// cleanMappings lists from where to where in memory files stand as they are on the disk, by /proc/PID/smaps: they
// may not be written, and no page of them ever was (as by the dynamic linker).
func cleanMappings(smaps []byte) [][2]uintptr {
	var list [][2]uintptr
	var begin, end uint64
	inside := false
	for lines := bufio.NewScanner(bytes.NewReader(smaps)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) >= 5 && strings.Contains(words[0], "-"):
			from, to, _ := strings.Cut(words[0], "-")
			var err1, err2 error
			begin, err1 = strconv.ParseUint(from, 16, 64)
			end, err2 = strconv.ParseUint(to, 16, 64)
			inside = err1 == nil && err2 == nil && begin < end && (words[1] == "r-xp" || words[1] == "r--p") &&
				len(words) > 5 && strings.HasPrefix(words[5], "/")
		case inside && len(words) == 3 && words[0] == "Anonymous:":
			if words[1] == "0" {
				list = append(list, [2]uintptr{uintptr(begin), uintptr(end)})
			}
			inside = false
		}
	}
	return list
}
