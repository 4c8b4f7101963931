package query

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var sizeWord = regexp.MustCompile(`^(\d+(?:\.\d+)?)\s*([a-z]*)$`)

// sizeUnits are powers of 1024 where people write KiB or K, as df -h and systemd have it, and of 1000 where they write kB.
var sizeUnits = map[string]float64{
	"": 1, "b": 1, "byte": 1, "bytes": 1,
	"k": 1 << 10, "kib": 1 << 10, "kb": 1e3,
	"m": 1 << 20, "mib": 1 << 20, "mb": 1e6,
	"g": 1 << 30, "gib": 1 << 30, "gb": 1e9,
	"t": 1 << 40, "tib": 1 << 40, "tb": 1e12,
}

// ParseSize reads a number of bytes: 2GiB, 2G, 500MB, 1.5 TiB, or a bare number of bytes.
func ParseSize(words string) (int64, error) {
	bad := func(why string) (int64, error) { return 0, fmt.Errorf("no size %s: %s", quoteWords(words), why) }
	m := sizeWord.FindStringSubmatch(strings.ToLower(strings.TrimSpace(words)))
	if m == nil {
		return bad("try 2GiB, 500MB or a number of bytes")
	}
	unit, ok := sizeUnits[m[2]]
	if !ok {
		return bad(fmt.Sprintf("%s is no unit; try MiB, GiB, TiB, MB or GB", quoteWords(m[2])))
	}
	n, _ := strconv.ParseFloat(m[1], 64) // out of range gives +Inf, caught below
	if n *= unit; n >= math.MaxInt64 {
		return bad("it is more than 8 EiB")
	}
	return int64(math.Round(n)), nil
}

// SizeText is a number of bytes as people read it, such as 2.0 GiB.
func SizeText(bytes int64) string { return bytesText(float64(bytes)) }
