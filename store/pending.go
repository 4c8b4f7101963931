package store

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// DefaultHold is how much memory samples may take that wait for a file that cannot be written: hours of them on a
// machine with a hundred sockets, a quarter of an hour with twenty thousand of which a fifth move.
const DefaultHold = 32 << 20

// pending are the samples that wait in memory for a file that cannot be written: what the batches would have executed, in
// that order. It costs nothing until there is trouble.
type pending struct {
	collecting bool // batches write here, not into the file
	samples    []pendingSample
	size       int // bytes in samples
	current    []byte
}

type pendingSample struct {
	id  int64
	ts  float64
	ops []byte
}

// How a value is encoded.
const (
	encodedNull byte = iota
	encodedInt
	encodedFloat
	encodedText
)

// add records that the batch runs for so many rows.
func (p *pending) add(b *batch, rows int, args []any) {
	op := binary.AppendUvarint(p.current, uint64(b.number))
	op = binary.AppendUvarint(op, uint64(rows))
	op = binary.AppendUvarint(op, uint64(len(b.same)+len(args)))
	for _, list := range [][]any{b.same, args} {
		for _, v := range list {
			switch v := v.(type) {
			case nil:
				op = append(op, encodedNull)
			case int64:
				op = binary.AppendVarint(append(op, encodedInt), v)
			case float64:
				op = binary.LittleEndian.AppendUint64(append(op, encodedFloat), math.Float64bits(v))
			case string:
				op = binary.AppendUvarint(append(op, encodedText), uint64(len(v)))
				op = append(op, v...)
			default:
				panic(fmt.Sprintf("a batch was given a %T", v))
			}
		}
	}
	p.current = op
}

// next takes the first statement off ops, which must be of add. The arguments are good until the next call.
func (w *Writer) next(ops []byte) (b *batch, rows int, args []driver.NamedValue, rest []byte) {
	number := func() uint64 {
		n, size := binary.Uvarint(ops)
		ops = ops[size:]
		return n
	}
	b, rows = w.batches[number()], int(number())
	values := make([]any, number())
	for i := range values {
		kind := ops[0]
		ops = ops[1:]
		switch kind {
		case encodedInt:
			n, size := binary.Varint(ops)
			values[i], ops = n, ops[size:]
		case encodedFloat:
			values[i], ops = math.Float64frombits(binary.LittleEndian.Uint64(ops)), ops[8:]
		case encodedText:
			n := number()
			values[i], ops = string(ops[:n]), ops[n:]
		}
	}
	return b, rows, w.arguments(nil, values), ops
}

// drop forgets the oldest sample: it is in the file.
func (p *pending) drop() {
	p.size -= len(p.samples[0].ops)
	p.samples[0].ops = nil
	if p.samples = p.samples[1:]; len(p.samples) == 0 {
		*p = pending{}
	}
}

// replayAtMost is how long a sample may be kept waiting while samples before it are written; forever is for the last.
const (
	replayAtMost = 500 * time.Millisecond
	forever      = math.MaxInt64
)

// replay writes what waits in memory, one sample in a transaction.
func (w *Writer) replay(ctx context.Context, within time.Duration) error {
	begun := time.Now()
	for len(w.pending.samples) > 0 && time.Since(begun) < within {
		s := w.pending.samples[0]
		if err := w.inTransaction(ctx, func() error {
			for ops := s.ops; len(ops) > 0; {
				b, rows, args, rest := w.next(ops)
				if err := b.run(ctx, rows, args); err != nil {
					return fmt.Errorf("write sample of %v: %w", time.UnixMicro(int64(s.ts*1e6)).UTC().Format(time.DateTime), err)
				}
				ops = rest
			}
			return nil
		}); err != nil {
			return err
		}
		w.filed = filed{s.id, s.ts}
		w.late++
		w.pending.drop()
	}
	return nil
}
