package tools

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

func printSummary(ctx context.Context, m *Moment, w io.Writer) error {
	type counter struct {
		Proto string `col:"proto"`
		Name  string `col:"name"`
		Value int64  `col:"value"`
	}
	rows, err := here[counter](ctx, m, "protocol_counters", "AND (file IN ('sockstat', 'sockstat6') OR file = 'snmp' AND proto = 'Tcp' AND name = 'CurrEstab')")
	if err != nil {
		return err
	}
	values := map[string]int64{}
	for _, r := range rows {
		values[r.Proto+" "+r.Name] = r.Value
	}
	show := func(sum string, names ...string) string {
		total := int64(0)
		for _, name := range names {
			v, ok := values[name]
			if !ok && !strings.Contains(name, "6 ") { // a kernel without IPv6 has no sockstat6
				return fmt.Sprintf(sum, "-")
			}
			total += v
		}
		return fmt.Sprintf(sum, strconv.FormatInt(total, 10))
	}
	closed := "-"
	if _, ok := values["TCP alloc"]; ok {
		closed = strconv.FormatInt(values["TCP alloc"]-(values["TCP inuse"]+values["TCP6 inuse"]-values["TCP tw"]), 10)
	}
	fmt.Fprint(w, show("Total: %s\n", "sockets used"))
	fmt.Fprint(w, show("TCP:   %s (", "TCP alloc", "TCP tw"), show("estab %s, ", "Tcp CurrEstab"), "closed ", closed, show(", orphaned %s, ", "TCP orphan"), show("timewait %s)\n", "TCP tw"))
	fmt.Fprint(w, "\nTransport Total     IP        IPv6\n")
	for _, line := range []struct {
		name      string
		four, six []string
	}{
		{"RAW", []string{"RAW inuse"}, []string{"RAW6 inuse"}},
		{"UDP", []string{"UDP inuse"}, []string{"UDP6 inuse"}},
		{"TCP", []string{"TCP inuse"}, []string{"TCP6 inuse"}},
		{"INET", []string{"RAW inuse", "UDP inuse", "TCP inuse"}, []string{"RAW6 inuse", "UDP6 inuse", "TCP6 inuse"}},
		{"FRAG", []string{"FRAG inuse"}, []string{"FRAG6 inuse"}},
	} {
		fmt.Fprint(w, line.name, "\t ", show(" %-9s", slices.Concat(line.four, line.six)...), show(" %-9s", line.four...), show(" %-9s\n", line.six...))
	}
	fmt.Fprintln(w)
	return nil
}
