package query

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// linesShown is how many lines of a text .diff shows of either moment.
	linesShown = 50
	// linesCompared bounds the work of comparing: so many lines times so many.
	linesCompared = 4 << 20
)

// ruleLines are the lines of a text of the firewall that say something, each with the chain or set that it stands in.
func ruleLines(text string) []string {
	var lines []string
	within := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		words := strings.TrimLeft(line, "\t")
		switch depth := len(line) - len(words); {
		case words == "" || words == "}" || depth == 0:
			if depth <= 1 {
				within = ""
			}
		case depth == 1 && strings.HasSuffix(words, " {"):
			within = strings.TrimSuffix(words, " {")
			lines = append(lines, within)
		case within != "":
			lines = append(lines, within+": "+words)
		default:
			lines = append(lines, words)
		}
	}
	return lines
}

// linesApart are the lines that only one of the two texts has, in their order, one below the other. A line that has moved is in both.
func linesApart(old, new string) (was, now string) {
	a, b := ruleLines(old), ruleLines(new)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a)*len(b) > linesCompared {
		return linesText(a), linesText(b)
	}
	// common[i][j] is how many lines a[i:] and b[j:] have in common, in order.
	common := make([][]int32, len(a)+1)
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var gone, come []string
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			gone = append(gone, a[i])
			i++
		default:
			come = append(come, b[j])
			j++
		}
	}
	return linesText(gone), linesText(come)
}

func linesText(lines []string) string {
	if more := len(lines) - linesShown; more > 0 {
		lines = append(lines[:linesShown:linesShown], fmt.Sprintf("and %d more lines", more))
	}
	return strings.Join(lines, "\n")
}

// A ruleText is what is known of the rules of a table of the firewall.
type ruleText struct {
	what     string
	netns    any
	recorded bool
	text     string
	known    string // how much, in words
}

// rulesAt are those of all tables of the firewall at a sample, also where their text was not recorded.
func (r *Recording) rulesAt(ctx context.Context, ts float64) (map[string]ruleText, error) {
	rules := map[string]ruleText{}
	err := r.each(ctx, "SELECT netns, backend, family, table_name FROM firewall WHERE ts = ?", []any{ts}, func(row []any) {
		rules[fmt.Sprint(row...)] = ruleText{what: fmt.Sprintf("rules of %v %v", row[2], row[3]), netns: row[0]}
	})
	if err != nil {
		return nil, err
	}
	err = r.each(ctx, "SELECT netns, backend, family, table_name, text, bytes, note FROM firewall_text WHERE ts = ?", []any{ts}, func(row []any) {
		key := fmt.Sprint(row[:4]...)
		t, there := rules[key]
		if !there {
			return
		}
		t.recorded, t.text = true, text(row[4])
		switch {
		case t.text != "":
			t.known = fmt.Sprintf("%v bytes", row[5])
		case row[5] != nil:
			t.known = fmt.Sprintf("%v bytes, %v", row[5], row[6])
		default:
			t.known = fmt.Sprintf("not known: %v", row[6])
		}
		rules[key] = t
	})
	return rules, err
}

// compareRules tells which lines came and went. Where the text of either moment was not recorded, there is nothing to compare.
func compareRules(was, now map[string]ruleText) []happening {
	keys := maps.Clone(was)
	maps.Copy(keys, now)
	var found []happening
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		old, had := was[key]
		new, has := now[key]
		d := happening{object: "firewall", event: "changed", what: keys[key].what, netns: keys[key].netns}
		switch {
		case !had && new.text != "":
			d.event, d.now = "added", linesText(ruleLines(new.text))
		case !has && old.text != "":
			d.event, d.was = "removed", linesText(ruleLines(old.text))
		case !old.recorded || !new.recorded || old.text == new.text && old.known == new.known:
			continue
		case old.text != "" && new.text != "":
			gone, come := linesApart(old.text, new.text)
			d.was, d.now = nullIfEmpty(gone), nullIfEmpty(come)
		default:
			d.was, d.now = old.known, new.known
		}
		found = append(found, d)
	}
	return found
}
