package query

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"
)

// kept are the rows of a result, so that who looks at it for long does not hold the recording: at first in memory, many of them in a file.
type kept struct {
	cols  []Column
	rows  int
	short string // why rows are missing at the end; "": none is

	buffer bytes.Buffer
	file   *os.File // without a name; nil: all is in the buffer
	size   int64    // of the file
}

const (
	keptInMemory = 8 << 20
	keptInFile   = 1 << 30
)

// add keeps a row. What cannot be kept is said in short.
func (k *kept) add(values []any) {
	if k.short != "" {
		return
	}
	if k.buffer.Len() >= keptInMemory {
		if err := k.spill(); err != nil {
			k.short = fmt.Sprintf("only the first %s are kept: %v", plural(int64(k.rows), "row"), err)
			return
		}
	}
	for _, v := range values {
		k.put(v)
	}
	k.rows++
}

func (k *kept) spill() error {
	if k.size >= keptInFile {
		return fmt.Errorf("no more than %s of a result are", bytesText(keptInFile))
	}
	if k.file == nil {
		f, err := os.CreateTemp("", "netsql-result-*")
		if err != nil {
			return err
		}
		if err := os.Remove(f.Name()); err != nil { // nobody else needs it
			return errors.Join(err, f.Close())
		}
		k.file = f
	}
	n, err := k.file.Write(k.buffer.Bytes())
	k.size += int64(n)
	if err != nil {
		return err
	}
	k.buffer.Reset()
	return nil
}

// The kinds of values, each before its bytes.
const (
	keptNull byte = iota
	keptInt
	keptFloat
	keptText
	keptBlob
	keptTrue
	keptFalse
	keptTime
)

func (k *kept) put(v any) {
	b := k.buffer.AvailableBuffer()
	switch v := v.(type) {
	case nil:
		b = append(b, keptNull)
	case int64:
		b = binary.AppendVarint(append(b, keptInt), v)
	case float64:
		b = binary.LittleEndian.AppendUint64(append(b, keptFloat), math.Float64bits(v))
	case string:
		b = append(binary.AppendUvarint(append(b, keptText), uint64(len(v))), v...)
	case []byte:
		b = append(binary.AppendUvarint(append(b, keptBlob), uint64(len(v))), v...)
	case bool:
		if b = append(b, keptFalse); v {
			b[len(b)-1] = keptTrue
		}
	case time.Time:
		b = binary.AppendVarint(append(b, keptTime), v.UnixMicro())
	default:
		text := fmt.Sprint(v)
		b = append(binary.AppendUvarint(append(b, keptText), uint64(len(text))), text...)
	}
	k.buffer.Write(b)
}

// each gives the rows again, in order. The values are those of one row only until the next.
func (k *kept) each(row func(values []any) error) error {
	in := bufio.NewReaderSize(io.MultiReader(k.inFile(), bytes.NewReader(k.buffer.Bytes())), 64<<10)
	values := make([]any, len(k.cols))
	for range k.rows {
		for i := range values {
			v, err := readKept(in)
			if err != nil {
				return fmt.Errorf("read the result again: %w", err)
			}
			values[i] = v
		}
		if err := row(values); err != nil {
			return err
		}
	}
	return nil
}

func (k *kept) inFile() io.Reader {
	if k.file == nil {
		return bytes.NewReader(nil)
	}
	return io.NewSectionReader(k.file, 0, k.size)
}

func readKept(in *bufio.Reader) (any, error) {
	kind, err := in.ReadByte()
	if err != nil {
		return nil, err
	}
	switch kind {
	case keptInt:
		return binary.ReadVarint(in)
	case keptFloat:
		var b [8]byte
		_, err := io.ReadFull(in, b[:])
		return math.Float64frombits(binary.LittleEndian.Uint64(b[:])), err
	case keptText, keptBlob:
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, err
		}
		b := make([]byte, n)
		if _, err = io.ReadFull(in, b); kind == keptBlob {
			return b, err
		}
		return string(b), err
	case keptTrue, keptFalse:
		return kind == keptTrue, nil
	case keptTime:
		micros, err := binary.ReadVarint(in)
		return time.UnixMicro(micros), err
	}
	return nil, nil
}

// Close gives the file back.
func (k *kept) Close() error {
	if k == nil || k.file == nil {
		return nil
	}
	return k.file.Close()
}
