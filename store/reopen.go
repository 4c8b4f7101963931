package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A writerState is how the memory of a Writer and the file stand to each other.
type writerState int

const (
	// stateWritable: a sample goes into the file.
	stateWritable writerState = iota
	// stateHeld: the file cannot be written. Samples wait in memory.
	stateHeld
	// stateLost: the memory builds upon samples that are not in the file and never will be. Nothing is recorded until the
	// Writer has started over.
	stateLost
	// stateRestarted: the Writer has started over, and no sample has been written since.
	stateRestarted
)

// filed is a sample in the file.
type filed struct {
	id int64
	ts float64
}

// A drop is why samples were dropped.
type drop struct {
	why  error
	uuid string  // of the recording that was being written
	last float64 // ts of the last sample in it
}

// Generation grows when the Writer had to start over, in another file or after samples were dropped. Every Subject must then be
// Put again, and a Ref of before must not be used: Keep and Change answer false by themselves.
func (w *Writer) Generation() uint32 { return w.generation }

// Behind reports whether the file cannot be written: samples wait in memory, or are lost.
func (w *Writer) Behind() bool { return w.trouble != nil }

// resync is for before a sample: it brings the memory and the file together again, if they are apart. That the path still names
// the file that is open costs three stat calls.
func (w *Writer) resync(ctx context.Context, within time.Duration) {
	wrong := cmp.Or(w.file.moved(), w.file.intact(ctx))
	if wrong == nil && w.trouble == nil && !w.file.broken {
		return
	}
	switch err := w.reopen(ctx, wrong, within); {
	case err != nil:
		w.fail(err)
	case len(w.pending.samples) == 0 && w.state != stateRestarted:
		w.writableAgain()
	}
}

// reopen opens what the path names by now, if need be, and writes what waits in memory, or starts over. wrong is what others have
// done to the files that are open.
func (w *Writer) reopen(ctx context.Context, wrong error, within time.Duration) error {
	var broken *brokenError
	switch {
	case errors.As(wrong, &broken):
		if err := w.leaveBroken(broken); err != nil {
			return err
		}
	case wrong != nil:
		w.file.abandon(ctx)
	case w.file.broken:
		w.file.disconnect()
	}
	if w.file.conn == nil {
		if err := w.file.connect(ctx, w.upgrading); err != nil {
			w.file.disconnect()
			return err
		}
		w.file.broken = false
		if w.trouble != nil {
			if err := w.file.trySync(ctx); err != nil {
				w.file.disconnect()
				return err
			}
		}
		same, err := w.continues(ctx)
		if err != nil {
			w.file.disconnect()
			return err
		}
		if !same && w.state != stateLost {
			w.giveUp(cmp.Or(w.trouble, wrong, errNotAsLeft))
		}
		if err := w.file.identify(ctx); err != nil {
			w.file.disconnect()
			return err
		}
	}
	if w.state == stateLost {
		return w.startOver(ctx)
	}
	if err := w.file.walRoom(ctx); err != nil {
		return err
	}
	err := w.replay(ctx, within)
	if err != nil && ctx.Err() == nil && !unwritable(err) {
		// It would be so next time, too.
		w.giveUp(err)
		return w.startOver(ctx)
	}
	return err
}

var errNotAsLeft = errors.New("the recording is not as it was left: it has been replaced, or what was written to it is lost")

