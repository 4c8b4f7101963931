package store

import (
	"context"
	"fmt"
	"time"
)

// Commit writes the sample in one transaction. When the file cannot be written, the sample is kept in memory and counts as
// committed: Behind says so. An error means that the sample is lost: memory and recording are as they were before it, and the
// time is a gap; go on with the next Begin.
func (w *Writer) Commit(ctx context.Context, cost Cost) error {
	w.recordOutcomes()
	if err := w.put(ctx, cost); err != nil {
		for _, t := range w.order {
			t.rolledBack()
		}
		w.gaps.rolledBack()
		w.lost = err
		return Explain(w.options.Path, err)
	}
	for _, t := range w.order {
		t.committed(w.now.id)
	}
	w.gaps.committed()
	w.forgetRetired()
	w.last, w.lastRun, w.lost = w.now, true, nil
	w.retention.committed(w.last)
	return nil
}

// recordOutcomes puts how each source fared, as rows of the table sources.
func (w *Writer) recordOutcomes() {
	w.outcome.Read(func() error {
		for _, s := range w.sources {
			if s.retired {
				continue
			}
			o := SourceOutcome{Outcome: s.outcome.String(), Error: s.err}
			if s.outcome != Off {
				o.Duration = Of(s.duration.Round(time.Millisecond).Milliseconds())
			}
			if s.outcome != Kept && s.outcome != Off {
				o.Rows = Of(s.rows())
			}
			w.results.Put(SourceID{s.name, s.netns}, o)
		}
		return nil
	})
}

// put writes the sample into the file or, while that cannot be, into memory.
func (w *Writer) put(ctx context.Context, cost Cost) error {
	switch w.state {
	case stateLost:
		return w.trouble
	case stateHeld:
		return w.hold(ctx, cost)
	}
	err := w.file.walRoom(ctx)
	if err == nil {
		err = w.file.sync(ctx, func() error {
			return w.inTransaction(ctx, func() error { return w.write(ctx, cost) })
		})
	}
	switch {
	case err == nil:
		w.filed = filed{w.now.id, w.now.ts}
		if w.state == stateRestarted {
			w.writableAgain()
		}
		return nil
	case ctx.Err() != nil:
		return err
	case !unwritable(err):
		w.file.broken = true // the file may be another by now
		return err
	}
	w.fail(err)
	for _, t := range w.order {
		t.again()
	}
	return w.hold(ctx, cost)
}

// inTransaction runs do in one transaction, in which the batches may run.
func (w *Writer) inTransaction(ctx context.Context, do func() error) error {
	err := w.file.lend(ctx, do)
	if err != nil {
		w.forgetBatches()
	}
	return err
}

// write turns what the sources reported into rows, by batches alone: the connection is lent to them, or there is none.
func (w *Writer) write(ctx context.Context, cost Cost) error {
	var wall, why any
	if w.now.why != "" {
		why = string(w.now.why)
	}
	if w.now.steppedBack {
		wall = unixSeconds(w.now.clock.Wall)
	}
	if err := w.addSample.only(ctx, w.now.id, w.now.ts, w.run, seconds(w.now.clock.Uptime), wall,
		time.Since(w.now.begun).Milliseconds(), seconds(cost.CPU), cost.RSS, why); err != nil {
		return fmt.Errorf("write sample: %w", err)
	}
	if err := w.gaps.write(ctx, w); err != nil {
		return fmt.Errorf("write gaps: %w", err)
	}
	for _, t := range w.order {
		if err := t.write(ctx, w.now.id); err != nil {
			return err
		}
	}
	return nil
}

// hold keeps the sample in memory. If more samples wait there than Options.Hold allows, all of them are dropped.
func (w *Writer) hold(ctx context.Context, cost Cost) error {
	w.pending.collecting = true
	err := w.write(ctx, cost)
	w.pending.collecting = false
	ops := append([]byte(nil), w.pending.current...) // which has grown beyond what it needs
	w.pending.current = w.pending.current[:0]
	if err != nil {
		w.forgetBatches()
		return err
	}
	if w.pending.size+len(ops) > w.options.Hold {
		if w.dropped.why == nil {
			w.notice(Notice{Priority: PriorityErr, About: aboutRecording}, "%s: what has not been written takes more than %d MB by now, and is dropped: nothing is recorded until it can be written again",
				w.options.Path, w.options.Hold>>20)
		}
		w.giveUp(w.trouble)
		return w.trouble
	}
	w.pending.samples = append(w.pending.samples, pendingSample{w.now.id, w.now.ts, ops})
	w.pending.size += len(ops)
	return nil
}

// forgetBatches drops the rows that wait for a statement to be full.
func (w *Writer) forgetBatches() {
	for _, b := range w.batches {
		b.forget()
	}
}
