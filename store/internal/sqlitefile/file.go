// Package sqlitefile reads the rows of an SQLite file from its bytes (https://sqlite.org/fileformat2.html), also where
// SQLite itself gives up.
//
// It knows nothing of recordings. It trusts nothing that it reads: a page, a cell or a row that does not add up is treated
// as lost.
package sqlitefile

import (
	"encoding/binary"
	"io"
	"math"
	"os"
)

// A File is an SQLite file that is read page by page. SQLite gives up at the first page that it does not like; a File skips
// that page.
//
// sqlite3_recover could do the same, but it is not in the driver, and the sqlite3 of Debian 12 has no .recover either.
// Neither uses the pointer map of an auto-pointerMap file, which names the parent of every page. With it, a row is still
// known to be of its table when the pages between the root and the row are destroyed.
type File struct {
	file, wal  io.ReaderAt // wal is nil when there is none
	size       int         // of a page, in bytes
	usable     int         // of these
	count      uint32      // pages
	pointerMap bool        // the file has pages that give the kind and the parent of the others
	magic      bool        // the first page begins as an SQLite file does
	header     [100]byte
	frames     map[uint32]int64  // where in the -wal file the newest committed version of a page is
	cutWAL     int64             // frames of the -wal file from the first damaged one to the last that is known to have been committed
	maps       map[uint32][]byte // pages of the pointer map that were read
}

// The kinds of nodes of a tree.
const (
	indexInterior = 2
	tableInterior = 5
	indexLeaf     = 10
	tableLeaf     = 13
)

// The kinds of pages in the pointer map.
const (
	pageUnknown = 0
	pageRoot    = 1
	pageFree    = 2
	pageOther   = 4 // the largest of overflow pages
	pageNode    = 5
)

// Open opens the file, and the -wal file if there is one. The caller calls closeAll when done.
func Open(path string) (f *File, closeAll func(), err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	closeAll = func() { file.Close() }
	info, err := file.Stat()
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	if wal, err := os.Open(path + "-wal"); err == nil {
		if walInfo, err := wal.Stat(); err == nil {
			return New(file, info.Size(), wal, walInfo.Size()), func() { file.Close(); wal.Close() }, nil
		}
		wal.Close()
	}
	return New(file, info.Size(), nil, 0), closeAll, nil
}

// New reads a file of that size, with a -wal file of walSize bytes; wal is nil when there is none.
func New(file io.ReaderAt, size int64, wal io.ReaderAt, walSize int64) *File {
	f := &File{file: file, wal: wal, frames: map[uint32]int64{}, maps: map[uint32][]byte{}}
	readFull(file, f.header[:], 0)
	f.findSize(size)
	f.count = uint32(min((size+int64(f.size)-1)/int64(f.size), math.MaxUint32-1))
	f.readWAL(walSize)
	if where, ok := f.frames[1]; ok {
		readFull(wal, f.header[:], where)
	}
	f.magic = string(f.header[:16]) == "SQLite format 3\x00"
	f.usable = f.size
	if string(f.header[21:24]) == "\x40\x20\x20" { // these never vary, so the byte before them is what it was
		f.usable -= int(f.header[20])
	}
	f.pointerMap = !f.magic || binary.BigEndian.Uint32(f.header[52:]) != 0
	return f
}

// PageSize is the size of a page, in bytes.
func (f *File) PageSize() int { return f.size }

// Pages is the number of pages.
func (f *File) Pages() uint32 { return f.count }

// HasHeader reports whether the file begins as an SQLite file does. If not, what the header says is damage.
func (f *File) HasHeader() bool { return f.magic }

// HasPointerMap reports whether the file says of each page what its kind and its parent are.
func (f *File) HasPointerMap() bool { return f.pointerMap }

