package recorder

import (
	"context"
	"fmt"
	"strconv"

	"netsql/store"
)

// softnet records how each CPU copes with received packets. The counts are of the whole
// machine, whichever namespace is asked.
type softnet struct {
	source *store.Source
	path   string
	file   procFile
	set    *store.Set[store.SoftnetID, store.Softnet]
}

func newSoftnet(w *store.Writer, ns namespace) source {
	s := &softnet{source: w.Source("softnet"), path: ns.proc + "/net/softnet_stat"}
	s.set = store.NewSet(s.source, store.SoftnetCounters)
	return s
}

func (s *softnet) read(context.Context) {
	s.source.Read(func() error {
		text, err := s.file.read(s.path)
		if err != nil {
			return fmt.Errorf("read %s: %w", s.path, err)
		}
		if err := parseSoftnet(text, func(id store.SoftnetID, v store.Softnet) { s.set.Put(id, v) }); err != nil {
			return fmt.Errorf("read %s: %w", s.path, err)
		}
		return nil
	})
}

// parseSoftnet calls visit for each line of softnet_stat: hexadecimal columns, to which
// kernels have added. 9 are the oldest; the tenth is RPS (2.6.35), the eleventh the flow
// limit (3.11), the twelfth and thirteenth the backlog and the CPU (5.10), and two more (6.4)
// say which queue the backlog stands in. Without the CPU the line tells, which is wrong after
// one that is offline.
func parseSoftnet(text []byte, visit func(store.SoftnetID, store.Softnet)) error {
	for number := 0; len(text) > 0; number++ {
		var line []byte
		line, text = nextLine(text)
		var columns [13]store.Int
		n := 0
		for {
			var word []byte
			if word, line = nextField(line); len(word) == 0 {
				break
			}
			value, err := strconv.ParseUint(string(word), 16, 32)
			if err != nil {
				return fmt.Errorf("line %d: %w", number+1, err)
			}
			if n < len(columns) {
				columns[n] = store.Of(value)
				n++
			}
		}
		if n < 9 {
			return fmt.Errorf("line %d has %d columns", number+1, n)
		}
		visit(store.SoftnetID{CPU: store.Of(columns[12].Or(int64(number)))}, store.Softnet{
			Processed: columns[0], Dropped: columns[1], TimeSqueeze: columns[2],
			ReceivedRPS: columns[9], FlowLimit: columns[10], Backlog: columns[11],
		})
	}
	return nil
}
