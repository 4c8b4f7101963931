package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// state is how the memory of a Writer and the file stand to each other.
type state struct {
	uuid  string // of the recording
	filed filed  // the last sample in the file
	files [len(parts)]os.FileInfo

	trouble error // why the file cannot be written; nil: it can
	broken  bool  // the connection is not to be used any more
	adrift  bool  // samples that the memory builds upon are not in the file, and never will be
	late    int   // samples written out of memory since the trouble began
	dropped drop  // since then
	anew    bool  // it was started over, and no sample has been written since

	generation uint32
	syncEvery  time.Duration // see there
}

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

// parts are the files of a recording, as what follows its path.
var parts = [...]string{"", "-wal", "-shm"}

// Generation grows when the Writer had to start over, in another file or after samples were dropped. Every Subject must then be
// Put again, and a Ref of before must not be used: Keep and Change answer false by themselves.
func (w *Writer) Generation() uint32 { return w.generation }

// Behind reports whether the file cannot be written: samples wait in memory, or are lost.
func (w *Writer) Behind() bool { return w.trouble != nil }

// mend is for before a sample: it brings the memory and the file together again, if they are apart. That the path still names
// the file that is open costs three stat calls.
func (w *Writer) mend(ctx context.Context, within time.Duration) {
	moved := w.moved()
	if moved == nil && w.trouble == nil && !w.broken {
		return
	}
	switch err := w.repair(ctx, moved, within); {
	case err != nil:
		w.fail(err)
	case len(w.tape.samples) == 0 && !w.anew:
		w.mended()
	}
}

func (w *Writer) repair(ctx context.Context, moved error, within time.Duration) error {
	switch {
	case moved != nil:
		w.leave(ctx)
	case w.broken:
		w.disconnect()
	}
	if w.conn == nil {
		if w.lock != nil && !w.lock.valid() {
			w.lock.release()
			w.lock = nil
		}
		if err := w.connect(ctx); err != nil {
			w.disconnect()
			return err
		}
		w.broken = false
		same, err := w.continues(ctx)
		if err != nil {
			w.disconnect()
			return err
		}
		if !same && !w.adrift {
			if moved == nil {
				moved = errors.New("the recording is not as it was left: it has been replaced, or what was written to it is lost")
			}
			w.drift(cmp.Or(w.trouble, moved))
		}
		w.identify()
	}
	if w.adrift {
		return w.startOver(ctx)
	}
	if err := w.held(ctx); err != nil {
		return err
	}
	err := w.play(ctx, within)
	if err != nil && ctx.Err() == nil && !unwritable(err) {
		// It would be so next time, too.
		w.drift(err)
		return w.startOver(ctx)
	}
	return err
}

// moved finds out whether the path still names the files that are open.
func (w *Writer) moved() error {
	for i, part := range parts {
		if w.files[i] == nil {
			continue
		}
		there, err := os.Stat(w.options.Path + part)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s%s was deleted", w.options.Path, part)
		case err != nil: // writing will tell
		case !os.SameFile(there, w.files[i]):
			return fmt.Errorf("%s%s was replaced", w.options.Path, part)
		case i == 0 && there.Size() == 0:
			return fmt.Errorf("%s was emptied", w.options.Path)
		}
	}
	if w.lock != nil && !w.lock.valid() {
		return fmt.Errorf("the lock file of %s was deleted", w.options.Path)
	}
	return nil
}

