package tools

import "io"

// The columns of the text of ss.
type ssField int

const (
	ssNetidField ssField = iota
	ssStateField
	ssRecvQField
	ssSendQField
	ssLocalField
	ssLocalPortField
	ssRemoteField
	ssRemotePortField
	ssExtraField
	ssLastField // which is always empty
	ssFields
)

var (
	ssHeadings = [ssFields]string{"Netid", "State", "Recv-Q", "Send-Q", "Local Address:", "Port", "Peer Address:", "Port", "Process", ""}
	ssBefore   = [ssFields]string{"", " ", " ", " ", " ", "", " ", "", "", ""} // what parts a column from the one before
	ssToRight  = [ssFields]bool{ssLocalField: true, ssRemoteField: true}
)

// ss writes into chunks of memory, and shows what it has when they are full: the widths of the columns are those of the text until there.
const (
	ssChunk     = 1<<20 - 16
	ssMostChunk = 5
)

// An ssTable is the text of ss, of which the columns are as wide as their widest text.
type ssTable struct {
	w        io.Writer
	disabled [ssFields]bool
	widest   [ssFields]int

	b      []byte // the text of all fields
	out    []byte // lines that are written next
	ends   []int  // where each ends in it
	field  ssField
	chunks int
	used   int // of the last chunk
	err    error
}

// at goes on to a field, of the next line where it stands before this one.
func (t *ssTable) at(field ssField) *ssTable {
	for t.field != field {
		t.next()
	}
	return t
}

func (t *ssTable) text(s string) {
	if !t.disabled[t.field] {
		t.b = append(t.b, s...)
	}
}

// next ends a field. When the chunks are full at the end of a line, what is there is shown.
func (t *ssTable) next() {
	last := t.field == ssLastField
	full := last && t.chunks >= ssMostChunk
	if !t.disabled[t.field] {
		t.end()
		if !full {
			t.widest[t.field] = max(t.widest[t.field], t.length())
		}
	}
	t.field++
	if last {
		t.field = 0
	}
	if full {
		t.render()
	}
}

// end ends the text of a field, and counts it as ss does: a field takes two bytes more, and an even place.
func (t *ssTable) end() {
	t.ends = append(t.ends, len(t.b))
	length := t.length()
	if t.chunks == 0 {
		t.chunks, t.used = 1, 2
	}
	if length > 0 && t.used+length >= ssChunk {
		t.chunks++
		t.used = 2
	}
	t.used += length + length%2 + 2
	if t.used > ssChunk {
		t.chunks++
		t.used = 2
	}
}

// length is that of the last field.
func (t *ssTable) length() int {
	n := len(t.ends)
	if n == 1 {
		return t.ends[0]
	}
	return t.ends[n-1] - t.ends[n-2]
}

// show shows what there is. As in ss, the last text of all does not widen its column.
func (t *ssTable) show() error {
	if t.chunks > 0 {
		t.end()
		t.render()
		t.field = 0
	}
	return t.err
}

// render writes the lines.
func (t *ssTable) render() {
	var width [ssFields]int
	first := true
	for i, most := range t.widest {
		if t.disabled[i] || most == 0 {
			continue
		}
		width[i] = most
		if !first {
			width[i] += len(ssBefore[i])
		}
		first = false
	}
	out := t.out[:0]
	begin, field := 0, ssField(0)
	started := false
	for _, end := range t.ends {
		for t.disabled[field] {
			field++
		}
		printed := 0
		if started {
			out = append(out, ssBefore[field]...)
			printed = len(ssBefore[field])
		}
		started = true
		pad := width[field] - printed - (end - begin)
		if ssToRight[field] {
			out = blanks(out, pad)
		}
		out = append(out, t.b[begin:end]...)
		if !ssToRight[field] {
			out = blanks(out, pad)
		}
		begin = end
		if field++; field == ssFields {
			out = append(out, '\n')
			field, started = 0, false
			if len(out) >= ssPart {
				out = t.write(out)
			}
		}
	}
	if started {
		out = append(out, '\n')
	}
	t.out = t.write(out)
	t.b, t.ends, t.chunks = t.b[:0], t.ends[:0], 0
}

// ssPart is how much is written at once.
const ssPart = 1 << 16

func (t *ssTable) write(out []byte) []byte {
	if t.err == nil {
		_, t.err = t.w.Write(out)
	}
	return out[:0]
}

func blanks(b []byte, n int) []byte {
	const some = "                                                                "
	for ; n > len(some); n -= len(some) {
		b = append(b, some...)
	}
	if n > 0 {
		b = append(b, some[:n]...)
	}
	return b
}
