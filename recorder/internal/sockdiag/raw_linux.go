package sockdiag

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// ParseProcRaw reads /proc/net/raw or raw6, for kernels without INET_RAW_DIAG. There is no
// cookie in it.
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
//	 1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1913 2 00000000 0
func ParseProcRaw(text []byte, family uint8, each func(Record)) error {
	for number, line := range bytes.Split(text, []byte("\n")) {
		if number == 0 || len(line) == 0 {
			continue
		}
		r, err := parseRawLine(line, family)
		if err != nil {
			return fmt.Errorf("line %d: %w", number+1, err)
		}
		each(r)
	}
	return nil
}

func parseRawLine(line []byte, family uint8) (Record, error) {
	r := Record{Family: family, Kind: unix.SOCK_RAW, Has: HasUID | HasQueues}
	f := bytes.Fields(line)
	if len(f) < 10 {
		return r, fmt.Errorf("%d fields", len(f))
	}
	if err := rawEnd(f[1], family, &r.Src, &r.SPort); err != nil {
		return r, err
	}
	if err := rawEnd(f[2], family, &r.Dst, &r.DPort); err != nil {
		return r, err
	}
	send, recv, both := bytes.Cut(f[4], []byte(":"))
	if !both {
		return r, fmt.Errorf("no two queues in %q", f[4])
	}
	var drops []byte
	if len(f) > 12 {
		drops = f[12]
		r.Has |= HasDrops
	}
	for _, n := range []struct {
		text []byte
		base int
		bits int
		to   func(uint64)
	}{
		{f[3], 16, 8, func(n uint64) { r.State = uint8(n) }},
		{send, 16, 32, func(n uint64) { r.SendQ = uint32(n) }},
		{recv, 16, 32, func(n uint64) { r.RecvQ = uint32(n) }},
		{f[7], 10, 32, func(n uint64) { r.UID = uint32(n) }},
		{f[9], 10, 32, func(n uint64) { r.Inode = uint32(n) }},
		{drops, 10, 32, func(n uint64) { r.Drops = uint32(n) }},
	} {
		if n.text == nil {
			continue
		}
		v, err := strconv.ParseUint(string(n.text), n.base, n.bits)
		if err != nil {
			return r, err
		}
		n.to(v)
	}
	return r, nil
}

// rawEnd reads ADDRESS:PORT in hexadecimal; the address is printed as 32-bit words of the
// machine's byte order.
func rawEnd(text []byte, family uint8, addr *[16]byte, port *uint16) error {
	address, number, _ := bytes.Cut(text, []byte(":"))
	size := 16
	if family == unix.AF_INET {
		size = 4
	}
	if len(address) != 2*size {
		return fmt.Errorf("an address of %d digits", len(address))
	}
	if _, err := hex.Decode(addr[:], address); err != nil {
		return err
	}
	for i := 0; i < size; i += 4 {
		binary.NativeEndian.PutUint32(addr[i:], binary.BigEndian.Uint32(addr[i:]))
	}
	n, err := strconv.ParseUint(string(number), 16, 16)
	*port = uint16(n)
	return err
}
