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

// A tape keeps the samples that could not be written: what the batches would have executed, in the order in which
// they would. It costs nothing until there is trouble.
type tape struct {
	recording bool // batches write onto it, not into the file
	samples   []tapedSample
	size      int // bytes in samples
	current   []byte
}

type tapedSample struct {
	id  int64
	ts  float64
	ops []byte
}

// How a value stands on the tape.
const (
	tapeNull byte = iota
	tapeInt
	tapeFloat
	tapeText
)

// add records that the batch runs for so many rows.
func (t *tape) add(b *batch, rows int, args []any) {
	op := binary.AppendUvarint(t.current, uint64(b.number))
	op = binary.AppendUvarint(op, uint64(rows))
	op = binary.AppendUvarint(op, uint64(len(b.same)+len(args)))
	for _, list := range [][]any{b.same, args} {
		for _, v := range list {
			switch v := v.(type) {
			case nil:
				op = append(op, tapeNull)
			case int64:
				op = binary.AppendVarint(append(op, tapeInt), v)
			case float64:
				op = binary.LittleEndian.AppendUint64(append(op, tapeFloat), math.Float64bits(v))
			case string:
				op = binary.AppendUvarint(append(op, tapeText), uint64(len(v)))
				op = append(op, v...)
			default:
				panic(fmt.Sprintf("a batch was given a %T", v))
			}
		}
	}
	t.current = op
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
		case tapeInt:
			n, size := binary.Varint(ops)
			values[i], ops = n, ops[size:]
		case tapeFloat:
			values[i], ops = math.Float64frombits(binary.LittleEndian.Uint64(ops)), ops[8:]
		case tapeText:
			n := number()
			values[i], ops = string(ops[:n]), ops[n:]
		}
	}
	return b, rows, w.arguments(nil, values), ops
}

// drop forgets the oldest sample: it is in the file.
func (t *tape) drop() {
	t.size -= len(t.samples[0].ops)
	t.samples[0].ops = nil
	if t.samples = t.samples[1:]; len(t.samples) == 0 {
		*t = tape{}
	}
}

// hold writes the sample under way onto the tape. When it is full, nothing on it can be written any more.
func (w *Writer) hold(ctx context.Context, cost Cost) error {
	w.tape.recording = true
	err := w.write(ctx, cost)
	w.tape.recording = false
	ops := append([]byte(nil), w.tape.current...) // which has grown beyond what it needs
	w.tape.current = w.tape.current[:0]
	if err != nil {
		w.forgetBatches()
		return err
	}
	if w.tape.size+len(ops) > w.options.Hold {
		if w.dropped.why == nil {
			w.notice("%s: what has not been written takes more than %d MB by now, and is dropped: nothing is recorded until it can be written again",
				w.options.Path, w.options.Hold>>20)
		}
		w.drift(w.trouble)
		return w.trouble
	}
	w.tape.samples = append(w.tape.samples, tapedSample{w.now.id, w.now.ts, ops})
	w.tape.size += len(ops)
	return nil
}

// playAtMost is how long a sample may be kept waiting for those before it; forever is for the last.
const (
	playAtMost = 500 * time.Millisecond
	forever    = math.MaxInt64
)

// play writes what is on the tape, a sample a transaction.
func (w *Writer) play(ctx context.Context, within time.Duration) error {
	begun := time.Now()
	for len(w.tape.samples) > 0 && time.Since(begun) < within {
		s := w.tape.samples[0]
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
		w.tape.drop()
	}
	return nil
}
