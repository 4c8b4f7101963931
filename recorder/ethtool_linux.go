package recorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unsafe"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// What the driver of an interface says, by the ioctl of ethtool(8). Unlike /sys/class/net it answers for the namespace of the
// socket, not for that in which sysfs was mounted. Nothing of it needs a privilege.

// linkDriver is what the driver says of itself and of the link; unknown where it does not know.
type linkDriver struct {
	mbps            store.Int
	duplex, autoneg string

	name, version, firmware, bus string

	rxRing, rxRingMax, txRing, txRingMax, channels store.Int
}

// The sizes of structs of linux/ethtool.h.
const (
	sizeofEthtoolCmd       = 44
	sizeofEthtoolDrvinfo   = 196
	sizeofEthtoolRingparam = 36
	sizeofEthtoolChannels  = 36
	sizeofEthtoolSset      = 20 // ethtool_sset_info of one set
	sizeofEthtoolStrings   = 12 // ethtool_gstrings before its strings
	sizeofEthtoolStats     = 8  // ethtool_stats before its numbers
	sizeofEthtoolString    = 32 // ETH_GSTRING_LEN

	ethtoolStatsSet = 1 // ETH_SS_STATS
)

// driverOf asks the driver. As in sysfs, a link that is down has no speed.
func driverOf(r *rtnl.Conn, l rtnl.Link, release string) linkDriver {
	var d linkDriver
	if r.Open() != nil {
		return d
	}
	fd := r.Socket.GetFd()
	var cmd [sizeofEthtoolCmd]byte
	if askDriver(fd, l.Name, unix.ETHTOOL_GSET, cmd[:]) == nil {
		d.parseSettings(cmd[:], l.Flags&unix.IFF_UP != 0)
	}
	var info [sizeofEthtoolDrvinfo]byte
	if askDriver(fd, l.Name, unix.ETHTOOL_GDRVINFO, info[:]) == nil {
		d.parseInfo(info[:], release)
	}
	var rings [sizeofEthtoolRingparam]byte
	if askDriver(fd, l.Name, unix.ETHTOOL_GRINGPARAM, rings[:]) == nil {
		d.parseRings(rings[:])
	}
	var channels [sizeofEthtoolChannels]byte
	if askDriver(fd, l.Name, unix.ETHTOOL_GCHANNELS, channels[:]) == nil {
		d.parseChannels(channels[:])
	}
	return d
}

// askDriver does one ioctl. The kernel takes data for the struct of the command, and writes as much as that is long.
func askDriver(fd int, name []byte, command uint32, data []byte) error {
	if len(name) >= unix.IFNAMSIZ {
		return unix.ENODEV
	}
	binary.NativeEndian.PutUint32(data, command)
	// struct ifreq, as SIOCETHTOOL wants it: x/sys has it for other commands only.
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(unsafe.SliceData(data))}
	copy(request.name[:], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}

// parseSettings decodes struct ethtool_cmd: the speed in two halves, the duplex, and whether both were negotiated.
func (d *linkDriver) parseSettings(cmd []byte, up bool) {
	if len(cmd) < sizeofEthtoolCmd {
		return
	}
	d.autoneg = word(cmd[18], "off", "on")
	if !up {
		return
	}
	mbps := uint32(binary.NativeEndian.Uint16(cmd[12:])) | uint32(binary.NativeEndian.Uint16(cmd[28:]))<<16
	if mbps != 0 && mbps != math.MaxUint16 && mbps != math.MaxUint32 {
		d.mbps = store.Of(mbps)
	}
	d.duplex = word(cmd[14], "half", "full")
}

// word is the word for 0 or for 1; "" for another number.
func word(n byte, zero, one string) string {
	switch n {
	case 0:
		return zero
	case 1:
		return one
	}
	return ""
}

// parseInfo decodes struct ethtool_drvinfo. Where the driver has no version the kernel gives its own release.
func (d *linkDriver) parseInfo(info []byte, release string) {
	if len(info) < sizeofEthtoolDrvinfo {
		return
	}
	text := func(at int) string {
		s := driverText(info[at : at+32])
		if s == "N/A" || s == "n/a" {
			return ""
		}
		return s
	}
	d.name, d.version, d.firmware, d.bus = text(4), text(36), text(68), text(100)
	if d.version == release {
		d.version = ""
	}
}

// driverText is what stands in a field of fixed size: up to its first NUL, if there is one, without blanks around it.
func driverText(field []byte) string {
	if end := bytes.IndexByte(field, 0); end >= 0 {
		field = field[:end]
	}
	return kernel.Printable(bytes.TrimSpace(field))
}

// parseRings decodes struct ethtool_ringparam.
func (d *linkDriver) parseRings(rings []byte) {
	if len(rings) >= sizeofEthtoolRingparam {
		d.rxRing, d.rxRingMax = upTo(rings, 5, 1)
		d.txRing, d.txRingMax = upTo(rings, 8, 4)
	}
}

