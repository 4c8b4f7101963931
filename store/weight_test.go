package store

import (
	"strings"
	"testing"
)

// What is listed has a name that some table has, once.
func TestWeightsAreOfColumns(t *testing.T) {
	t.Parallel()
	there, listed := map[string]bool{}, map[string]bool{}
	for _, v := range Views() {
		for _, c := range v.Columns {
			there[c.Name] = true
		}
	}
	for weight, names := range told {
		for name := range strings.FieldsSeq(names) {
			if !there[name] || listed[name] {
				t.Errorf("%s, of weight %d: in a table %v, listed before %v", name, weight, there[name], listed[name])
			}
			listed[name] = true
			if got := Weight(strings.ToUpper(name)); got != weight {
				t.Errorf("%s weighs %d, want %d", name, got, weight)
			}
		}
	}
	for name, want := range map[string]int{"count(*)": 9, "rx_bytes_per_s": 7, "avg_rx_bytes_per_s": 7, "max_rx_bytes_per_s": 6, "min_rx_bytes_per_s": 3, "multicast": 4} {
		if got := Weight(name); got != want {
			t.Errorf("%s weighs %d, want %d", name, got, want)
		}
	}
}
