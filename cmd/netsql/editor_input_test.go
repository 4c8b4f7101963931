package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/chzyer/readline"
	"github.com/google/go-cmp/cmp"
)

type decoded struct {
	Key  rune
	Text string
}

func readKeys(t *testing.T, src io.Reader) []decoded {
	t.Helper()
	k := newKeyReader(src)
	var keys []decoded
	for {
		key, err := k.next()
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, decoded{Key: key})
		if key == keyText || key == keyPaste {
			keys[len(keys)-1].Text = k.text
		}
	}
}

func TestEditorKeys(t *testing.T) {
	home, end := decoded{Key: readline.CharLineStart}, decoded{Key: readline.CharLineEnd}
	text := func(s string) decoded { return decoded{keyText, s} }
	tests := []struct {
		name, in string
		want     []decoded
	}{
		{"text", "select 日本 🙂", []decoded{text("select 日本 🙂")}},
		{"home", "\x1b[1~\x1b[7~\x1b[H\x1bOH", []decoded{home, home, home, home}},
		{"end", "\x1b[4~\x1b[8~\x1b[F\x1bOF", []decoded{end, end, end, end}},
		{"delete", "\x1b[3~", []decoded{{Key: keyDelete}}},
		{"arrows", "\x1b[A\x1bOB\x1b[C\x1bOD", []decoded{{Key: keyUp}, {Key: keyDown}, {Key: readline.CharForward}, {Key: readline.CharBackward}}},
		{"words", "\x1bb\x1bf\x1b[1;5D\x1b[1;3C\x1bd\x1b\x7f", []decoded{{Key: keyWordLeft}, {Key: keyWordRight}, {Key: keyWordLeft}, {Key: keyWordRight}, {Key: keyKillWord}, {Key: keyKillWordBack}}},
		{"alt-enter", "\x1b\r", []decoded{{Key: keyNewline}}},
		{"paste", "a\x1b[200~x\ty\r\nz\rw\x1b[201~b", []decoded{text("a"), {keyPaste, "x\ty\nz\nw"}, text("b")}},
		{"escape in a paste", "\x1b[200~\x1b[A\x1b[201~", []decoded{{keyPaste, "\x1b[A"}}},
		{"unknown", "\x1b[24~a\x1bqb\x1b[[Ac\x1bOPd", []decoded{{Key: keyUnknown}, text("a"), {Key: keyUnknown}, text("b"), {Key: keyUnknown}, text("c"), {Key: keyUnknown}, text("d")}},
		{"answers nobody asked for", "a\x1b[12;3Rb\x1b[Ic", []decoded{text("a"), text("b"), text("c")}},
		{"broken off", "\x1b[1\rx\x1b[1é\x1b\x03", []decoded{{Key: keyUnknown}, {Key: '\r'}, text("x"), {Key: keyUnknown}, text("é"), {Key: 3}}},
		{"C1 and NUL", "a\u009b\x00b", []decoded{text("a"), text("b")}},
		{"not UTF-8", "a\xe9 b", []decoded{text("a\uFFFD b")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, readKeys(t, strings.NewReader(test.in))); diff != "" {
				t.Errorf("%q (-want +got):\n%s", test.in, diff)
			}
			var joined []decoded // in single bytes a text comes in pieces
			for _, k := range readKeys(t, iotest.OneByteReader(strings.NewReader(test.in))) {
				if n := len(joined); n > 0 && k.Key == keyText && joined[n-1].Key == keyText {
					joined[n-1].Text += k.Text
				} else {
					joined = append(joined, k)
				}
			}
			if test.name == "answers nobody asked for" || test.name == "C1 and NUL" {
				return // nothing keeps the pieces around them apart
			}
			if diff := cmp.Diff(test.want, joined); diff != "" {
				t.Errorf("%q byte by byte (-want +got):\n%s", test.in, diff)
			}
		})
	}
}

// The library must get one key and no more, or it would take the keys meant
// for what runs next.
func TestEditorReaderWaitsForPermission(t *testing.T) {
	k := newKeyReader(strings.NewReader("\r\r\r"))
	var p [64]byte
	k.proceed()
	if n, err := k.Read(p[:]); n != 1 || err != nil {
		t.Fatalf("Read = %d, %v", n, err)
	}
	returned := make(chan error)
	go func() {
		_, err := k.Read(p[:])
		returned <- err
	}()
	k.Close()
	if err := <-returned; err != io.EOF {
		t.Errorf("Read after Close = %v, want EOF and no key", err)
	}
}

// A paste that never ends must not take Ctrl-C away.
func TestEditorInterruptEndsALostPaste(t *testing.T) {
	in := io.MultiReader(strings.NewReader("\x1b[200~select"), strings.NewReader(" 1"), strings.NewReader("\x03"))
	if diff := cmp.Diff([]decoded{{Key: readline.CharInterrupt}}, readKeys(t, in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzEditorKeys(f *testing.F) {
	f.Add([]byte("select 1;\r"), uint8(3))
	f.Add([]byte("\x1b[200~a\tb\r\x1b[201~\x1b[1;5D\x1bOH\xe6\x97\xa5\u009b"), uint8(1))
	f.Add([]byte("\x1b\x1b[[[A\x1bO\x1b["), uint8(2))
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		// Any bytes: keys come out, none of them unknown to the model, and the
		// model and its picture survive them.
		s := &screen{w: newVT(20, 6)}
		s.resize(20, 6)
		tiny := &screen{w: io.Discard}
		tiny.resize(int(chunk)%12+1, int(chunk)%3+1)
		m := modelOf("", 0)
		m.history.entries = []string{"select 1", "a\nb"}
		m.reset()
		m.cfg.finished = func(text string) bool { return strings.HasSuffix(text, ";") }
		m.cfg.complete = func(text string, cursor int) ([]string, int) { return []string{"日x", "日y"}, cursor }
		for _, k := range readKeys(t, bytes.NewReader(in)) {
			if k.Key <= 0 || 0xa0 <= k.Key {
				t.Fatalf("key %U of %q", k.Key, in)
			}
			m.handle(k.Key, k.Text)
			if !utf8.ValidString(m.text) || m.cursor < 0 || m.cursor > len(m.text) || !utf8.ValidString(m.text[:m.cursor]) {
				t.Fatalf("%q with the cursor at %d", m.text, m.cursor)
			}
			if len(m.text) > 1<<16 {
				return // killing and yanking doubles it
			}
			s.draw(m)
			tiny.draw(m)
		}

		// Ordinary text among them arrives as it is, however it is cut.
		ordinary := strings.Map(func(r rune) rune {
			if r < ' ' || 0x7f <= r && r < 0xa0 {
				return -1
			}
			return r
		}, strings.ToValidUTF8(string(in), ""))
		var got strings.Builder
		for _, k := range readKeys(t, &chunkReader{[]byte(ordinary), int(chunk)%7 + 1}) {
			if k.Key != keyText {
				t.Fatalf("key %U in %q", k.Key, ordinary)
			}
			got.WriteString(k.Text)
		}
		if got.String() != ordinary {
			t.Fatalf("typed %q, got %q", ordinary, got.String())
		}
	})
}

type chunkReader struct {
	rest []byte
	size int
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