// leaveBroken closes files that another program has broken. A recording that is damaged is set aside: nothing more is written to it, and a new one
// begins under its name. The -shm file is only removed: SQLite makes it again from the -wal file.
func (w *Writer) leaveBroken(broken *brokenError) error {
	w.file.leave()
	if !broken.data {
		if err := os.Remove(broken.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	aside, err := w.file.setAside(time.Now())
	if err != nil {
		return fmt.Errorf("%w, and what is left cannot be set aside: %w", broken, err)
	}
	w.giveUp(fmt.Errorf("%w; what is left of the recording is now %s (netsql recover %[2]s NEW saves it)", broken, aside))
	return nil
}

// closeStatements closes what is compiled on the connection.
func (w *Writer) closeStatements() {
	for _, b := range w.batches {
		b.close()
	}
	w.retention.closeStatements()
}

// continues reports whether the file that was opened is as this Writer has left one, whatever it is called and
// wherever it lies. A commit that ended with an error may have come into it all the same.
func (w *Writer) continues(ctx context.Context) (bool, error) {
	var uuid string
	var run, sample int64
	if err := w.file.conn.QueryRowContext(ctx, `SELECT (SELECT uuid FROM recording),
		(SELECT coalesce(max(id), 0) FROM run), (SELECT coalesce(max(id), 0) FROM sample)`).Scan(&uuid, &run, &sample); err != nil {
		return false, err
	}
	if uuid != w.uuid || run != w.run {
		return false, nil
	}
	for len(w.pending.samples) > 0 && w.pending.samples[0].id <= sample {
		w.filed = filed{w.pending.samples[0].id, w.pending.samples[0].ts}
		w.pending.drop()
	}
	return sample == w.filed.id, nil
}

// giveUp drops what is in memory only.
func (w *Writer) giveUp(why error) {
	w.pending = pending{}
	if w.state = stateLost; w.dropped.why == nil {
		w.dropped = drop{why, w.uuid, w.filed.ts}
	}
}

// startOver resets the memory to what it is right after start-up: the spans in the file end at its last sample, and
// everything is to be Put again.
func (w *Writer) startOver(ctx context.Context) error {
	for _, t := range w.order {
		t.forget()
	}
	w.gaps.forget(w.sources)
	w.generation++
	if err := w.begin(ctx); err != nil {
		return err
	}
	w.lastRun, w.lost, w.state = false, nil, stateRestarted
	w.filed = filed{w.last.id, w.last.ts}
	return nil
}

// fail takes note that the file cannot be written, and says so when that is new.
func (w *Writer) fail(err error) {
	var se *sqlite.Error
	code := 0
	if errors.As(err, &se) {
		code = se.Code() & 0xff
	}
	// After a full disk or a lock the connection is as good as ever. After others reads and writes may go on to fail.
	var byReader *heldError
	if errors.As(err, &byReader) {
		code = sqlite3.SQLITE_BUSY
	}
	if code != sqlite3.SQLITE_FULL && code != sqlite3.SQLITE_BUSY {
		w.file.broken = true
	} else {
		w.file.patience(impatient)
	}
	if w.state != stateLost {
		w.state = stateHeld
	}
	if w.trouble != nil {
		return
	}
	w.trouble = Explain(w.options.Path, cause(w.options.Path, err))
	var content *brokenError
	if errors.As(err, &content) && content.data {
		return // it is said when recording goes on
	}
	if w.state == stateLost {
		w.notice(Notice{Priority: PriorityErr, About: aboutRecording}, "%v (nothing is recorded meanwhile)", w.trouble)
		return
	}
	w.notice(Notice{Priority: PriorityErr, About: aboutRecording}, "%v (samples are kept in memory meanwhile, up to %d MB)", w.trouble, w.options.Hold>>20)
}

// writableAgain takes note that all is well again, and says so if it was not.
func (w *Writer) writableAgain() {
	w.file.patience(patient)
	again := Notice{Priority: PriorityNotice, About: aboutRecording, Over: true}
	if w.dropped.why != nil {
		again.Priority = PriorityWarning
	}
	switch since := time.UnixMicro(int64(w.dropped.last * 1e6)).Format(time.DateTime); {
	case w.dropped.why != nil && w.dropped.last == 0:
		w.notice(again, "%v: recording goes on in %s", w.dropped.why, w.options.Path)
	case w.dropped.why != nil && w.uuid != w.dropped.uuid:
		w.notice(again, "%v: recording goes on in %s, without what was recorded until %s", w.dropped.why, w.options.Path, since)
	case w.dropped.why != nil:
		w.notice(again, "recording goes on in %s: nothing was recorded since %s", w.options.Path, since)
	case w.late > 0:
		w.notice(again, "recording goes on in %s: the %d samples that were kept in memory are written", w.options.Path, w.late)
	case w.trouble != nil:
		w.notice(again, "recording goes on in %s", w.options.Path)
	}
	w.state, w.trouble, w.late, w.dropped = stateWritable, nil, 0, drop{}
}

func (w *Writer) notice(n Notice, format string, args ...any) {
	if w.options.Notice != nil {
		n.Text = fmt.Sprintf(format, args...)
		w.options.Notice(n)
	}
}

// upgrading says that the recording is brought up to date.
func (w *Writer) upgrading(sentence string) {
	w.notice(Notice{Priority: PriorityNotice}, "%s", sentence)
}
