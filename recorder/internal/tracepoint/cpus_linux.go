package tracepoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// online are the CPUs that are in use (/sys/devices/system/cpu/online).
func online() ([]int, error) {
	text, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, err
	}
	return parseCPUs(strings.TrimSpace(string(text)))
}

// parseCPUs reads a list such as 0-3,8.
func parseCPUs(text string) (cpus []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		from, to, ok := strings.Cut(part, "-")
		if !ok {
			to = from
		}
		a, err := strconv.Atoi(from)
		if err != nil {
			return nil, fmt.Errorf("a list of CPUs: %q", text)
		}
		z, err := strconv.Atoi(to)
		if err != nil || a < 0 || z < a || z-a > 1<<16 {
			return nil, fmt.Errorf("a list of CPUs: %q", text)
		}
		for ; a <= z; a++ {
			cpus = append(cpus, a)
		}
	}
	return cpus, nil
}
