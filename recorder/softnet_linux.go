package recorder

import (
	"context"
	"fmt"

	"github.com/prometheus/procfs"

	"netsql/store"
)

// softnet records how each CPU copes with received packets. The counts are of the whole
// machine, whichever namespace is asked.
type softnet struct {
	source *store.Source
	proc   string
	set    *store.Set[store.SoftnetID, store.Softnet]

	symptoms *machineSymptoms
}

func newSoftnet(w *store.Writer, ns namespace) source {
	s := &softnet{source: w.Source("softnet"), proc: ns.proc}
	s.set = store.NewSet(s.source, store.SoftnetCounters)
	return s
}

func (s *softnet) read(context.Context) {
	s.source.Read(func() error {
		fs, err := procfs.NewFS(s.proc)
		if err != nil {
			return fmt.Errorf("read softnet_stat: %w", err)
		}
		stats, err := fs.NetSoftnetStat()
		if err != nil {
			return fmt.Errorf("read softnet_stat: %w", err)
		}
		for _, stat := range stats {
			s.symptoms.lookAtCPU(stat.Index, stat.Dropped, stat.TimeSqueezed)
			s.set.Put(softnetRow(stat))
		}
		return nil
	})
}

// softnetRow is a line of softnet_stat as it is recorded. Kernels have added columns: the
// tenth is RPS (2.6.35), the eleventh the flow limit (3.11), the twelfth and thirteenth the
// backlog and the CPU (5.10). The library says 0 for what is not there; it is unknown.
func softnetRow(stat procfs.SoftnetStat) (store.SoftnetID, store.Softnet) {
	known := func(column int, n uint32) store.Int {
		if stat.Width < column {
			return store.Int{}
		}
		return store.Of(n)
	}
	return store.SoftnetID{CPU: store.Of(stat.Index)}, store.Softnet{
		Processed: store.Of(stat.Processed), Dropped: store.Of(stat.Dropped), TimeSqueeze: store.Of(stat.TimeSqueezed),
		ReceivedRPS: known(10, stat.ReceivedRps), FlowLimit: known(11, stat.FlowLimitCount), Backlog: known(12, stat.SoftnetBacklogLen),
	}
}
