package recorder

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A messageBatch reads several messages of a netlink socket with one system call, recvmmsg(2).
type messageBatch struct {
	buf     []byte
	headers [batchMost]mmsghdr
	vectors [batchMost]unix.Iovec
	most    int
}

var messageBatches = sync.Pool{New: func() any { return new(messageBatch) }}

const (
	batchMost = 32
	// batchMessage is how long a message may be; one of a closed socket has some 500 bytes.
	batchMessage = 2 << 10
)

// mmsghdr is struct mmsghdr (sys/socket.h).
type mmsghdr struct {
	unix.Msghdr
	size uint32
}

// into says where messages are to go.
func (b *messageBatch) into(buf []byte) {
	if len(b.buf) > 0 && &b.buf[0] == &buf[0] && len(b.buf) == len(buf) {
		return
	}
	b.buf, b.most = buf, min(len(buf)/batchMessage, batchMost)
	for i := range b.most {
		b.vectors[i].Base = &buf[i*batchMessage]
		b.vectors[i].SetLen(batchMessage)
		b.headers[i].Iov = &b.vectors[i]
		b.headers[i].SetIovlen(1)
	}
}

// receive reads what is there, and does not wait. It returns how many messages there are, one at least.
func (b *messageBatch) receive(fd int) (int, error) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers)), uintptr(b.most), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// message is one of those that receive read; whole: it was not too long.
func (b *messageBatch) message(i int) (message []byte, whole bool) {
	h := &b.headers[i]
	size := min(int(h.size), batchMessage)
	return b.buf[i*batchMessage : i*batchMessage+size], h.Flags&unix.MSG_TRUNC == 0
}
