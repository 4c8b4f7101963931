package recorder

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

// Each message is read by itself, and one that is too long is told. What does not fit comes with the next call.
func TestMessageBatch(t *testing.T) {
	t.Parallel()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	var b messageBatch
	for _, room := range []int{4 * batchMessage, 2*batchMessage + 1} {
		b.into(make([]byte, room))
		if n, err := b.receive(fds[1]); n != 0 || err != unix.EAGAIN {
			t.Errorf("nothing is there: %d, %v", n, err)
		}
		sizes := []int{10, batchMessage + 1, batchMessage, 1}
		for i, size := range sizes {
			if err := unix.Send(fds[0], bytes.Repeat([]byte{byte(i + 1)}, size), 0); err != nil {
				t.Fatal(err)
			}
		}
		got := 0
		for got < len(sizes) {
			n, err := b.receive(fds[1])
			if err != nil || n != min(len(sizes)-got, room/batchMessage) {
				t.Fatalf("%d messages: %v", n, err)
			}
			for i := range n {
				size := sizes[got]
				got++
				message, whole := b.message(i)
				if want := bytes.Repeat([]byte{byte(got)}, min(size, batchMessage)); !bytes.Equal(message, want) || whole != (size <= batchMessage) {
					t.Errorf("message %d: %d bytes, whole %v", got, len(message), whole)
				}
			}
		}
	}
}
