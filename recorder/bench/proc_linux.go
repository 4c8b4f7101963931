package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage is what a process has used until now.
type usage struct {
	at        time.Time
	cpu       time.Duration
	rss, anon int64 // resident bytes; of them those that are no part of a file
	written   int64 // with write(2) and its like
	toDisk    int64 // what the kernel had to bring to a disk for it; 0 on tmpfs
}

// usageOf reads what the process has used. The clock of its CPU time counts nanoseconds; /proc/PID/stat hundredths of a second.
func usageOf(pid int) (usage, error) {
	u := usage{at: time.Now()}
	var clock unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &clock); err != nil { // CPUCLOCK_SCHED of linux/posix-timers.h
		return u, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	u.cpu = time.Duration(clock.Nano())
	sizes, err := readNumbers(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	u.rss, u.anon = sizes["VmRSS"], sizes["RssAnon"]
	// /proc/PID/io takes the right to trace the process: without it what is written is not known.
	if io, err := readNumbers(fmt.Sprintf("/proc/%d/io", pid)); err == nil {
		u.written, u.toDisk = io["wchar"], io["write_bytes"]
	}
	return u, nil
}

// peakOf is the most that was ever resident of the process; 0 when it is not known.
func peakOf(pid int) int64 {
	sizes, _ := readNumbers(fmt.Sprintf("/proc/%d/status", pid))
	return sizes["VmHWM"]
}

func readNumbers(path string) (map[string]int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parseNumbers(string(text)), nil
}

// parseNumbers reads lines of a name, a colon and a number, which counts bytes when kB stands behind it, as /proc/PID/status and
// /proc/PID/io have them. Other lines are passed over.
func parseNumbers(text string) map[string]int64 {
	numbers := map[string]int64{}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		words := strings.Fields(rest)
		if len(words) == 0 {
			continue
		}
		n, err := strconv.ParseInt(words[0], 10, 64)
		switch {
		case err != nil || n < 0 || n > 1<<52:
			continue
		case len(words) == 2 && words[1] == "kB":
			n <<= 10
		case len(words) > 1:
			continue
		}
		numbers[name] = n
	}
	return numbers
}
