package query

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
)

// listingWidth is that of a listing that no terminal shows.
const listingWidth = 100

// printListing shows what happened or differs as lines that a person reads: when, what to which thing, and below it what changed, as far as it does not
// fit beside it. What is longer than the screen goes to the pager.
func (s *Shell) printListing(ctx context.Context, all []happening) error {
	out, toTerminal := s.target()
	o := s.options()
	o.Width = listingWidth
	if toTerminal && s.config.Width != nil {
		s.forScreen(&o)
	}
	var b bytes.Buffer
	writeListing(&b, o, all)
	if s.once != nil {
		defer func() { s.once, s.suffix = nil, "" }()
		_, err := out.Write(b.Bytes())
		return cmp.Or(err, s.once.Close())
	}
	if toTerminal && s.config.Page != nil && o.Height > 0 && bytes.Count(b.Bytes(), []byte("\n")) >= o.Height {
		return s.config.Page(ctx, func(w io.Writer) error { _, err := w.Write(b.Bytes()); return err })
	}
	_, err := out.Write(b.Bytes())
	return err
}

func writeListing(b *bytes.Buffer, o FormatOptions, all []happening) {
	w := &screenWriter{sink: &sink{o: o}}
	w.cols = []Column{{Name: "ts", Time: true}}
	var moments [][]any
	spaces := map[any]bool{}
	kinds, short := 0, false
	for _, h := range all {
		moments = append(moments, []any{h.ts})
		if h.netns != nil {
			spaces[h.netns] = true
		}
		kinds = max(kinds, textWidth(h.object)+1+textWidth(h.event))
	}
	times := w.timesOf(moments)
	for _, h := range all {
		head, indent := "", 0
		if t, ok := w.moment(w.cols[0], h.ts); ok && times != nil {
			head = times[0].text(t) + "  "
		} else if h.ts > 0 {
			head = roundedFloat(h.ts) + "  "
		}
		kind := h.object + " " + h.event
		head += padded(kind, kinds) + "  "
		indent = textWidth(head)
		what := escapeControls(h.what)
		switch owner := escapeControls(ownerText(h.comm, h.pid)); {
		case owner == "":
		case h.object == "process":
			what = owner + ": " + what
		default:
			what += " [" + owner + "]"
		}
		if len(spaces) > 1 && h.netns != nil {
			what += " in " + w.spaceName(h.netns)
		}
		room := max(o.Width-indent, 20)
		change := escapeControls(h.change())
		lines, cut := atMost(foldedText(what, room), 3, room)
		switch {
		case change == "":
		case textWidth(lines[len(lines)-1])+2+textWidth(change) <= room:
			lines[len(lines)-1] += ": " + change
		default:
			more, cutMore := atMost(foldedText(change, room-2), 6, room-2)
			for _, line := range more {
				lines = append(lines, "  "+line)
			}
			cut = cut || cutMore
		}
		short = short || cut
		if colour := o.Colour.of("event", h.event); colour != "" {
			head = strings.Replace(head, kind, h.object+" "+painted(h.event, colour), 1)
		}
		for i, line := range lines {
			if i > 0 {
				head = strings.Repeat(" ", indent)
			}
			b.WriteString(head + line + "\n")
		}
	}
	last := plural(int64(len(all)), "row")
	if day := w.dayOf(times, moments); day != "" {
		last += " of " + day
	}
	if short {
		last += ", long texts cut (all: .mode line)"
	}
	b.WriteString(runeWidths.Truncate(last, o.Width, "…") + "\n")
}

// atMost are the first lines, the last of them with a mark if there are more.
func atMost(lines []string, most, room int) (some []string, cut bool) {
	if len(lines) <= most {
		return lines, false
	}
	return append(lines[:most-1:most-1], runeWidths.Truncate(strings.TrimRight(lines[most-1], " "), room-1, "")+"…"), true
}

// spaceName is what a network namespace is called.
func (w *screenWriter) spaceName(netns any) string {
	if n, ok := netns.(int64); ok && w.o.Namespace != nil {
		if name := w.o.Namespace(n); name != "" {
			return escapeControls(name)
		}
	}
	return fmt.Sprintf("netns %v", netns)
}

// foldedText is the text in lines of at most so many cells, parted at blanks where there are any.
func foldedText(text string, width int) []string {
	var lines []string
	line, used := "", 0
	for _, word := range strings.Split(text, " ") {
		n := textWidth(word)
		if used > 0 && used+1+n > width {
			lines = append(lines, line)
			line, used = "", 0
		} else if line != "" {
			line, used = line+" ", used+1
		}
		for n > width { // a word longer than a line
			part := runeWidths.Truncate(word, width-used, "")
			if part == "" {
				break
			}
			lines = append(lines, line+part)
			line, used, word = "", 0, word[len(part):]
			n = textWidth(word)
		}
		line, used = line+word, used+n
	}
	return append(lines, line)
}

// changeText is one text from before and after. Where these are values with names, each stands with its own: mtu=1500 → 1400, qdisc=noop → fq.
func changeText(was, now string) string {
	before, after := strings.Split(was, " "), strings.Split(now, " ")
	var parts []string
	for i, value := range before {
		name, old, ok := strings.Cut(value, "=")
		if !ok || len(before) != len(after) {
			return was + " → " + now
		}
		name2, new, ok := strings.Cut(after[i], "=")
		if !ok || name2 != name {
			return was + " → " + now
		}
		parts = append(parts, fmt.Sprintf("%s=%s → %s", name, old, new))
	}
	return strings.Join(parts, ", ")
}
