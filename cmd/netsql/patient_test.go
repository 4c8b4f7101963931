package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// What is written for a reader that looks at the first page and nothing else does not wait for it, and all of it is there when it goes on.
func TestPatientWriterDoesNotWaitForAPager(t *testing.T) {
	t.Parallel()
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w := newPatientWriter(out, 10*time.Millisecond)
	var want bytes.Buffer
	line := bytes.Repeat([]byte("0123456789abcde\n"), 64)
	for i := range 5 << 10 { // 5 MB; nobody reads yet
		line[0] = byte(i)
		want.Write(line)
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if w.file == nil {
		t.Error("all of it is in memory")
	}
	closed := make(chan error, 1)
	go func() {
		closed <- errors.Join(w.Close(), out.Close())
	}()
	got, err := io.ReadAll(r)
	if err := errors.Join(err, <-closed); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes of %d came, or others", len(got), want.Len())
	}
}

// A slow reader is waited for: what it reads is not put down in a file.
func TestPatientWriterWaitsForWhoReads(t *testing.T) {
	t.Parallel()
	r, out := io.Pipe()
	w := newPatientWriter(out, time.Hour)
	done := make(chan int, 1)
	go func() {
		n, _ := io.Copy(io.Discard, r)
		done <- int(n)
	}()
	part := make([]byte, 100_000)
	for range 100 {
		if _, err := w.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if w.file != nil {
		t.Error("it went into a file")
	}
	if err := errors.Join(w.Close(), out.Close()); err != nil {
		t.Fatal(err)
	}
	if n := <-done; n != 100*len(part) {
		t.Errorf("%d bytes came", n)
	}
}

// A reader that has gone is told of.
func TestPatientWriterTellsOfAReaderThatIsGone(t *testing.T) {
	t.Parallel()
	r, out := io.Pipe()
	gone := errors.New("gone")
	r.CloseWithError(gone)
	w := newPatientWriter(out, time.Hour)
	var err error
	for range 100 {
		if _, err = w.Write(make([]byte, 100_000)); err != nil {
			break
		}
	}
	if !errors.Is(err, gone) || !errors.Is(w.Close(), gone) {
		t.Errorf("%v", err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// The prompt is drawn after drain: what was printed before has reached the terminal then, and is not only on its way.
func TestPatientWriterDrainsToTheReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		came := 0
		w := newPatientWriter(writerFunc(func(p []byte) (int, error) {
			time.Sleep(time.Second) // of the bubble
			came += len(p)
			return len(p), nil
		}), time.Hour)
		if _, err := w.Write(make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the first part is being written
		if err := w.drain(t.Context()); err != nil || came != 100_000 {
			t.Errorf("%d bytes came, %v", came, err)
		}

		// Who gives up waits no longer.
		if _, err := w.Write(make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := w.drain(ctx); err != nil || time.Since(began) != time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := w.Close(); err != nil || came != 100_000+64<<10 {
			t.Errorf("%d bytes came, %v", came, err)
		}
	})
}
