package tools

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// user is the name of who runs the process. lsof writes a number eight wide.
func (o lsofOptions) user(m *Moment, p lsofProcess) string {
	switch {
	case p.UID < 0:
		return "-"
	case o.numericUsers:
		return fmt.Sprintf("%8d", p.UID)
	case p.User != "":
		return p.User
	}
	if name := m.Names.User(p.UID); name != strconv.FormatInt(p.UID, 10) {
		return name
	}
	return fmt.Sprintf("%8d", p.UID)
}

// shows tells whether -T wants a kind of information: s for states, q for queues. Without -T states are shown, and -F has both.
func (o lsofOptions) shows(letter string) bool {
	if o.info == "" {
		return letter == "s" || o.fields != ""
	}
	return strings.Contains(o.info, letter)
}

// lsofEscaped is a text with what cannot be printed as lsof writes it.
func lsofEscaped(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r > 0x7f && r != utf8.RuneError && unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, c := range []byte(string(r)) { // what is no UTF-8 was made so when it was recorded
			out.WriteString(lsofByte(c))
		}
	}
	return out.String()
}

func lsofByte(c byte) string {
	switch {
	case c >= 0x7f:
		return fmt.Sprintf(`\x%02x`, c)
	case c < ' ':
		return cmp.Or(map[byte]string{'\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}[c], "^"+string(rune(c+'@')))
	}
	return string(rune(c))
}

// lsofCommandColumn is the name of a program in the column, in which a blank and each byte beyond ASCII is escaped, in at most so many bytes.
func lsofCommandColumn(comm string, most int) string {
	var out strings.Builder
	for _, c := range []byte(comm) {
		piece := lsofByte(c)
		if c == ' ' {
			piece = `\x20`
		}
		if out.Len()+len(piece) > most {
			break
		}
		out.WriteString(piece)
	}
	return out.String()
}

// lsofWidth is the width that lsof reckons with: of a byte beyond ASCII 2, though it writes 4.
func lsofWidth(text string) (n int) {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ' || c > 0x7f:
			n += 2
		case c == ' ' || c == 0x7f:
			n += 4
		default:
			n++
		}
	}
	return n
}

// table prints the columns, each as wide as its widest text.
func (o lsofOptions) table(m *Moment, files []*lsofFile, w io.Writer) {
	size, sizeText := "SIZE/OFF", "0t0"
	switch {
	case o.size:
		size, sizeText = "SIZE", ""
	case o.offset:
		size = "OFFSET"
	}
	lines := [][]string{{"COMMAND", "PID", "PPID", "USER", "FD", "TYPE", "DEVICE", size, "NODE", "NAME"}}
	command := len("COMMAND")
	for _, f := range files {
		width := lsofWidth(f.Comm)
		if o.width > 0 {
			width = min(width, o.width)
		}
		command = max(command, width)
		ppid := "-"
		if f.process.PPID >= 0 {
			ppid = strconv.FormatInt(f.process.PPID, 10)
		}
		fd := fmt.Sprintf("%4d", f.FD)
		if f.FD > 9999 {
			fd = fmt.Sprintf("*%03d", f.FD%1000)
		}
		pid, user := strconv.FormatInt(f.PID, 10), o.user(m, f.process)
		lines = append(lines, []string{f.Comm, pid, ppid, user, fd, f.kind, f.device, sizeText, f.node, o.nameColumn(f)})
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, text := range line {
			widths[i] = max(widths[i], len(text))
		}
	}
	for i, line := range lines {
		name := line[0]
		if i > 0 {
			name = lsofCommandColumn(name, command)
		}
		fmt.Fprintf(w, "%-*s %*s", command, name, widths[1], line[1])
		if o.parents {
			fmt.Fprintf(w, " %*s", widths[2], line[2])
		}
		mode := "u" // every socket is open for reading and writing
		if i == 0 {
			mode = " "
		}
		fmt.Fprintf(w, " %*s %4s%s  %*s %*s %*s %*s %s\n",
			widths[3], line[3], line[4], mode, widths[5], line[5], widths[6], line[6], widths[7], line[7], widths[8], line[8], line[9])
	}
}

// nameColumn is the name with what -T shows of it in brackets.
func (o lsofOptions) nameColumn(f *lsofFile) string {
	name := lsofEscaped(f.name)
	if !f.listed && f.state == "" || !o.shows("s") && !o.shows("q") {
		return name
	}
	var parts []string
	if o.shows("s") && f.state != "" {
		parts = append(parts, f.state)
	}
	if o.shows("q") && f.listed {
		parts = append(parts, fmt.Sprintf("QR=%d", f.RecvQ), fmt.Sprintf("QS=%d", f.SendQ))
	}
	if len(parts) == 0 {
		return name + " "
	}
	return name + " (" + strings.Join(parts, " ") + ")"
}

const lsofFields = "acCdDfFgGiKklLmMnNopPrRsStTuz0"

// fieldLines prints a line for each field, those of a process before those of its files. What is not recorded is left out.
func (o lsofOptions) fieldLines(m *Moment, files []*lsofFile, w io.Writer) error {
	wanted, end := strings.TrimPrefix(o.fields, lsofNothing), "\n"
	for _, letter := range wanted {
		if !strings.ContainsRune(lsofFields, letter) {
			return usagef("lsof -F%c: there is no such field; they are %s", letter, lsofFields)
		}
	}
	if strings.Contains(wanted, "0") {
		end, wanted = "\x00", strings.ReplaceAll(wanted, "0", "")
	}
	all := wanted == ""
	some := false
	field := func(letter, text string) {
		if all || letter == "p" || strings.Contains(wanted, letter) {
			fmt.Fprint(w, letter, text, end)
			some = true
		}
	}
	set := func() { // ends one
		if end == "\x00" && some {
			fmt.Fprintln(w)
		}
		some = false
	}
	last := int64(0)
	for _, f := range files {
		if f.PID != last {
			field("p", strconv.FormatInt(f.PID, 10))
			if f.process.PPID >= 0 {
				field("R", strconv.FormatInt(f.process.PPID, 10))
			}
			field("c", lsofEscaped(f.Comm))
			if f.process.UID >= 0 {
				field("u", strconv.FormatInt(f.process.UID, 10))
				if !o.numericUsers {
					field("L", strings.TrimSpace(o.user(m, f.process)))
				}
			}
			set()
			last = f.PID
		}
		field("f", strconv.FormatInt(f.FD, 10))
		field("a", "u")
		field("l", " ")
		field("t", f.kind)
		if f.device != "-" && f.device != "" {
			field("d", f.device)
		}
		field("o", "0t0")
		if f.listed || f.lsofSocket.Proto == "packet" {
			field("P", f.node)
		} else {
			field("i", f.node)
		}
		field("n", lsofEscaped(f.name))
		if f.state != "" && o.shows("s") {
			field("T", "ST="+f.state)
		}
		if f.listed && o.shows("q") {
			field("T", fmt.Sprintf("QR=%d", f.RecvQ))
			field("T", fmt.Sprintf("QS=%d", f.SendQ))
		}
		set()
	}
	return nil
}
