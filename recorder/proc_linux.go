package recorder

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// A procFile reads small files of /proc into memory that it uses again: hundreds of them
// in a sample, and os.ReadFile makes garbage of a kilobyte for each.
type procFile struct{ buf []byte }

// read returns what is in the file, until the next read.
func (p *procFile) read(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if p.buf == nil {
		p.buf = make([]byte, 16<<10)
	}
	for n := 0; ; {
		if n == len(p.buf) {
			p.buf = append(p.buf, make([]byte, len(p.buf))...)
		}
		got, err := unix.Read(fd, p.buf[n:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case got == 0:
			return p.buf[:n], nil
		default:
			n += got
		}
	}
}

// sysctl returns what is in a file of /proc/sys, until the next read. The kernel gives all of it at once, and makes room
// for as much as is asked for: so it is one short read, and another only of what is longer.
func (p *procFile) sysctl(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	for room := shortSysctl; ; room *= 2 {
		if len(p.buf) < room {
			p.buf = make([]byte, max(room, 16<<10))
		}
		n, err := unix.Pread(fd, p.buf[:room], 0)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case n < room:
			return p.buf[:n], nil
		}
	}
}

// shortSysctl is longer than all but the longest.
const shortSysctl = 256

// nextField cuts the first word off b; it is empty when there is none.
func nextField(b []byte) (word, rest []byte) {
	start := 0
	for start < len(b) && (b[start] == ' ' || b[start] == '\t') {
		start++
	}
	end := start
	for end < len(b) && b[end] != ' ' && b[end] != '\t' {
		end++
	}
	return b[start:end], b[end:]
}

// nextLine cuts the first line off b.
func nextLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte{'\n'})
	return line, rest
}
