package ask

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"netsql/query"
)

// What may become of an answer, besides that it is no answer.
var (
	errEnds        = errors.New("it ends too early")
	errTooMuch     = errors.New("it is too long")
	errNoProgram   = errors.New("no netsql")
	errNoRecording = errors.New("no recording")
)

// parsed is what the script said, as far as it came.
type parsed struct {
	began       bool   // the script runs
	noise       string // what came before, the first line
	answering   bool   // netsql was started
	version     string
	zoneUnknown bool
	older       bool // it does not know the flags of this one
	lossy       bool // it came as JSON
	fresh       fresh
	columns     []string
	rows        [][]any
	code        int // of netsql
}

// noise is how much a login may print before the script begins.
const noise = 64 << 10

// parse reads what a host sends: what its login prints, then lines with the mark, between which rows stand. most limits what the rows take; 0: nothing
// does. What was read before an error is there.
func parse(in io.Reader, mark string, most int64) (p parsed, err error) {
	r := &reader{in: bufio.NewReaderSize(in, 32<<10), mark: mark, most: most}
	if p.noise, err = r.skipNoise(); err != nil {
		return p, err
	}
	p.began = true
	for {
		word, rest, err := r.control()
		if err != nil {
			return p, err
		}
		switch word {
		case "version":
			text, err := r.upToMark()
			if err != nil {
				return p, err
			}
			p.version = versionIn(text)
		case "": // the end of the version
		case "zone":
			p.zoneUnknown = true
		case "none":
			return p, errNoProgram
		case "unrecorded":
			return p, errNoRecording
		case "quote", "older":
			p.answering, p.older, p.fresh, p.columns, p.rows = true, word == "older", fresh{}, nil, nil
			if err := r.quotedRows(&p); err != nil {
				return p, err
			}
		case "oldest":
			p.answering, p.older, p.lossy, p.fresh, p.columns, p.rows = true, true, true, fresh{}, nil, nil
			if err := r.jsonRows(&p); err != nil {
				return p, err
			}
		case "end":
			if p.code, err = strconv.Atoi(rest); err != nil || p.code < 0 || p.code > 255 {
				return p, errNotOurs(rest)
			}
			return p, nil
		default:
			return p, errNotOurs(word)
		}
	}
}

// errNotOurs says that a host sends what netsql does not.
func errNotOurs(text string) error {
	return fmt.Errorf("what it sends is no answer of netsql: %q", cut(text, 60))
}

// versionIn is the version in what netsql version prints; "": there is none in it.
func versionIn(text string) string {
	if m := versionLine.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

var versionLine = regexp.MustCompile(`^netsql (\d[0-9A-Za-z.+~-]{0,40})\n`)

// A reader reads the lines of an answer.
type reader struct {
	in   *bufio.Reader
	mark string
	most int64 // bytes that rows may take; 0: any number
	held int64
}

func (r *reader) hold(bytes int) error {
	if r.held += int64(bytes); r.most > 0 && r.held > r.most {
		return errTooMuch
	}
	return nil
}

// line reads a line of at most so many bytes, without its end.
func (r *reader) line(most int) (string, error) {
	var b []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if len(b)+len(part) > most {
			return string(append(b, part...)[:most]), errTooMuch
		}
		b = append(b, part...)
		switch {
		case err == nil:
			return string(b[:len(b)-1]), nil
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return string(b), errEnds
		}
	}
}

// skipNoise reads up to the line that begins the script, and gives the first line before it.
func (r *reader) skipNoise() (first string, err error) {
	for left := noise; ; {
		line, err := r.line(left)
		if text := strings.TrimSpace(line); first == "" && line != r.mark+" start" {
			first = text
		}
		switch {
		case errors.Is(err, errTooMuch):
			return first, errNotOurs(first)
		case err != nil:
			return first, err
		case line == r.mark+" start":
			return first, nil
		}
		left -= len(line) + 1
	}
}

// control reads a line with the mark.
func (r *reader) control() (word, rest string, err error) {
	line, err := r.line(1 << 10)
	if err != nil && !errors.Is(err, errTooMuch) {
		return "", "", err
	}
	rest, is := strings.CutPrefix(line, r.mark+" ")
	if !is || err != nil {
		return "", "", errNotOurs(line)
	}
	word, rest, _ = strings.Cut(rest, " ")
	return word, rest, nil
}

// atMark tells whether a line with the mark is next. At the end of what comes it is, so that control says that it ends.
func (r *reader) atMark() bool {
	next, err := r.in.Peek(len(r.mark))
	return string(next) == r.mark || len(next) == 0 && err != nil
}

// upToMark reads lines before the next one with the mark.
func (r *reader) upToMark() (string, error) {
	var b strings.Builder
	for !r.atMark() {
		line, err := r.line(4 << 10)
		if err != nil {
			return "", err
		}
		if b.WriteString(line + "\n"); b.Len() > 16<<10 {
			return "", errNotOurs(line)
		}
	}
	return b.String(), nil
}

// perValue is what a value takes in memory besides its text, at the least.
const perValue = 24

