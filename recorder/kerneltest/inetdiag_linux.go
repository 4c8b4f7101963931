package kerneltest

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// InetMessage is an inet_diag_msg with the attributes given as kind, value, kind, value …
func InetMessage(state uint8, attributes ...any) []byte {
	b := make([]byte, 72)
	b[0], b[1] = unix.AF_INET, state
	binary.BigEndian.PutUint16(b[4:], 443)
	copy(b[8:], []byte{192, 0, 2, 1})
	binary.NativeEndian.PutUint32(b[44:], 5)
	binary.NativeEndian.PutUint32(b[48:], 1)
	binary.NativeEndian.PutUint32(b[68:], 4711)
	return AppendAttributes(b, attributes...)
}

func AppendAttributes(b []byte, attributes ...any) []byte {
	for i := 0; i < len(attributes); i += 2 {
		value := attributes[i+1].([]byte)
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
		b = binary.NativeEndian.AppendUint16(b, uint16(attributes[i].(int)))
		b = append(b, value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

// TCPInfo is a struct tcp_info of that size whose 32-bit words count up from 1.
func TCPInfo(size int) []byte {
	b := make([]byte, size)
	for i := 0; i+4 <= size; i += 4 {
		binary.NativeEndian.PutUint32(b[i:], uint32(i/4+1))
	}
	return b
}
