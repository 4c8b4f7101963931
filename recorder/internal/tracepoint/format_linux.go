package tracepoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Format says where the parts of an event are in its raw data, as events/GROUP/NAME/format of tracefs has it.
type Format struct {
	ID      int
	fields  map[string]field
	symbols map[string]map[uint32]string // by field
}

type field struct{ offset, size int }

// Offset is where a field begins. The error says that this kernel's event has none of that name and size.
func (f *Format) Offset(name string, size int) (int, error) {
	at, ok := f.fields[name]
	if !ok || at.size != size {
		return 0, fmt.Errorf("the event has no %s of %d bytes", name, size)
	}
	return at.offset, nil
}

// Symbols are the names that this kernel has for the values of a field; nil where it says none.
func (f *Format) Symbols(name string) map[uint32]string { return f.symbols[name] }

// addSymbols reads __print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, …) of the line that says how the event is printed.
func (f *Format) addSymbols(line string) {
	for {
		_, rest, ok := strings.Cut(line, "__print_symbolic(REC->")
		if !ok {
			return
		}
		name, list, ok := strings.Cut(rest, ",")
		if !ok {
			return
		}
		line = list
		names := map[uint32]string{}
		for {
			text, ok := strings.CutPrefix(strings.TrimLeft(list, " ,"), "{")
			if !ok {
				break
			}
			pair, after, ok := strings.Cut(text, "}")
			if !ok {
				break
			}
			value, quoted, _ := strings.Cut(pair, ",")
			n, err := strconv.ParseUint(strings.TrimSpace(value), 0, 32)
			word, uerr := strconv.Unquote(strings.TrimSpace(quoted))
			if err == nil && uerr == nil {
				names[uint32(n)] = word
			}
			list = after
		}
		f.symbols[strings.TrimSpace(name)] = names
	}
}

// parseFormat reads lines such as "field:__u16 sport;	offset:24;	size:2;	signed:0;".
func parseFormat(r io.Reader) (Format, error) {
	f := Format{fields: map[string]field{}, symbols: map[string]map[uint32]string{}}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if text, ok := strings.CutPrefix(line, "ID:"); ok {
			id, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil || id <= 0 {
				return Format{}, fmt.Errorf("an event with the number %q", text)
			}
			f.ID = id
			continue
		}
		if strings.HasPrefix(line, "print fmt:") {
			f.addSymbols(line)
		}
		if !strings.HasPrefix(line, "field:") {
			continue
		}
		var name string
		at := field{-1, -1}
		for part := range strings.SplitSeq(line, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(part), ":")
			n, err := strconv.Atoi(value)
			switch {
			case key == "field":
				name = value[strings.LastIndexByte(value, ' ')+1:]
				name, _, _ = strings.Cut(name, "[")
			case key == "offset" && err == nil:
				at.offset = n
			case key == "size" && err == nil:
				at.size = n
			}
		}
		if name == "" || at.offset < 0 || at.size < 0 || at.offset > maxRaw || at.size > maxRaw {
			return Format{}, fmt.Errorf("a field that makes no sense: %q", line)
		}
		f.fields[name] = at
	}
	if err := lines.Err(); err != nil {
		return Format{}, err
	}
	if f.ID == 0 {
		return Format{}, errors.New("an event without a number")
	}
	return f, nil
}

// maxRaw is how long the raw data of an event can be: a record says its length in 16 bits.
const maxRaw = 1<<16 - 1

// A Filesystem is tracefs, mounted for everybody or for this program alone.
type Filesystem struct{ root *os.File }

// OpenFilesystem opens tracefs where it is mounted, or else mounts it where nobody else can see it (fsmount(2), Linux 5.2).
func OpenFilesystem() (*Filesystem, error) {
	for _, path := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		var info unix.Statfs_t
		if unix.Statfs(path, &info) == nil && info.Type == unix.TRACEFS_MAGIC {
			root, err := os.Open(path)
			if err == nil {
				return &Filesystem{root}, nil
			}
		}
	}
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("mount tracefs: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("mount tracefs: %w", err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, fmt.Errorf("mount tracefs: %w", err)
	}
	return &Filesystem{os.NewFile(uintptr(fd), "tracefs")}, nil
}

// Format reads the format of an event.
func (fs *Filesystem) Format(group, name string) (Format, error) {
	path := "events/" + group + "/" + name + "/format"
	fd, err := unix.Openat(int(fs.root.Fd()), path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Format{}, fmt.Errorf("tracepoint %s:%s: %w", group, name, err)
	}
	file := os.NewFile(uintptr(fd), path)
	defer file.Close()
	f, err := parseFormat(file)
	if err != nil {
		return Format{}, fmt.Errorf("tracepoint %s:%s: %w", group, name, err)
	}
	return f, nil
}

// Close unmounts what OpenFilesystem mounted.
func (fs *Filesystem) Close() error { return fs.root.Close() }
