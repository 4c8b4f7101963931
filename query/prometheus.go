package query

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A metric is a gauge in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/).
type metric struct {
	name, help string
	values     []metricValue
}

// A metricValue is one line of it: labels as name, value, name, value.
type metricValue struct {
	labels []string
	value  float64
}

// one is a metric without labels; what is not known has no line.
func one(name, help string, value *float64) metric {
	m := metric{name: name, help: help}
	if value != nil {
		m.values = []metricValue{{value: *value}}
	}
	return m
}

func known[T int | int64 | float64](v T) *float64 { f := float64(v); return &f }

func maybe[T int | int64](v *T) *float64 {
	if v == nil {
		return nil
	}
	return known(*v)
}

// metrics are how the recorder fares, and, while it is neither stopped nor behind, what there is in its newest sample.
func (s Status) metrics(ctx context.Context, r *Recording) ([]metric, error) {
	up := 0.0
	if s.Trouble() == "" {
		up = 1
	}
	all := []metric{
		one("netsql_up", "Whether a recorder records, and its newest sample is no older than three intervals (15 s at least).", &up),
		{name: "netsql_info", help: "Which netsql records, or recorded last, on which host.", values: []metricValue{{labels: []string{"host", s.Host, "kernel", s.Kernel, "version", s.Version}, value: 1}}},
		one("netsql_interval_seconds", "Time between two samples.", known(s.IntervalS)),
		one("netsql_last_sample_age_seconds", "Age of the newest sample.", s.LastAgeS),
		one("netsql_samples", "Samples that are kept.", known(s.Samples)),
		one("netsql_recorded_seconds", "Time from the first sample to the last, without that in which nobody looked.", known(s.RecordedS)),
		one("netsql_gaps", "Times when nobody looked, or not at everything.", known(s.Gaps)),
		one("netsql_unwatched_seconds", "How long nobody looked at all.", known(s.UnwatchedS)),
		one("netsql_recording_bytes", "Size of the recording on disk.", known(s.SizeBytes)),
		one("netsql_recording_wal_bytes", "Size of its -wal file.", known(s.WALBytes)),
		one("netsql_recording_limit_bytes", "Size that it may grow to; missing: without limit.", maybe(s.MaxBytes)),
		one("netsql_recording_growth_bytes_per_day", "What is written in a day.", s.BytesPerDay),
		one("netsql_recording_room_seconds", "How much time of every sample the limit has room for.", s.RoomS),
		one("netsql_recording_disk_free_bytes", "What is free on its disk.", s.DiskFree),
		{name: "netsql_recording_days_left", help: "Days until the limit is reached, and from then on not every sample stays, and until the disk is full, and from then on nothing is recorded; +Inf: never.", values: s.daysLeftByEnd()},
		{name: "netsql_privilege", help: "Whether the recorder has a privilege that it uses.", values: s.privilegeValues()},
		one("netsql_sources", "Sources that were to be read in the newest sample.", known(s.Sources)),
		one("netsql_sources_troubled", "Sources that gave nothing or not all in it.", known(len(s.Troubled))),
		one("netsql_recorder_resident_bytes", "Memory of the recorder.", maybe(s.RSSBytes)),
	}
	if s.CPUPercent != nil {
		all = append(all, one("netsql_recorder_cpu_ratio", "Share of one core that the recorder took in the hour before the newest sample.", known(*s.CPUPercent/100)))
	}
	if up == 0 || s.Samples == 0 {
		return all, nil // what there was is not what there is
	}
	if _, _, err := r.SetAt(ctx, time.Time{}); err != nil {
		return nil, err
	}
	if err := r.SetWindow(ctx, s.Now.Add(-time.Hour), time.Time{}); err != nil {
		return nil, err
	}
	for _, counted := range []struct {
		name, help string
		labels     []string
		statement  string
	}{
		{"netsql_sockets", "Sockets in the newest sample.", []string{"proto", "state"},
			"SELECT proto, state, sum(count) FROM socket_counts WHERE ts = at() GROUP BY proto, state"},
		{"netsql_leaks", "Rows of leaks: processes and programs that opened sockets and did not close them in the last hour.", nil, "SELECT count(*) FROM leaks"},
		{"netsql_findings", "What was wrong in the last hour, as netsql doctor finds it.", []string{"severity"},
			"SELECT severity, count(f.severity) FROM (SELECT 'fault' AS severity UNION ALL SELECT 'warning' UNION ALL SELECT 'info') LEFT JOIN findings f USING (severity) GROUP BY severity"},
	} {
		m := metric{name: counted.name, help: counted.help}
		if err := r.each(ctx, counted.statement, nil, func(row []any) {
			v := metricValue{}
			for i, label := range counted.labels {
				v.labels = append(v.labels, label, textOfLabel(row[i]))
			}
			if n, ok := row[len(counted.labels)].(int64); ok {
				v.value = float64(n)
				m.values = append(m.values, v)
			}
		}); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func (s Status) daysLeftByEnd() (values []metricValue) {
	for _, end := range []struct {
		name string
		days *float64
	}{{"limit", s.Left.LimitDays}, {"disk", s.Left.DiskDays}} {
		if end.days != nil {
			values = append(values, metricValue{[]string{"until", end.name}, *end.days})
		}
	}
	return values
}

func (s Status) privilegeValues() (values []metricValue) {
	for _, p := range s.Privileges {
		has := 0.0
		if p.Available {
			has = 1
		}
		values = append(values, metricValue{[]string{"name", p.Name}, has})
	}
	return values
}

func textOfLabel(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// WritePrometheus prints the status in the text format of Prometheus, as the textfile collector of node_exporter reads it.
func (s Status) WritePrometheus(ctx context.Context, r *Recording, w io.Writer) error {
	all, err := s.metrics(ctx, r)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, m := range all {
		m.write(&b)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

func (m metric) write(b *strings.Builder) {
	if len(m.values) == 0 {
		return
	}
	fmt.Fprintf(b, "# HELP %s %s\n# TYPE %[1]s gauge\n", m.name, helpEscapes.Replace(m.help))
	slices.SortFunc(m.values, func(a, b metricValue) int {
		return cmp.Compare(strings.Join(a.labels, "\x00"), strings.Join(b.labels, "\x00"))
	})
	for _, v := range m.values {
		b.WriteString(m.name)
		for i := 0; i < len(v.labels); i += 2 {
			b.WriteByte("{,"[min(i, 1)])
			fmt.Fprintf(b, `%s="%s"`, v.labels[i], labelEscapes.Replace(strings.ToValidUTF8(v.labels[i+1], "\uFFFD")))
		}
		if len(v.labels) > 0 {
			b.WriteByte('}')
		}
		b.WriteByte(' ')
		b.WriteString(strconv.FormatFloat(v.value, 'g', -1, 64))
		b.WriteByte('\n')
	}
}