// quotedRows reads what --mode quote prints of two statements: how fresh the recording is, and the user's.
func (r *reader) quotedRows(p *parsed) error {
	for n := 0; !r.atMark(); n++ {
		row, err := r.quotedRow()
		if err != nil {
			return err
		}
		switch {
		case n == 0:
			if len(row) != 3 || row[0] != r.mark+" newest" {
				return errNotOurs(fmt.Sprint(row...))
			}
		case n == 1:
			if p.fresh, err = freshIn(row); err != nil {
				return err
			}
		case n == 2:
			for _, name := range row {
				text, is := name.(string)
				if !is {
					return errNotOurs(fmt.Sprint(row...))
				}
				p.columns = append(p.columns, text)
			}
		case len(row) != len(p.columns):
			return errNotOurs(fmt.Sprint(row...))
		default:
			p.rows = append(p.rows, row)
		}
	}
	return nil
}

// quotedRow reads values with commas between them.
func (r *reader) quotedRow() (row []any, err error) {
	for {
		v, err := r.quotedValue()
		if err != nil {
			return nil, err
		}
		row = append(row, v)
		switch b, err := r.in.ReadByte(); {
		case err != nil:
			return nil, errEnds
		case b == '\n':
			return slices.Clip(row), r.hold(perValue)
		case b != ',':
			return nil, errNotOurs(fmt.Sprint(row...) + string(b))
		}
	}
}

// quotedValue reads a value as SQL has it.
func (r *reader) quotedValue() (any, error) {
	if err := r.hold(perValue); err != nil {
		return nil, err
	}
	b, err := r.in.ReadByte()
	if err != nil {
		return nil, errEnds
	}
	switch b {
	case '\'':
		return r.quotedText()
	case 'X':
		if b, err := r.in.ReadByte(); err != nil || b != '\'' {
			return nil, errNotOurs("X" + string(b))
		}
		digits, err := r.quotedText()
		if err != nil {
			return nil, err
		}
		blob, err := hex.DecodeString(digits)
		if err != nil {
			return nil, errNotOurs("X'" + digits)
		}
		return blob, nil
	}
	word := []byte{b}
	for {
		next, err := r.in.ReadByte()
		if err != nil {
			return nil, errEnds
		}
		if next == ',' || next == '\n' {
			r.in.UnreadByte()
			return plainValue(string(word))
		}
		if word = append(word, next); len(word) > 400 { // a real has at most 330 letters
			return nil, errNotOurs(string(word))
		}
	}
}

// quotedText reads up to the quote that ends a text, of which two stand for one.
func (r *reader) quotedText() (string, error) {
	var text []byte
	for {
		part, err := r.in.ReadSlice('\'')
		if err := r.hold(len(part)); err != nil {
			return "", err
		}
		text = append(text, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return "", errEnds
		}
		if next, err := r.in.ReadByte(); err != nil {
			return "", errEnds
		} else if next != '\'' {
			r.in.UnreadByte()
			return string(text[:len(text)-1]), nil
		}
	}
}

var (
	wholeNumber = regexp.MustCompile(`^-?[0-9]+$`)
	realNumber  = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?$`)
)

// plainValue is NULL or a number. 9e999 is how SQL writes what is infinite.
func plainValue(word string) (any, error) {
	switch {
	case word == "NULL":
		return nil, nil
	case wholeNumber.MatchString(word):
		if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			return n, nil
		}
	case realNumber.MatchString(word):
		if f, err := strconv.ParseFloat(word, 64); err == nil || math.IsInf(f, 0) {
			return f, nil
		}
	}
	return nil, errNotOurs(word)
}

// jsonRows reads an object on each line. Nothing else tells of the columns, so that a result without rows has none.
func (r *reader) jsonRows(p *parsed) error {
	for !r.atMark() {
		most := math.MaxInt
		if r.most > 0 {
			most = int(min(r.most-r.held, math.MaxInt32))
		}
		line, err := r.line(most)
		if err != nil {
			return err
		}
		names, row, err := jsonRow(line)
		if err != nil {
			return errNotOurs(line)
		}
		if len(p.rows) == 0 {
			p.columns = names
		}
		if !slices.Equal(names, p.columns) {
			return errNotOurs(line)
		}
		if err := r.hold(len(line) + perValue*(1+len(row))); err != nil {
			return err
		}
		p.rows = append(p.rows, row)
	}
	return nil
}

// jsonRow is an object, whose order counts.
func jsonRow(line string) (names []string, row []any, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(line)))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, nil, errors.New("no object")
	}
	for d.More() {
		key, err := d.Token()
		name, is := key.(string)
		if err != nil || !is {
			return nil, nil, errors.New("no name")
		}
		v, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		switch value := v.(type) {
		case json.Number:
			if v, err = plainValue(strings.ReplaceAll(value.String(), "E", "e")); err != nil {
				return nil, nil, err
			}
		case string:
			v = momentIn(name, value)
		case nil, bool:
		default:
			return nil, nil, errors.New("a value in a value")
		}
		names, row = append(names, name), append(row, v)
	}
	if _, err := d.Token(); err != nil {
		return nil, nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("more than an object")
	}
	return names, row, nil
}

// momentIn is the number that a time has in SQL, in a column of times.
func momentIn(column, text string) any {
	if !query.IsTimeColumn(column) {
		return text
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return float64(t.UnixMicro()) / 1e6
}
