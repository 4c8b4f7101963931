package rtnl

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"netsql/recorder/kerneltest"
)

// An attribute is one of a message that the test builds.
type attribute struct {
	kind  uint16
	value []byte
}

func messageOf(header []byte, attributes ...attribute) []byte {
	msg := slices.Clone(header)
	for _, a := range attributes {
		msg = append(msg, kerneltest.Attribute(a.kind, a.value...)...)
	}
	return msg
}

// nestOf is an attribute that consists of attributes.
func nestOf(kind uint16, attributes ...attribute) attribute {
	return attribute{kind, messageOf(nil, attributes...)}
}

// u16 and u32 are the bytes of a number as the kernel writes it.

func u16(n uint16) []byte { return binary.NativeEndian.AppendUint16(nil, n) }
func u32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// Addresses of RFC 5737 and RFC 3849.

func ip4(last byte) []byte { return []byte{192, 0, 2, last} }
func ip6(last byte) []byte {
	return []byte{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last}
}

// checkCutShort takes a message that is good and makes it worse, one cut at a time: each cut is an error. Values of any length are
// left alone, and so are the nests, whose cuts have tests of their own.
func checkCutShort(t *testing.T, header []byte, parse func(msg []byte) error, anyLength []uint16, attributes ...attribute) {
	t.Helper()
	whole := messageOf(header, attributes...)
	if err := parse(whole); err != nil {
		t.Fatalf("the whole message: %v", err)
	}
	for n := range header {
		if err := parse(header[:n]); !errors.Is(err, ErrShort) {
			t.Errorf("%d bytes of a header of %d: %v", n, len(header), err)
		}
	}
	if err := parse(header); errors.Is(err, ErrShort) {
		t.Errorf("a header without attributes: %v", err)
	}
	for i, a := range attributes {
		if slices.Contains(anyLength, a.kind) {
			continue
		}
		for n := range a.value {
			cut := slices.Clone(attributes)
			cut[i].value = a.value[:n]
			if parse(messageOf(header, cut...)) == nil {
				t.Errorf("%d bytes of the %d of attribute %d are no error", n, len(a.value), a.kind)
			}
		}
	}
	// The message ends too early: that is right only between two attributes, or in the padding of the last.
	last := attributes[len(attributes)-1]
	start := len(messageOf(header, attributes[:len(attributes)-1]...))
	for n := start + 1; n < len(whole); n++ {
		err := parse(whole[:n])
		if padding := n >= start+4+len(last.value); padding != (err == nil) {
			t.Errorf("%d bytes of %d: %v", n, len(whole), err)
		}
	}
	for n := 1; n < 4; n++ {
		if parse(append(slices.Clone(whole), make([]byte, n)...)) == nil {
			t.Errorf("%d bytes after the last attribute are no error", n)
		}
	}
}
