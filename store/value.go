package store

import (
	"fmt"
	"math"
	"reflect"
)

// Int is a whole number that may be unknown. Its zero value is NULL, so that a
// field nobody filled in is recorded as unknown and never as 0, and it takes no
// more than eight bytes.
type Int struct {
	// flipped is the number with its top bit turned over: the zero value then
	// stands for math.MinInt64, which no kernel counter can be.
	flipped int64
}

type integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Of is the known number n. What does not fit SQLite's 64-bit signed integer
// (a uint64 counter past 2^63) is held at the largest that does.
func Of[T integer](n T) Int {
	v := int64(n)
	if n > 0 && v < 0 {
		v = math.MaxInt64
	}
	if v == math.MinInt64 {
		v++
	}
	return Int{v ^ math.MinInt64}
}

// NonZero is n, or unknown where the kernel says 0 for "not set".
func NonZero[T integer](n T) Int {
	if n == 0 {
		return Int{}
	}
	return Of(n)
}

// Get returns the number and whether it is known.
func (i Int) Get() (int64, bool) {
	return i.flipped ^ math.MinInt64, i.flipped != 0
}

// Or is the number, or n where it is unknown.
func (i Int) Or(n int64) int64 {
	if v, ok := i.Get(); ok {
		return v
	}
	return n
}

// Ref points to a subject of another table: the process that owns a socket. It is the number of
// the subject, which is half of the key of a span. Its zero value is NULL.
type Ref uint32

// half says which part of a stored column a column is. Two that are nearly always 0, or that are unknown together, share
// one: a column takes a byte of each row even where it holds nothing.
type half int

const (
	whole half = iota // all of it
	high              // its upper 32 bits
	low               // its lower 32 bits
)

var halves = map[string]half{"high": high, "low": low}

// noHalf stands for NULL in one half where the other is known.
const noHalf = math.MaxUint32

// shared is what a column holds that two share, as the database driver takes it: before, if that is the same. It has
// numbers from 0 to 2^32-2 as they are, and others as the nearest of these. That is 0 for 0 and 0, which takes SQLite no
// byte, and n for 0 and n.
func shared(upper, lower Int, before any) any {
	if upper == (Int{}) && lower == (Int{}) {
		return nil
	}
	part := func(i Int) int64 {
		if n, known := i.Get(); known {
			return min(max(n, 0), noHalf-1)
		}
		return noHalf
	}
	return boxed(part(upper)<<32|part(lower), before)
}

// part is SQL for what the half of a column says.
func (h half) part(column string) string {
	switch h {
	case high:
		column += " >> 32"
		fallthrough
	case low:
		return fmt.Sprintf("nullif(%s & %[2]d, %[2]d)", column, int64(noHalf))
	}
	return column
}

// kind says how a field of a recorded row is stored.
type kind int

const (
	kindInt  kind = iota // Int; INTEGER
	kindText             // string, '' is NULL; TEXT
	kindTime             // float64, unix seconds, 0 is NULL; REAL
	kindRef              // Ref; INTEGER
)

var kinds = map[reflect.Type]kind{
	reflect.TypeFor[Int]():     kindInt,
	reflect.TypeFor[string]():  kindText,
	reflect.TypeFor[float64](): kindTime,
	reflect.TypeFor[Ref]():     kindRef,
}

func (k kind) sqlType() string {
	switch k {
	case kindText:
		return "TEXT"
	case kindTime:
		return "REAL"
	default:
		return "INTEGER"
	}
}

// arg is the field as the database driver takes it: before, if that is the same, which saves an allocation.
func (k kind) arg(v reflect.Value, before any) any {
	switch k {
	case kindInt:
		// Int has one field; reading it by reflection avoids boxing the struct.
		if flipped := v.Field(0).Int(); flipped != 0 {
			return boxed(flipped^math.MinInt64, before)
		}
	case kindText:
		if s := v.String(); s != "" {
			return boxed(s, before)
		}
	case kindTime:
		if t := v.Float(); t != 0 {
			return boxed(t, before)
		}
	case kindRef:
		if r := v.Uint(); r != 0 {
			return boxed(int64(r), before)
		}
	}
	return nil
}

// intOf is the Int that v holds: Interface would allocate it.
func intOf(v reflect.Value) Int { return Int{v.Field(0).Int()} }

func boxed[T comparable](v T, before any) any {
	if b, ok := before.(T); ok && b == v {
		return before
	}
	return v
}

// set is the inverse of arg, for reading identities back after a restart.
func (k kind) set(v reflect.Value, got any) {
	switch x := got.(type) {
	case int64:
		switch k {
		case kindInt:
			v.Set(reflect.ValueOf(Of(x)))
		case kindRef:
			v.SetUint(uint64(uint32(x)))
		case kindTime:
			v.SetFloat(float64(x))
		}
	case float64:
		if k == kindTime {
			v.SetFloat(x)
		}
	case string:
		if k == kindText {
			v.SetString(x)
		}
	}
}