// leave closes files that the path does not name any more, or not all of them. What stands in the -wal file comes into the
// recording first. A -wal file that stayed behind when the recording went must not: SQLite would take it for that of the
// next file, and damage it.
func (w *Writer) leave(ctx context.Context) {
	files := w.files
	if w.conn != nil {
		w.conn.ExecContext(ctx, impatient)
		w.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	w.disconnect()
	same := func(i int) bool {
		there, err := os.Stat(w.options.Path + parts[i])
		return err == nil && files[i] != nil && os.SameFile(there, files[i])
	}
	if same(0) {
		return
	}
	for i := 1; i < len(parts); i++ {
		if same(i) {
			os.Remove(w.options.Path + parts[i])
		}
	}
}

// identify takes note of which files are open.
func (w *Writer) identify() {
	for i, part := range parts {
		w.files[i], _ = os.Stat(w.options.Path + part)
	}
}

// continues reports whether the file that was opened is as this Writer has left one, whatever it is called and
// wherever it lies. A commit that ended with an error may have come into it all the same.
func (w *Writer) continues(ctx context.Context) (bool, error) {
	var uuid string
	var run, sample int64
	if err := w.conn.QueryRowContext(ctx, `SELECT (SELECT uuid FROM recording),
		(SELECT coalesce(max(id), 0) FROM run), (SELECT coalesce(max(id), 0) FROM sample)`).Scan(&uuid, &run, &sample); err != nil {
		return false, err
	}
	if uuid != w.uuid || run != w.run {
		return false, nil
	}
	for len(w.tape.samples) > 0 && w.tape.samples[0].id <= sample {
		w.filed = filed{w.tape.samples[0].id, w.tape.samples[0].ts}
		w.tape.drop()
	}
	return sample == w.filed.id, nil
}

// drift gives up what is in memory only.
func (w *Writer) drift(why error) {
	w.tape = tape{}
	if w.adrift = true; w.dropped.why == nil {
		w.dropped = drop{why, w.uuid, w.filed.ts}
	}
}

// startOver makes the memory that of a start: the spans in the file end at its last sample, and everything is to be Put again.
func (w *Writer) startOver(ctx context.Context) error {
	for _, t := range w.order {
		t.forget()
	}
	w.gaps.forget(w.sources)
	w.generation++
	if err := w.begin(ctx); err != nil {
		return err
	}
	w.lastRun, w.lost, w.adrift, w.anew = false, nil, false, true
	w.filed = filed{w.last.id, w.last.ts}
	return nil
}

// resume says why there is a gap, where begin has only seen that there is one.
func (g *gapLog) resume(w *Writer, ours bool) {
	switch {
	case ours && w.last.id > 0:
		g.pending = append(g.pending[:0], gapRow{w.last.ts, gapUnwritten, fmt.Sprintf(
			"samples could not be written, nor what the kernel told between them: %v", w.dropped.why)})
	case w.last.id == 0 && w.dropped.last > 0:
		g.pending = append(g.pending[:0], gapRow{w.dropped.last, gapUnwritten, fmt.Sprintf(
			"what was recorded until then is not in this file: %v", w.dropped.why)})
	}
}

// forget is for a Writer that starts over.
func (g *gapLog) forget(sources []*Source) {
	g.rolledBack()
	g.late = lateGap{}
	for _, s := range sources {
		s.gap = nil
	}
}

// put writes the sample into the file or, while that cannot be, into memory.
func (w *Writer) put(ctx context.Context, cost Cost) error {
	if w.adrift {
		return w.trouble
	}
	if w.trouble == nil || w.anew {
		err := w.held(ctx)
		if err == nil {
			err = w.sync(ctx, func() error {
				return w.inTransaction(ctx, func() error { return w.write(ctx, cost) })
			})
		}
		switch {
		case err == nil:
			w.filed = filed{w.now.id, w.now.ts}
			if w.anew {
				w.anew = false
				w.mended()
			}
			return nil
		case ctx.Err() != nil:
			return err
		case !unwritable(err):
			w.broken = true // the file may be another by now
			return err
		}
		w.fail(err)
		w.anew = false
		for _, t := range w.order {
			t.again()
		}
	}
	return w.hold(ctx, cost)
}

// syncEvery is the time that a power failure may cost at most, besides the sample under way: so often the -wal file is brought
// onto the disk. SQLite itself does so only at a checkpoint, every 1,000 pages: on a quiet machine that is many minutes.
const syncEvery = 30 * time.Second

// sync runs commit, so that what it commits survives a power failure if it is time for that.
func (w *Writer) sync(ctx context.Context, commit func() error) error {
	if time.Since(w.synced) < w.syncEvery {
		return commit()
	}
	if _, err := w.conn.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
		return err
	}
	err := commit()
	if err == nil {
		w.synced = time.Now()
	}
	w.conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL") // if not, the next is synced, too
	return err
}

