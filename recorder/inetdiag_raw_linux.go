package recorder

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// parseRaw reads /proc/net/raw or raw6, for kernels without INET_RAW_DIAG. There is no
// cookie in it.
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
//	 1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1913 2 00000000 0
func parseRaw(text []byte, family uint8, each func(record)) error {
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

func parseRawLine(line []byte, family uint8) (record, error) {
	r := record{family: family, kind: unix.SOCK_RAW, has: hasUID | hasQueues}
	f := bytes.Fields(line)
	if len(f) < 10 {
		return r, fmt.Errorf("%d fields", len(f))
	}
	if err := rawEnd(f[1], family, &r.src, &r.sport); err != nil {
		return r, err
	}
	if err := rawEnd(f[2], family, &r.dst, &r.dport); err != nil {
		return r, err
	}
	send, recv, _ := bytes.Cut(f[4], []byte(":"))
	var drops []byte
	if len(f) > 12 {
		drops = f[12]
		r.has |= hasDrops
	}
	for _, n := range []struct {
		text []byte
		base int
		bits int
		to   func(uint64)
	}{
		{f[3], 16, 8, func(n uint64) { r.state = uint8(n) }},
		{send, 16, 32, func(n uint64) { r.sendQ = uint32(n) }},
		{recv, 16, 32, func(n uint64) { r.recvQ = uint32(n) }},
		{f[7], 10, 32, func(n uint64) { r.uid = uint32(n) }},
		{f[9], 10, 32, func(n uint64) { r.inode = uint32(n) }},
		{drops, 10, 32, func(n uint64) { r.drops = uint32(n) }},
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
