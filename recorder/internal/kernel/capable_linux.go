package kernel

import (
	"golang.org/x/sys/unix"
)

// Capable reports whether this process has these capabilities.
func Capable(need uint32) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	return unix.Capget(&header, &caps[0]) == nil && caps[0].Effective&need == need
}