// ApplicationID is PRAGMA application_id, and UserVersion is PRAGMA user_version.
func (f *File) ApplicationID() int64 { return int64(binary.BigEndian.Uint32(f.header[68:])) }
func (f *File) UserVersion() int64   { return int64(binary.BigEndian.Uint32(f.header[60:])) }

// LostWAL is how many pages of the -wal file are lost, because it is damaged.
func (f *File) LostWAL() int64 { return f.cutWAL }

// Readable reports whether the page can be read as a node of a tree.
func (f *File) Readable(n uint32) bool {
	_, ok := f.node(n)
	return ok
}

// readFull reads what there is, and zeros for the rest: a disk that fails has pages that cannot be read, too.
func readFull(from io.ReaderAt, b []byte, at int64) {
	n, _ := from.ReadAt(b, at)
	clear(b[n:])
}

// findSize finds out how large a page is: what the head says, if the pages bear it out, else the size at which most begin
// as pages do.
func (f *File) findSize(bytes int64) {
	said := int(binary.BigEndian.Uint16(f.header[16:]))
	if said == 1 {
		said = 65536
	}
	best := 0
	for _, size := range []int{said, 4096, 1024, 2048, 8192, 16384, 32768, 65536, 512} {
		if size < 512 || size > 65536 || size&(size-1) != 0 {
			continue
		}
		f.size, f.usable = size, size
		f.count = uint32(min(bytes/int64(size)+1, math.MaxUint32-1))
		if good := f.plausible(); good > best {
			best = good
			said = size
		}
	}
	if best == 0 {
		said = 4096
	}
	f.size, f.usable = said, said
}

// plausible counts, of up to 256 places at which a page would begin, those that look like one and are filled from the end.
func (f *File) plausible() int {
	good := 0
	for i := range uint32(256) {
		n := 2 + i*max(1, f.count/256)
		if n > f.count {
			break
		}
		node, ok := f.node(n)
		if !ok {
			continue
		}
		last := 0
		for c := range node.count {
			last = max(last, node.offset(c))
		}
		if last >= f.size/2 && last < f.size {
			good++
		}
	}
	return good
}

// readWAL finds the newest committed version of each page in the -wal file, up to the first frame that is damaged, as
// SQLite does.
func (f *File) readWAL(size int64) {
	if f.wal == nil || size < 32 {
		return
	}
	var head [32]byte
	readFull(f.wal, head[:], 0)
	magic := binary.BigEndian.Uint32(head[:])
	var order binary.ByteOrder = binary.LittleEndian
	if magic&1 == 1 {
		order = binary.BigEndian
	}
	a, b := walChecksum(order, 0, 0, head[:24])
	if magic&^1 != 0x377f0682 || int(binary.BigEndian.Uint32(head[8:])) != f.size ||
		a != binary.BigEndian.Uint32(head[24:]) || b != binary.BigEndian.Uint32(head[28:]) {
		f.cutWAL = (size - 32) / int64(24+f.size)
		return
	}
	frame := make([]byte, 24+f.size)
	staged := map[uint32]int64{}
	var bad int64 // frames since the last good one
	for at := int64(32); at+int64(len(frame)) <= size; at += int64(len(frame)) {
		readFull(f.wal, frame, at)
		ours := string(frame[8:16]) == string(head[16:24])
		if bad == 0 && ours {
			a, b = walChecksum(order, a, b, frame[:8])
			a, b = walChecksum(order, a, b, frame[24:])
		}
		// Behind the last commit may stand frames of an earlier round, which are of other salts, and of transactions that were never finished:
		// without the mark of a commit. Where there is such a mark, or nothing but zeros, something is lost.
		if bad > 0 || !ours || a != binary.BigEndian.Uint32(frame[16:]) || b != binary.BigEndian.Uint32(frame[20:]) {
			if bad++; ours && binary.BigEndian.Uint32(frame[4:]) > 0 || string(frame[:16]) == string(make([]byte, 16)) {
				f.cutWAL = bad
			}
			continue
		}
		staged[binary.BigEndian.Uint32(frame)] = at + 24
		if size := binary.BigEndian.Uint32(frame[4:]); size > 0 { // it commits
			for n, where := range staged {
				f.frames[n] = where
			}
			clear(staged)
			f.count = size
		}
	}
}

