package query

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"netsql/store"
)

// parsed is what Prometheus's own parser reads: a value by the name and the labels.
func parsedMetrics(t *testing.T, text string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	got := map[string]float64{}
	for name, family := range families {
		if family.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		for _, m := range family.Metric {
			key := name
			for _, label := range m.Label {
				key += " " + label.GetName() + "=" + label.GetValue()
			}
			if _, twice := got[key]; twice || m.Gauge == nil {
				t.Errorf("%s stands twice, or is no gauge", key)
			}
			got[key] = m.Gauge.GetValue()
		}
	}
	return got
}

func TestPrometheus(t *testing.T) {
	t.Parallel()
	d := newDiary(t, time.Now().Add(-time.Minute))
	d.may = []store.Capability{{Name: "CAP_A", Available: true, Detail: "a"}, {Name: "CAP_B", Detail: "no b"}, {Name: "CAPS", Detail: "no privilege"}}
	d.start()
	r := openRecording(t, d.path)
	read := func() map[string]float64 {
		s, _ := readStatus(t, r)
		var b bytes.Buffer
		if err := s.WritePrometheus(t.Context(), r, &b); err != nil {
			t.Fatal(err)
		}
		return parsedMetrics(t, b.String())
	}
	got := read()
	for _, unknown := range []string{"netsql_last_sample_age_seconds", "netsql_recorder_cpu_ratio", "netsql_findings severity=fault", "netsql_privilege name=CAPS", "netsql_recording_days_left until=disk"} {
		if v, ok := got[unknown]; ok {
			t.Errorf("before the first sample %s is %v", unknown, v)
		}
	}
	d.sample(nil)
	d.wall = time.Now().Add(-7 * time.Second) // the next is 5 s later
	d.sample(nil)
	got = read()
	for name, want := range map[string]float64{"netsql_up": 1, "netsql_samples": 2, "netsql_findings severity=fault": 0, "netsql_leaks": 0, "netsql_privilege name=CAP_A": 1, "netsql_privilege name=CAP_B": 0, "netsql_sources_troubled": 0} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v: %v", name, v, want, got)
		}
	}
	if age := got["netsql_last_sample_age_seconds"]; age < 1 || age > 60 {
		t.Errorf("the newest sample is %v s old", age)
	}
	d.stop()
	got = read()
	if v, ok := got["netsql_up"]; !ok || v != 0 {
		t.Errorf("stopped: up is %v", v)
	}
	if _, ok := got["netsql_findings severity=fault"]; ok {
		t.Error("of a recorder that is stopped there are totals")
	}
}

// Whatever a label holds, the parser reads it back.
func FuzzPrometheusLabels(f *testing.F) {
	f.Add("ESTABLISHED", 1.5)
	f.Add("a\"b\\c\nd{e}=,", -2.0)
	f.Add("\xff\x00é", 1e300)
	f.Fuzz(func(t *testing.T, text string, value float64) {
		var b strings.Builder
		metric{name: "netsql_test", help: "A \\ test\nof " + strings.ToValidUTF8(text, "?") + ".", values: []metricValue{{labels: []string{"a", text, "b", "x"}, value: value}}}.write(&b)
		got := parsedMetrics(t, b.String())
		want := text
		if !utf8.ValidString(text) {
			want = strings.ToValidUTF8(text, "\uFFFD")
		}
		v, ok := got["netsql_test a="+want+" b=x"]
		if !ok || v != value && value == value {
			t.Errorf("%q and %v became %v", text, value, got)
		}
	})
}
