package recorder

import (
	"encoding/binary"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// linkSpeed is what the driver says of the link; unknown where it does not know.
type linkSpeed struct {
	mbps   store.Int
	duplex string
}

// sizeofEthtoolCmd is the size of struct ethtool_cmd (linux/ethtool.h).
const sizeofEthtoolCmd = 44

// speedOf asks ethtool(8)'s ioctl, ETHTOOL_GSET: unlike /sys/class/net it answers for the
// namespace of the socket, not for that in which sysfs was mounted. As in sysfs, a link
// that is down has no speed.
func speedOf(r *rtnl.Conn, l rtnl.Link) linkSpeed {
	if l.Flags&unix.IFF_UP == 0 || len(l.Name) >= unix.IFNAMSIZ || r.Open() != nil {
		return linkSpeed{}
	}
	var cmd [sizeofEthtoolCmd]byte
	binary.NativeEndian.PutUint32(cmd[:], unix.ETHTOOL_GSET)
	// struct ifreq, as SIOCETHTOOL wants it: x/sys has it for other commands only.
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&cmd)}
	copy(request.name[:], l.Name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(r.Socket.GetFd()), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return linkSpeed{}
	}
	return parseSpeed(cmd[:])
}

// parseSpeed decodes struct ethtool_cmd: the speed in two halves, then the duplex.
func parseSpeed(cmd []byte) linkSpeed {
	var s linkSpeed
	if len(cmd) < sizeofEthtoolCmd {
		return s
	}
	mbps := uint32(binary.NativeEndian.Uint16(cmd[12:])) | uint32(binary.NativeEndian.Uint16(cmd[28:]))<<16
	if mbps != 0 && mbps != math.MaxUint16 && mbps != math.MaxUint32 {
		s.mbps = store.Of(mbps)
	}
	switch cmd[14] {
	case 0:
		s.duplex = "half"
	case 1:
		s.duplex = "full"
	}
	return s
}