func walChecksum(order binary.ByteOrder, a, b uint32, data []byte) (uint32, uint32) {
	for ; len(data) >= 8; data = data[8:] {
		a += order.Uint32(data) + b
		b += order.Uint32(data[4:]) + a
	}
	return a, b
}

// read returns the page; what cannot be read of it is zeros.
func (f *File) read(n uint32) []byte {
	page := make([]byte, f.size)
	if where, ok := f.frames[n]; ok {
		readFull(f.wal, page, where)
	} else {
		readFull(f.file, page, int64(n-1)*int64(f.size))
	}
	return page
}

// pointer is what the pointer map says of a page: its kind and its parent.
func (f *File) pointer(n uint32) (kind byte, parent uint32) {
	if !f.pointerMap || n < 3 {
		return pageUnknown, 0
	}
	at := f.mapOf(n)
	if at == n {
		return pageOther, 0
	}
	page := f.maps[at]
	if page == nil {
		if len(f.maps) > 64 {
			clear(f.maps)
		}
		page = f.read(at)
		f.maps[at] = page
	}
	entry := 5 * int(n-at-1)
	if entry+5 > f.usable {
		return pageUnknown, 0
	}
	kind, parent = page[entry], binary.BigEndian.Uint32(page[entry+1:])
	switch {
	case kind == pageRoot || kind == pageFree:
		if parent != 0 {
			return pageUnknown, 0
		}
	case kind < pageRoot || kind > pageNode || parent == 0 || parent > f.count:
		return pageUnknown, 0
	}
	return kind, parent
}

// IsRoot reports whether the pointer map says that a tree begins at that page.
func (f *File) IsRoot(n uint32) bool {
	kind, _ := f.pointer(n)
	return kind == pageRoot
}

// Roots counts the roots of trees in the pointer map, except that of the schema. They are the first pages of the file.
func (f *File) Roots() int {
	found := 0
	for n := uint32(3); n <= f.count; n++ {
		if kind, _ := f.pointer(n); kind == pageRoot {
			found++
		} else if kind != pageUnknown && found > 0 && kind != pageOther {
			break
		}
	}
	return found
}

// mapOf is the page of the pointer map that has the entry of page n.
func (f *File) mapOf(n uint32) uint32 {
	group := uint32(f.usable/5 + 1)
	at := (n-2)/group*group + 2
	if at == 0x40000000/uint32(f.size)+1 { // the page that holds locks
		at++
	}
	return at
}

// A node is a page of a tree.
type node struct {
	number uint32
	kind   byte
	page   []byte
	cells  int // where the list of its cells begins
	count  int
	right  uint32 // the last child of an interior one
}

func (f *File) node(n uint32) (node, bool) {
	if n == 0 || n > f.count {
		return node{}, false
	}
	page := f.read(n)
	base := 0
	if n == 1 {
		base = 100
	}
	d := node{number: n, kind: page[base], page: page, count: int(binary.BigEndian.Uint16(page[base+3:])), cells: base + 8}
	switch d.kind {
	case tableLeaf, indexLeaf:
	case tableInterior, indexInterior:
		d.right = binary.BigEndian.Uint32(page[base+8:])
		d.cells += 4
	default:
		return node{}, false
	}
	return d, d.cells+2*d.count <= f.usable
}

func (d *node) leaf() bool { return d.kind == tableLeaf || d.kind == indexLeaf }
func (d *node) index() bool {
	return d.kind == indexInterior || d.kind == indexLeaf
}

// offset is where cell i begins.
func (d *node) offset(i int) int { return int(binary.BigEndian.Uint16(d.page[d.cells+2*i:])) }

