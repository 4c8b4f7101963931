package query

import (
	"strings"
	"testing"
)

// What an earlier run said is left out, and the verdict does not call that nothing.
func TestVerdictOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		d    Diagnosis
		want string
	}{
		{Diagnosis{Samples: 9}, "nothing found in the hour"},
		{Diagnosis{Samples: 9, Known: 1}, "nothing new since the last run, which said 1 finding, found again in the hour"},
		{Diagnosis{Samples: 9, Known: 2, Faults: 1}, "1 fault more than the last run said in the hour"},
		{Diagnosis{Samples: 1, Known: 2}, "cannot tell: nobody looked"},
	} {
		if got := c.d.Verdict(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
