package main

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// A patientWriter takes what is written for who reads slowly. As long as that one reads on, a writer waits for it as for any pipe. Who reads nothing
// for a while, because a person looks at the first page of a pager, gets the rest from a file: a statement ends, and the recording is not held, however
// long the page stays on the screen.
type patientWriter struct {
	out      io.Writer
	patience time.Duration

	mu      sync.Mutex
	changed *sync.Cond
	memory  []byte   // to be written first
	whole   []byte   // of which memory is a part, from its begin
	file    *os.File // without a name; then what is written stands here, from read to end
	read    int64
	end     int64
	moved   time.Time // when the reader last took something
	writing bool      // a part has left memory or file and has not reached the reader yet
	closed  bool
	err     error // of the reader
	done    chan struct{}
}

const (
	patientMemory = 1 << 20
	patientFile   = 4 << 30
)

func newPatientWriter(out io.Writer, patience time.Duration) *patientWriter {
	w := &patientWriter{out: out, patience: patience, moved: time.Now(), done: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	go w.pump()
	return w
}

func (w *patientWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && w.file == nil && len(w.memory)+len(p) > patientMemory && len(w.memory) > 0 {
		if time.Since(w.moved) >= w.patience {
			if err := w.spill(); err != nil {
				return 0, err
			}
			break
		}
		w.waitChange(w.patience)
	}
	for w.err == nil && w.file != nil && w.end-w.read > patientFile {
		w.changed.Wait()
	}
	if w.err != nil {
		return 0, w.err
	}
	if w.file == nil {
		w.remember(p)
		w.changed.Broadcast()
		return len(p), nil
	}
	n, err := w.file.WriteAt(p, w.end)
	w.end += int64(n)
	w.changed.Broadcast()
	return n, err
}

// remember adds to memory, of which the begin may have been written by now: then there is room for it.
func (w *patientWriter) remember(p []byte) {
	switch need := len(w.memory) + len(p); {
	case cap(w.memory)-len(w.memory) >= len(p):
	case need <= cap(w.whole):
		w.memory = append(w.whole[:0], w.memory...)
	default:
		w.whole = make([]byte, 0, max(need, 2*cap(w.whole)))
		w.memory = append(w.whole, w.memory...)
	}
	w.memory = append(w.memory, p...)
}

// waitChange waits until something changes, or so long.
func (w *patientWriter) waitChange(most time.Duration) {
	timer := time.AfterFunc(most, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})
	defer timer.Stop()
	w.changed.Wait()
}

// spill opens the file that takes what comes from now on.
func (w *patientWriter) spill() error {
	f, err := os.CreateTemp("", "netsql-output-*")
	if err != nil {
		return err
	}
	if err := os.Remove(f.Name()); err != nil { // nobody else needs it
		return errors.Join(err, f.Close())
	}
	w.file = f
	return nil
}

// pump gives the reader what there is.
func (w *patientWriter) pump() {
	defer close(w.done)
	buffer := make([]byte, 64<<10)
	for {
		part, err := w.next(buffer)
		if len(part) == 0 {
			w.fail(err)
			return
		}
		if _, err := w.out.Write(part); err != nil {
			w.fail(err)
			return
		}
		w.mu.Lock()
		w.moved, w.writing = time.Now(), false
		w.changed.Broadcast()
		w.mu.Unlock()
	}
}

// next takes what is to be written now; nothing: it is closed and all is written, or the file cannot be read.
func (w *patientWriter) next(buffer []byte) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.memory) == 0 && w.read == w.end && !w.closed {
		w.moved = time.Now() // it waits for us
		w.changed.Wait()
	}
	if len(w.memory) > 0 {
		part := w.memory[:min(len(w.memory), len(buffer))]
		n := copy(buffer, part)
		w.memory = w.memory[n:]
		w.writing = true
		w.changed.Broadcast()
		return buffer[:n], nil
	}
	if w.read == w.end {
		return nil, nil
	}
	n, err := w.file.ReadAt(buffer[:min(int64(len(buffer)), w.end-w.read)], w.read)
	if w.read += int64(n); n > 0 {
		w.writing, err = true, nil
	}
	return buffer[:n], err
}

func (w *patientWriter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	w.changed.Broadcast()
}

// drain waits until the reader has all, so that what others write comes after it; or drops the rest when the context ends.
func (w *patientWriter) drain(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.memory, w.read = nil, w.end
		w.changed.Broadcast()
	})
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for (len(w.memory) > 0 || w.read < w.end || w.writing) && w.err == nil && ctx.Err() == nil {
		w.changed.Wait()
	}
	return w.err
}

// Close waits until all is written. Its error is that of the reader.
func (w *patientWriter) Close() error {
	w.mu.Lock()
	w.closed = true
	w.changed.Broadcast()
	w.mu.Unlock()
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file != nil {
		return errors.Join(w.err, w.file.Close())
	}
	return w.err
}