// parseChannels decodes struct ethtool_channels.
func (d *linkDriver) parseChannels(channels []byte) {
	if len(channels) >= sizeofEthtoolChannels {
		d.channels, _ = upTo(channels, 8, 4)
	}
}

// upTo is a number and the most that it may be, by their places. Where there may be none the driver has nothing of the kind.
func upTo(b []byte, now, most int) (store.Int, store.Int) {
	at := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
	if at(most) == 0 {
		return store.Int{}, store.Int{}
	}
	return store.Of(at(now)), store.Of(at(most))
}

// put gives the interface what the driver says.
func (d *linkDriver) put(v *store.Interface) {
	v.Speed, v.Duplex, v.Autoneg = d.mbps, d.duplex, d.autoneg
	v.Driver, v.DriverVersion, v.Firmware, v.Bus = d.name, d.version, d.firmware, d.bus
	v.RxRing, v.RxRingMax, v.TxRing, v.TxRingMax, v.Channels = d.rxRing, d.rxRingMax, d.txRing, d.txRingMax, d.channels
}

// takeDriver takes over what the driver says: no message of the kernel tells it.
func takeDriver(v *store.Interface, from store.Interface) {
	v.Speed, v.Duplex, v.Autoneg = from.Speed, from.Duplex, from.Autoneg
	v.Driver, v.DriverVersion, v.Firmware, v.Bus = from.Driver, from.DriverVersion, from.Firmware, from.Bus
	v.RxRing, v.RxRingMax, v.TxRing, v.TxRingMax, v.Channels = from.RxRing, from.RxRingMax, from.TxRing, from.TxRingMax, from.Channels
}

// driverStats reads the statistics that a driver keeps (ethtool -S). What names and values return is good until the next call.
type driverStats interface {
	count(name []byte) (int, error)
	names(name []byte, n int) ([]byte, error)  // n fields of sizeofEthtoolString bytes
	values(name []byte, n int) ([]byte, error) // n numbers of 8 bytes
	close()
}

// errStatsChanged is returned when a driver has other statistics than it had a moment ago.
var errStatsChanged = errors.New("the driver changed its statistics while they were read")

// mostStats is how many statistics of an interface are read.
const mostStats = 32 << 10

// ethtoolStats is driverStats of the kernel.
//
// Kernels write as many strings and numbers as the driver has when it is asked, however many were asked for: a driver that has more
// than a moment ago would write beyond a slice of Go's heap. So they go into memory of their own, behind which is a page that
// nobody may write: there the kernel ends with EFAULT.
type ethtoolStats struct {
	fd   int
	room []byte
	page int // size of the page behind it
}

func openEthtoolStats(r *rtnl.Conn) (driverStats, error) {
	if err := r.Open(); err != nil {
		return nil, err
	}
	e := &ethtoolStats{fd: r.Socket.GetFd(), page: unix.Getpagesize()}
	size := (sizeofEthtoolStrings + mostStats*sizeofEthtoolString + e.page - 1) / e.page * e.page
	room, err := unix.Mmap(-1, 0, size+e.page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("reserve memory for statistics: %w", err)
	}
	if err := unix.Mprotect(room[size:], unix.PROT_NONE); err != nil {
		unix.Munmap(room)
		return nil, fmt.Errorf("reserve memory for statistics: %w", err)
	}
	e.room = room
	return e, nil
}

func (e *ethtoolStats) close() { unix.Munmap(e.room) }

// count is how many statistics the interface has.
func (e *ethtoolStats) count(name []byte) (int, error) {
	var set [sizeofEthtoolSset]byte
	binary.NativeEndian.PutUint64(set[8:], 1<<ethtoolStatsSet)
	if err := askDriver(e.fd, name, unix.ETHTOOL_GSSET_INFO, set[:]); err != nil {
		return 0, err
	}
	if binary.NativeEndian.Uint64(set[8:]) == 0 {
		return 0, nil
	}
	return int(binary.NativeEndian.Uint32(set[16:])), nil
}

func (e *ethtoolStats) names(name []byte, n int) ([]byte, error) {
	binary.NativeEndian.PutUint32(e.room[4:], ethtoolStatsSet)
	return e.list(name, unix.ETHTOOL_GSTRINGS, 8, n, sizeofEthtoolStrings, sizeofEthtoolString)
}

func (e *ethtoolStats) values(name []byte, n int) ([]byte, error) {
	return e.list(name, unix.ETHTOOL_GSTATS, 4, n, sizeofEthtoolStats, 8)
}

// list reads n things of that size, the number of which stands at a place of the header.
func (e *ethtoolStats) list(name []byte, command uint32, at, n, header, size int) ([]byte, error) {
	binary.NativeEndian.PutUint32(e.room[at:], uint32(n))
	if err := askDriver(e.fd, name, command, e.room); err != nil {
		return nil, err
	}
	if got := binary.NativeEndian.Uint32(e.room[at:]); got != uint32(n) {
		return nil, errStatsChanged
	}
	return e.room[header : header+n*size], nil
}
