package recorder

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"netsql/store"

	"golang.org/x/sys/unix"
)

// dropProgram lets go of the pages of the program and of its libraries that are mapped: much of what a start needs never runs
// again, nor, for a while, what a roll-up needs, and the rest is mapped again when it does, at about a microsecond for each 64
// KB.
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

// memory gives back what a sample took that was far larger than the others, the first for one, in which everything is
// new: the collector would keep it for long.
type memory struct {
	settled int64 // anonymous resident bytes when it was last given back
	next    time.Time
	busy    bool      // more ran since the program was last dropped than samples need
	dropped time.Time // when the program last was
}

// giveBackAgain is how long what was taken may be kept: giving it back costs a full collection.
const giveBackAgain = 30 * time.Second

// Most of what a sample allocates is gone with it. Garbage may take a quarter of what is alive until it is collected, and
// garbageRoom where that is less: to collect it costs a millisecond even when little is alive.
const (
	leastGarbage = 25 // percent
	garbageRoom  = 5 << 19
)

func (m *memory) settle() {
	debug.FreeOSMemory()
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	debug.SetGCPercent(max(leastGarbage, int(min(100, 100*garbageRoom/max(now.HeapAlloc, 1)))))
	dropProgram()
	_, m.settled = residentBytes()
	m.next = time.Now().Add(giveBackAgain)
	m.busy, m.dropped = false, time.Now()
}

// tidied is for after each step of tidying up. Roll-ups run once a minute, a megabyte of the program that samples do not need.
func (m *memory) tidied(more bool) {
	if m.busy = m.busy || more; m.busy && !more && time.Since(m.dropped) > giveBackAgain {
		dropProgram()
		m.busy, m.dropped = false, time.Now()
	}
}

// look is for after each sample.
func (m *memory) look() {
	if m.settled == 0 || time.Now().Before(m.next) {
		return
	}
	if _, anonymous := residentBytes(); anonymous > m.settled+m.settled/8 {
		m.settle()
	}
}

// ownCost is what the recorder itself has used so far.
func ownCost() store.Cost {
	var c store.Cost
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err == nil {
		c.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	c.RSS, _ = residentBytes()
	return c
}

// residentBytes is how many bytes are in memory, and how many of them belong to no file.
func residentBytes() (all, anonymous int64) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0
	}
	var size, files int64
	if _, err := fmt.Sscan(string(statm), &size, &all, &files); err != nil {
		return 0, 0
	}
	page := int64(os.Getpagesize())
	return all * page, (all - files) * page
}
