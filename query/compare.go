package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"

	"netsql/store"
)

// against parts the two statements of .why.
var against = regexp.MustCompile(`(?is)^(.*)\sAGAINST\s(.*)$`)

// why is .why SELECT … AGAINST SELECT …: by what the rows of one result differ from those of the other, the columns that differ most first.
func (s *Shell) why(ctx context.Context, arg string) error {
	m := against.FindStringSubmatch(arg)
	if m == nil {
		return errors.New("why do which rows differ from which? .why SELECT * FROM sockets_now WHERE retransmits > 0 AGAINST SELECT * FROM sockets_now WHERE retransmits = 0")
	}
	these, cols, err := s.collect(ctx, m[1])
	if err != nil {
		return err
	}
	those, other, err := s.collect(ctx, m[2])
	switch {
	case err != nil:
		return err
	case !slices.Equal(cols, other):
		return errors.New("the two results have other columns: select the same of both")
	case len(these) == 0 || len(those) == 0:
		return fmt.Errorf("there is nothing to compare: %s against %s", plural(int64(len(these)), "row"), plural(int64(len(those)), "row"))
	}
	var rows [][]any
	for i, c := range cols {
		if c.Time {
			continue
		}
		d := s.differenceOf(c, i, these, those)
		if d.size > 0 {
			rows = append(rows, []any{c.Name, math.Round(d.size*1000) / 1000, d.here, d.there})
		}
	}
	slices.SortStableFunc(rows, func(a, b []any) int {
		return cmp.Or(cmp.Compare(b[1].(float64), a[1].(float64)), cmp.Compare(store.Weight(b[0].(string)), store.Weight(a[0].(string))))
	})
	if err := s.printRows([]string{"column", "difference", "these", "those"}, rows); err != nil {
		return err
	}
	return s.say(fmt.Sprintf("%s against %s; difference goes from 0, alike, to 1, nothing in common", plural(int64(len(these)), "row"), plural(int64(len(those)), "row")))
}

// A columnDifference says by how much the values of a column differ, and what they are on both sides.
type columnDifference struct {
	size        float64
	here, there string
}

// differenceOf compares a column. Of numbers of which there are many it is the largest distance of their distributions (Kolmogorov and Smirnov), with
// both medians; of anything else half the sum of the differences of shares, with the value whose share differs most.
func (s *Shell) differenceOf(c Column, i int, these, those [][]any) columnDifference {
	a, b := profileOf(these, i), profileOf(those, i)
	if a.numeric() && b.numeric() && len(a.values)+len(b.values) > 10 && !naming[c.Name] {
		x, y := a.sorted(), b.sorted()
		text := func(p *columnProfile, sorted []any) string {
			t := "median " + s.valueText(c, p.middle(sorted))
			if p.nulls > 0 {
				t += fmt.Sprintf(", %.0f %% NULL", 100*float64(p.nulls)/float64(p.nulls+p.known))
			}
			return t
		}
		return columnDifference{distance(a, b, x, y), text(a, x), text(b, y)}
	}
	if a.names(c) && b.names(c) {
		return columnDifference{}
	}
	share := func(p *columnProfile, v any) float64 {
		n := p.values[v]
		if v == nil {
			n = p.nulls
		}
		return float64(n) / float64(p.nulls+p.known)
	}
	values := maps.Clone(a.values)
	maps.Copy(values, b.values)
	values[nil] = 0
	var d columnDifference
	var most any
	largest := 0.0
	for _, v := range slices.SortedFunc(maps.Keys(values), func(x, y any) int {
		return cmp.Or(cmp.Compare(boolean(x == nil), boolean(y == nil)), compareValues(x, y))
	}) {
		difference := math.Abs(share(a, v) - share(b, v))
		if d.size += difference / 2; difference > largest+1e-9 {
			largest, most = difference, v
		}
	}
	text := "NULL"
	if most != nil {
		text = s.valueText(c, most)
	}
	d.here, d.there = fmt.Sprintf("%.0f %% %s", 100*share(a, most), text), fmt.Sprintf("%.0f %% %s", 100*share(b, most), text)
	return d
}

// names reports whether nearly every row has a value of its own, as a name or a number that names it: that it is another one tells nothing.
func (p *columnProfile) names(c Column) bool {
	return p.known > 10 && (p.more || int64(len(p.values)) > p.known/2) && (naming[c.Name] || !p.numeric())
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// numeric reports whether all values that are known are numbers, and some are.
func (p *columnProfile) numeric() bool {
	for v := range p.values {
		if !isNumber(v) {
			return false
		}
	}
	return len(p.values) > 0 && !p.more
}

// distance is the largest difference between the shares that are not above a value.
func distance(a, b *columnProfile, x, y []any) float64 {
	below := func(p *columnProfile, sorted []any, k *int, sum *int64, v any) float64 {
		for *k < len(sorted) && compareValues(sorted[*k], v) <= 0 {
			*sum += p.values[sorted[*k]]
			*k++
		}
		return float64(*sum) / float64(p.known)
	}
	var i, j int
	var sumA, sumB int64
	most := 0.0
	all := slices.Concat(x, y)
	slices.SortFunc(all, compareValues)
	for _, v := range all {
		most = max(most, math.Abs(below(a, x, &i, &sumA, v)-below(b, y, &j, &sumB, v)))
	}
	return most
}

// pivot is .pivot SELECT …, NAME, VALUE FROM …: the last two columns of the result become columns, one for each name. Where several rows have the
// same name the last counts.
func (s *Shell) pivot(ctx context.Context, arg string) error {
	if arg == "" {
		return errors.New("pivot which result? .pivot SELECT ts, state, count(*) FROM sockets WHERE ts > ago('1m') GROUP BY 1, 2")
	}
	rows, cols, err := s.collect(ctx, arg)
	if err != nil {
		return err
	}
	keys := len(cols) - 2
	if keys < 1 {
		return errors.New("a pivot needs three columns at least: what stays, a name and its value")
	}
	const mostColumns = 200
	var names []string
	place, made := map[string]int{}, map[string]int{} // of the columns, and of the rows
	var table [][]any
	for _, row := range rows {
		name := valueText(s.options(), cols[keys], row[keys])
		column, ok := place[name]
		if !ok {
			if len(names) == mostColumns {
				return fmt.Errorf("%s has more than %d different values: take another column before the last", cols[keys].Name, mostColumns)
			}
			column = len(names)
			place[name] = column
			names = append(names, name)
		}
		key := fmt.Sprintf("%q", row[:keys])
		at, ok := made[key]
		if !ok {
			at = len(table)
			made[key] = at
			table = append(table, slices.Clone(row[:keys]))
		}
		for len(table[at]) < keys+column+1 {
			table[at] = append(table[at], nil)
		}
		table[at][keys+column] = row[keys+1]
	}
	var heads []string
	for _, c := range cols[:keys] {
		heads = append(heads, c.Name)
	}
	heads = append(heads, names...)
	for i := range table {
		for len(table[i]) < len(heads) {
			table[i] = append(table[i], nil)
		}
	}
	return s.printRows(heads, table)
}
