package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"netsql/store"
)

// Changes of some time are those of all times that lie in it, however the statement says it.
func TestChangesOfSomeTime(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	changes := 0
	for _, v := range store.Views() {
		if !strings.HasSuffix(v.Name, changesSuffix) {
			continue
		}
		all := table(t, r.conn, "SELECT printf('%.6f', ts) AS moment, * FROM "+v.Name)[1:]
		moments := []float64{0, float64(began.Unix()) + 60.5, 1e11}
		for _, row := range all {
			moments = append(moments, seconds(t, row[0]))
		}
		slices.Sort(moments)
		moments = slices.Compact(moments)
		changes += len(all)
		for i, from := range moments {
			to := moments[len(moments)-1-i/2]
			for k, c := range []struct {
				where string
				holds func(ts float64) bool
			}{
				{fmt.Sprintf("ts > %f", from), func(ts float64) bool { return ts > from }},
				{fmt.Sprintf("ts >= %f", from), func(ts float64) bool { return ts >= from }},
				{fmt.Sprintf("ts < %f", from), func(ts float64) bool { return ts < from }},
				{fmt.Sprintf("ts <= %f - 1 + 1", from), func(ts float64) bool { return ts <= from }},
				{fmt.Sprintf("ts = %f", from), func(ts float64) bool { return ts == from }},
				{fmt.Sprintf("ts == %f", from), func(ts float64) bool { return ts == from }},
				{fmt.Sprintf("ts BETWEEN %f AND %f", from, to), func(ts float64) bool { return from <= ts && ts <= to }},
				{fmt.Sprintf("c.ts > %f AND c.ts < %f", from, to), func(ts float64) bool { return from < ts && ts < to }},
				{fmt.Sprintf("ts > %f AND change <> '' AND ts > 5", from), func(ts float64) bool { return ts > from }},
				{fmt.Sprintf("ts > %f OR ts < %f", from, to), func(ts float64) bool { return ts > from || ts < to }},
				{fmt.Sprintf("NOT ts > %f", from), func(ts float64) bool { return ts <= from }},
				{fmt.Sprintf("%f < ts", from), func(ts float64) bool { return ts > from }},
				{fmt.Sprintf("ts > %f AND ts < 'a text is after numbers'", to), func(ts float64) bool { return ts > to }},
				{"ts > 'a text is after numbers'", func(float64) bool { return false }},
			} {
				if (i+k)%4 > 0 { // a quarter of them is enough
					continue
				}
				var want [][]string
				for _, row := range all {
					if c.holds(seconds(t, row[0])) {
						want = append(want, row)
					}
				}
				got := table(t, r.conn, fmt.Sprintf("SELECT printf('%%.6f', ts) AS moment, * FROM %s c WHERE %s", v.Name, c.where))[1:]
				slices.SortFunc(want, slices.Compare)
				slices.SortFunc(got, slices.Compare)
				if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s WHERE %s (-want +got):\n%s", v.Name, c.where, diff)
				}
			}
		}
	}
	if changes < 15 {
		t.Errorf("only %d changes were compared", changes)
	}
}

func seconds(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
