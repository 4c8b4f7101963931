package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// profileMost are as many different values of a column as are told apart.
const profileMost = 200_000

// A columnProfile is what the values of a column are.
type columnProfile struct {
	nulls  int64
	values map[any]int64 // how often each comes
	more   bool          // there are others besides
	known  int64
}

// profile is .profile SELECT …: of each column of a result how many values are NULL or different, the least, the middle and the most of them, and which
// come most often.
func (s *Shell) profile(ctx context.Context, arg string) error {
	if arg == "" {
		return errors.New("profile which result? .profile SELECT * FROM sockets_now, say")
	}
	rows, cols, err := s.collect(ctx, arg)
	if err != nil {
		return err
	}
	var table [][]any
	for i, c := range cols {
		p := profileOf(rows, i)
		row := []any{c.Name, p.nulls, p.distinct(), nil, nil, nil, nil, p.top(s.options(), c)}
		if sorted := p.sorted(); len(sorted) > 0 {
			row[3], row[4], row[5] = s.valueText(c, sorted[0]), s.valueText(c, p.middle(sorted)), s.valueText(c, sorted[len(sorted)-1])
			row[6] = p.spread(sorted)
		}
		table = append(table, row)
	}
	if err := s.printRows([]string{"column", "nulls", "distinct", "least", "median", "most", "spread", "most_often"}, table); err != nil {
		return err
	}
	return s.say(fmt.Sprintf("of %s", plural(int64(len(rows)), "row")))
}

// collect gives the rows of a statement, as many as memory holds.
func (s *Shell) collect(ctx context.Context, statement string) (all [][]any, cols []Column, err error) {
	if asksLive(statement) {
		if err := s.lookLive(ctx); err != nil {
			return nil, nil, err
		}
	}
	args, err := s.arguments(statement)
	if err != nil {
		return nil, nil, err
	}
	s.inSQLite.Store(true)
	found, err := s.recording.Query(ctx, statement, args...)
	s.inSQLite.Store(false)
	if err == nil {
		rows := markedRows{found, &s.inSQLite}
		defer rows.Close()
		var names []string
		if names, err = rows.Columns(); err == nil {
			for _, name := range names {
				cols = append(cols, Column{Name: name, Time: isTime(name)})
			}
			var held holding
			_, err = eachRow(rows, len(names), func(values []any) error {
				if len(all) >= collectMost {
					return fmt.Errorf("more than %s rows: ask for fewer, with a LIMIT or a bound on ts", count(collectMost))
				}
				all = append(all, copied(nil, values))
				return held.add(values)
			})
		}
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, &placedError{Explain(s.recording.explain(err), statement, s.Names(ctx)), statement, -1}
	}
	return all, cols, nil
}

// collectMost are as many rows as are held at once.
const collectMost = 1_000_000

func profileOf(rows [][]any, i int) *columnProfile {
	p := &columnProfile{values: map[any]int64{}}
	for _, row := range rows {
		v := row[i]
		if b, ok := v.([]byte); ok {
			v = "x'" + string(b) + "'"
		}
		if v == nil {
			p.nulls++
			continue
		}
		p.known++
		if _, there := p.values[v]; !there && len(p.values) >= profileMost {
			p.more = true
			continue
		}
		p.values[v]++
	}
	return p
}

// distinct is how many different values there are.
func (p *columnProfile) distinct() any {
	if p.more {
		return fmt.Sprintf("over %s", count(profileMost))
	}
	return int64(len(p.values))
}

// sorted are the different values from the least to the most, each once; none where not all are known.
func (p *columnProfile) sorted() []any {
	if p.more {
		return nil
	}
	return slices.SortedFunc(maps.Keys(p.values), compareValues)
}

// compareValues orders as SQLite does: numbers before texts.
func compareValues(a, b any) int {
	if isNumber(a) != isNumber(b) {
		if isNumber(a) {
			return -1
		}
		return 1
	}
	if isNumber(a) {
		x, _ := number(a)
		y, _ := number(b)
		return cmp.Compare(x, y)
	}
	return strings.Compare(plain(a), plain(b))
}

// middle is the value in the middle of all, each as often as it comes; of an even number the lesser.
func (p *columnProfile) middle(sorted []any) any {
	before := int64(0)
	for _, v := range sorted {
		if before += p.values[v]; 2*before >= p.known {
			return v
		}
	}
	return nil
}

// spread is how many values lie in each tenth of the way from the least to the most number, as bars.
func (p *columnProfile) spread(sorted []any) any {
	low, ok := number(sorted[0])
	high, ok2 := number(sorted[len(sorted)-1])
	if !ok || !ok2 || !p.numeric() || high <= low {
		return nil
	}
	tenths := make([]float64, 10)
	for v, n := range p.values {
		x, _ := number(v)
		tenths[min(int(10*shareOf(x, low, high)), 9)] += float64(n)
	}
	return sparkText(tenths, len(tenths))
}

// top are the three values that come most often, as far as any comes twice.
func (p *columnProfile) top(o FormatOptions, c Column) any {
	order := slices.SortedFunc(maps.Keys(p.values), func(a, b any) int {
		return cmp.Or(cmp.Compare(p.values[b], p.values[a]), compareValues(a, b))
	})
	var parts []string
	for _, v := range order[:min(3, len(order))] {
		if p.values[v] > 1 {
			parts = append(parts, fmt.Sprintf("%s (%s)", valueText(o, c, v), count(p.values[v])))
		}
	}
	return nullIfEmpty(strings.Join(parts, ", "))
}

// valueText is a value as a person reads it.
func valueText(o FormatOptions, c Column, v any) string {
	s := &sink{o: o}
	if f, ok := v.(float64); ok && !c.Time {
		return roundedFloat(f)
	}
	text := s.human(c, v, "NULL")
	if len(text) > 60 {
		text = runeWidths.Truncate(text, 60, "…")
	}
	return text
}

func (s *Shell) valueText(c Column, v any) string { return valueText(s.options(), c, v) }