// A cell is a row, the way to a child, or, in the interior of an index, both.
type cell struct {
	child uint32
	rowid int64
	row   []any // nil: there is none, or it cannot be read
}

// cell reads cell i. Of an interior node the last but one child is that of the last cell; the last is right.
func (f *File) cell(d *node, i int) (c cell, ok bool) {
	at := d.offset(i)
	if at < d.cells+2*d.count || at+4 > f.usable {
		return c, false
	}
	b := d.page[at:f.usable]
	if !d.leaf() {
		c.child = binary.BigEndian.Uint32(b)
		b = b[4:]
	}
	if d.kind == tableInterior {
		key, n := varint(b)
		c.rowid = int64(key)
		return c, n > 0
	}
	size, n := varint(b)
	if n == 0 || size > 4<<20 {
		return c, false
	}
	b = b[n:]
	most := (f.usable-12)*64/255 - 23
	if d.kind == tableLeaf {
		key, n := varint(b)
		if n == 0 {
			return c, false
		}
		c.rowid, b, most = int64(key), b[n:], f.usable-35
	}
	payload, ok := f.payload(b, int(size), most)
	if !ok {
		return c, false
	}
	c.row = record(payload)
	return c, c.row != nil
}

// payload gathers what does not fit into the page.
func (f *File) payload(b []byte, size, most int) ([]byte, bool) {
	local := size
	if size > most {
		least := (f.usable-12)*32/255 - 23
		if local = least + (size-least)%(f.usable-4); local > most {
			local = least
		}
	}
	if local > len(b) || size > local && local+4 > len(b) {
		return nil, false
	}
	payload := b[:local:local]
	if size == local {
		return payload, true
	}
	next := binary.BigEndian.Uint32(b[local:])
	for len(payload) < size {
		if next < 2 || next > f.count {
			return nil, false
		}
		page := f.read(next)
		next = binary.BigEndian.Uint32(page)
		payload = append(payload, page[4:4+min(size-len(payload), f.usable-4)]...)
	}
	return payload, next == 0
}

// varint reads a number of one to nine bytes; n is 0 when b is too short.
func varint(b []byte) (v uint64, n int) {
	for n < 8 {
		if n >= len(b) {
			return 0, 0
		}
		v = v<<7 | uint64(b[n]&0x7f)
		n++
		if b[n-1] < 0x80 {
			return v, n
		}
	}
	if n >= len(b) {
		return 0, 0
	}
	return v<<8 | uint64(b[n]), 9
}

// record decodes a row: int64, float64, string and nil, as our tables have them. It is nil when the row is none.
func record(b []byte) []any {
	size, n := varint(b)
	if n == 0 || size > uint64(len(b)) || int(size) < n {
		return nil
	}
	head, body := b[n:size], b[size:]
	row := []any{}
	for len(head) > 0 {
		kind, n := varint(head)
		if n == 0 {
			return nil
		}
		head = head[n:]
		var width int
		switch {
		case kind <= 4:
			width = int(kind)
		case kind == 5:
			width = 6
		case kind <= 7:
			width = 8
		case kind <= 9:
		case kind >= 13 && kind&1 == 1 && (kind-13)/2 <= uint64(len(body)):
			width = int(kind-13) / 2
		default:
			return nil // blobs are in none of our tables
		}
		if width > len(body) {
			return nil
		}
		value := body[:width]
		body = body[width:]
		switch {
		case kind == 0:
			row = append(row, nil)
		case kind == 7:
			row = append(row, math.Float64frombits(binary.BigEndian.Uint64(value)))
		case kind == 8 || kind == 9:
			row = append(row, int64(kind-8))
		case kind < 7:
			v := int64(int8(value[0]))
			for _, next := range value[1:] {
				v = v<<8 | int64(next)
			}
			row = append(row, v)
		default:
			row = append(row, string(value))
		}
	}
	if len(body) > 0 {
		return nil
	}
	return row
}
