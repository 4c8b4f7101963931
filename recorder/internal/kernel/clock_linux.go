package kernel

import (
	"time"

	"golang.org/x/sys/unix"
)

// SinceBoot is the time that the clock of samples and events shows.
func SinceBoot() time.Duration {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // cannot fail for a clock that is there
	return time.Duration(now.Nano())
}

// Awake is the same without the time for which the machine was suspended.
func Awake() time.Duration {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano())
}