// How long another process may keep the file locked before a commit gives up; less once it did.
const (
	patient   = "PRAGMA busy_timeout = 10000"
	impatient = "PRAGMA busy_timeout = 200"
)

// fail takes note that the file cannot be written, and says so when that is new.
func (w *Writer) fail(err error) {
	var se *sqlite.Error
	code := 0
	if errors.As(err, &se) {
		code = se.Code() & 0xff
	}
	// After a full disk or a lock the connection is as good as ever. After others reads and writes may go on to fail.
	var held *heldError
	if errors.As(err, &held) {
		code = sqlite3.SQLITE_BUSY
	}
	if code != sqlite3.SQLITE_FULL && code != sqlite3.SQLITE_BUSY {
		w.broken = true
	} else if w.conn != nil {
		w.conn.ExecContext(context.Background(), impatient)
	}
	if w.trouble != nil {
		return
	}
	w.trouble = Explain(w.options.Path, cause(w.options.Path, err))
	if w.adrift {
		w.notice("%v (nothing is recorded meanwhile)", w.trouble)
		return
	}
	w.notice("%v (samples are kept in memory meanwhile, up to %d MB)", w.trouble, w.options.Hold>>20)
}

// mended takes note that all is well again.
func (w *Writer) mended() {
	if w.conn != nil {
		w.conn.ExecContext(context.Background(), patient)
	}
	switch since := time.UnixMicro(int64(w.dropped.last * 1e6)).Format(time.DateTime); {
	case w.dropped.why != nil && w.dropped.last == 0:
		w.notice("%v: recording goes on in %s", w.dropped.why, w.options.Path)
	case w.dropped.why != nil && w.uuid != w.dropped.uuid:
		w.notice("%v: recording goes on in %s, without what was recorded until %s", w.dropped.why, w.options.Path, since)
	case w.dropped.why != nil:
		w.notice("recording goes on in %s: nothing was recorded since %s", w.options.Path, since)
	case w.late > 0:
		w.notice("recording goes on in %s: the %d samples that were kept in memory are written", w.options.Path, w.late)
	case w.trouble != nil:
		w.notice("recording goes on in %s", w.options.Path)
	}
	w.trouble, w.late, w.dropped = nil, 0, drop{}
}

func (w *Writer) notice(format string, args ...any) {
	if w.options.Notice != nil {
		w.options.Notice(fmt.Sprintf(format, args...))
	}
}

// disconnect gives up the connection. What it has open may be a file that nobody else sees any more.
func (w *Writer) disconnect() {
	if w.conn != nil {
		for _, b := range w.batches {
			b.close()
		}
		w.forgetMinute()
		if w.pages != nil {
			w.pages.Close()
			w.pages = nil
		}
		w.conn.Close()
	}
	if w.db != nil {
		w.db.Close()
	}
	w.conn, w.db, w.raw = nil, nil, nil
	w.files = [len(parts)]os.FileInfo{}
}

// unwritable reports whether the error is one of the file, not of what was to be written.
func unwritable(err error) bool {
	var held *heldError
	if errors.As(err, &held) {
		return true
	}
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PROTOCOL:
		return true
	}
	return false
}

// cause is what the system has against writing, where SQLite does not tell: it calls a quota, a read-only file system and
// sometimes a full disk an I/O error.
func cause(path string, err error) error {
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
			return cmp.Or(probe(path), err)
		}
	}
	return err
}

// probe tries to write a file beside the recording, as large as a new -shm file and more.
func probe(path string) error {
	f, err := os.OpenFile(path+"-probe", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 64<<10))
	if serr := f.Sync(); err == nil && !errors.Is(serr, syscall.EINVAL) {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
