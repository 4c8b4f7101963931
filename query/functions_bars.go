package query

import (
	"database/sql/driver"
	"errors"
	"math"
	"slices"
	"strings"

	"modernc.org/sqlite"
)

// eighths are the blocks that fill a cell from the left, by eighths.
var eighths = []rune(" ▏▎▍▌▋▊▉█")

// levels are the blocks that fill a cell from below.
var levels = []rune("▁▂▃▄▅▆▇█")

// sqlBar is bar(): a bar as long as x is of most, of 20 cells or as many as asked for.
func sqlBar(args []driver.Value) (driver.Value, error) {
	x, ok := number(args[0])
	most, ok2 := number(args[1])
	if args[1] == nil {
		return nil, nil
	}
	if !ok || !ok2 || most <= 0 {
		return nil, errors.New("bar: it is bar(x, most): bar(rx_bytes_per_s, 125000000)")
	}
	cells := 20.0
	if len(args) > 2 {
		if cells, ok = number(args[2]); !ok || cells < 1 || cells > 200 {
			return nil, errors.New("bar: the third argument is its cells, from 1 to 200")
		}
	}
	return barText(x/most, int(cells)), nil
}

// barText fills so much of so many cells, at most all.
func barText(share float64, cells int) string {
	n := int(math.Round(min(max(share, 0), 1) * float64(8*cells)))
	if n == 0 && share > 0 {
		n = 1 // it is not nothing
	}
	text := strings.Repeat("█", n/8)
	if n%8 > 0 {
		text += string(eighths[n%8])
	}
	return text
}

// spark is spark(): the values of a group as a line of bars, in the order in which they come. Of more values than fit each cell is the largest of its
// share.
type spark struct{ values []float64 } // NaN: not known

// sparkCells are as many as a line of bars has at most.
const sparkCells = 40

func (a *spark) Step(_ *sqlite.FunctionContext, args []driver.Value) error {
	x := math.NaN()
	if args[0] != nil {
		var ok bool
		if x, ok = number(args[0]); !ok {
			return errors.New("spark: it is spark(x) of numbers: spark(rx_bytes_per_s)")
		}
	}
	a.values = append(a.values, x)
	return holdsNumbers(len(a.values))
}

func (a *spark) WindowInverse(*sqlite.FunctionContext, []driver.Value) error {
	if len(a.values) > 0 {
		a.values = a.values[1:]
	}
	return nil
}

func (a *spark) WindowValue(*sqlite.FunctionContext) (driver.Value, error) {
	if len(a.values) == 0 {
		return nil, nil
	}
	return sparkText(a.values, sparkCells), nil
}

func (a *spark) Final(*sqlite.FunctionContext) { a.values = nil }

// sparkText is a line of at most so many bars from 0, or from the least value if that is below; what is not known is a blank.
func sparkText(values []float64, cells int) string {
	if n := len(values); n > cells {
		shares := make([]float64, cells)
		for i := range shares {
			shares[i] = math.NaN()
			for _, x := range values[i*n/cells : (i+1)*n/cells] {
				if math.IsNaN(shares[i]) || x > shares[i] {
					shares[i] = x
				}
			}
		}
		values = shares
	}
	known := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(known) == 0 {
		return strings.Repeat(" ", len(values))
	}
	low, high := min(0, slices.Min(known)), slices.Max(known)
	var b strings.Builder
	for _, x := range values {
		switch {
		case math.IsNaN(x):
			b.WriteByte(' ')
		case high <= low:
			b.WriteRune(levels[0])
		default:
			b.WriteRune(levels[min(int((x-low)/(high-low)*float64(len(levels))), len(levels)-1)])
		}
	}
	return b.String()
}
