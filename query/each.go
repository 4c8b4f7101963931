package query

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// A Value is a column of a row that Each visits: an integer, a real, a text, or NULL. A BLOB is a text.
type Value struct {
	kind byte
	bits uint64
	text string
}

// The kinds of values, which stand before each in a packed row.
const (
	packedNull = iota
	packedInt
	packedFloat
	packedText
)

// Known tells whether it is not NULL.
func (v Value) Known() bool { return v.kind != packedNull }

// Int is an integer, or the whole part of a real; 0 is of NULL and of text.
func (v Value) Int() int64 {
	switch v.kind {
	case packedInt:
		return int64(v.bits)
	case packedFloat:
		return int64(math.Float64frombits(v.bits))
	}
	return 0
}

// Float is a number; 0 is of NULL and of text.
func (v Value) Float() float64 {
	switch v.kind {
	case packedInt:
		return float64(int64(v.bits))
	case packedFloat:
		return math.Float64frombits(v.bits)
	}
	return 0
}

// Text is a text; "" is of NULL and of numbers.
func (v Value) Text() string { return v.text }

// Of is the value in a row of an integer.
func Of(n int64) Value { return Value{kind: packedInt, bits: uint64(n)} }

// Each visits the rows of SELECT columns rest. The row is another after the visit; its texts stay.
//
// A row comes out of SQLite as one value: of a table with fifty columns, SQLite takes and gives back its lock a hundred times for a row that is read
// column by column, which costs more than all the rest.
func (r *Recording) Each(ctx context.Context, columns []string, rest string, visit func(row []Value) error, args ...any) error {
	rows, err := r.Query(ctx, fmt.Sprintf("SELECT %s(%s) %s", packing, strings.Join(columns, ", "), rest), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	row := make([]Value, len(columns))
	var packed string
	for rows.Next() {
		if err := rows.Scan(&packed); err != nil {
			return err
		}
		if err := unpack(packed, row); err != nil {
			return err
		}
		if err := visit(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return r.explain(err)
	}
	return nil
}

// packing is the SQL function that makes one value of many.
const packing = "netsql_packed"

// pack is that function. It writes over what it gave before, of which SQLite has its own copy.
func (r *Recording) pack(values []driver.Value) (driver.Value, error) {
	b := r.packed[:0]
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, packedNull)
		case int64:
			b = binary.AppendVarint(append(b, packedInt), v)
		case float64:
			b = binary.LittleEndian.AppendUint64(append(b, packedFloat), math.Float64bits(v))
		case string:
			b = append(binary.AppendUvarint(append(b, packedText), uint64(len(v))), v...)
		case []byte:
			b = append(binary.AppendUvarint(append(b, packedText), uint64(len(v))), v...)
		default:
			return nil, fmt.Errorf("%s: no value of SQLite is a %T", packing, v)
		}
	}
	r.packed = b
	return b, nil
}

var errPacked = errors.New("a packed row is none")

// unpack reads a row of so many values. Its texts are parts of the packed one.
func unpack(packed string, row []Value) error {
	for i := range row {
		if packed == "" {
			return errPacked
		}
		v := Value{kind: packed[0]}
		packed = packed[1:]
		switch v.kind {
		default:
			return errPacked
		case packedNull:
		case packedInt, packedText:
			n, length := uvarint(packed)
			if length <= 0 {
				return errPacked
			}
			packed = packed[length:]
			if v.kind == packedInt {
				v.bits = n>>1 ^ -(n & 1)
				break
			}
			if uint64(len(packed)) < n {
				return errPacked
			}
			v.text, packed = packed[:n], packed[n:]
		case packedFloat:
			if len(packed) < 8 {
				return errPacked
			}
			for at := range 8 {
				v.bits |= uint64(packed[at]) << (8 * at)
			}
			packed = packed[8:]
		}
		row[i] = v
	}
	return nil
}

// uvarint is binary.Uvarint of a string.
func uvarint(s string) (n uint64, length int) {
	for i := range min(len(s), binary.MaxVarintLen64) {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}
