package kerneltest

import (
	"bytes"
	"encoding/binary"
)

// Attribute writes a netlink attribute, for the seeds of the fuzzers.
func Attribute(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, (len(b)+3)&^3-len(b))...)
}

func Message(header []byte, attributes ...[]byte) []byte {
	return append(bytes.Clone(header), bytes.Join(attributes, nil)...)
}
