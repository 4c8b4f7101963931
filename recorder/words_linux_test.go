package recorder

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"netsql/recorder/internal/sockdiag"
	"netsql/store"
	"netsql/store/glossary"
)

// Every state, flag, kind, timer and setting that the recorder writes has an entry in the glossary.
func TestWordsOfTheRecorderHaveEntries(t *testing.T) {
	t.Parallel()
	asked := 0
	want := func(kind string, words ...string) {
		for _, word := range words {
			if word == "" {
				continue
			}
			asked++
			if !slices.ContainsFunc(glossary.Find(word), func(e glossary.Entry) bool { return e.Kind == kind && e.Word == word && e.What != "" && e.Normal != "" }) {
				t.Errorf("nothing on the %s %s", kind, word)
			}
		}
	}
	flags := func(kind string, flags []flagName) {
		for _, f := range flags {
			want(kind, f.name)
		}
	}
	names := func(kind string, names numberNames) {
		for _, name := range names {
			want(kind, name)
		}
	}
	want("state", sockdiag.StateNames[:]...)
	want("timer", sockdiag.TimerNames[:]...)
	flags("interface flag", linkFlags)
	flags("address flag", addressFlags[:])
	flags("address flag", addressFlags6[:])
	want("address flag", "dynamic")
	flags("route flag", routeFlags)
	want("route flag", "expired")
	flags("neighbor flag", neighborFlags)
	names("neighbor state", neighborStates)
	names("operstate", operStates)
	names("route type", routeTypes)
	want("nexthop flag", "resilient")
	want("setting", settingNames...)
	for _, s := range linkSettings {
		want("setting", s.sysctl("eth0"), s.sysctl("eth0.100"))
	}
	if asked < 250 {
		t.Errorf("%d words", asked)
	}
	if glossary.Find("net.ipv4.conf.eth0.nosuch") != nil {
		t.Error("a setting that is not there has an entry")
	}
}

// Every counter that the recorder reads on this kernel has words, but for those that are named by a number or a CPU.
func TestCountersOfTheRecorderHaveWords(t *testing.T) {
	t.Parallel()
	asked := 0
	ask := func(files []*counterFile) {
		for _, f := range files {
			text, err := os.ReadFile(f.path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = f.parse(text, func(group, name []byte, _ store.Int) {
					asked++
					if string(group) != "IcmpMsg" && glossary.Counter(string(group), string(name)) == "" {
						t.Errorf("%s: nothing on %s.%s", f.name, group, name)
					}
				})
			}
			if err != nil {
				t.Errorf("%s: %v", f.path, err)
			}
		}
	}
	r := newRecording(t)
	ask(newProtocolCounters(r.Writer, here(t)).(*protocolCounters).files)
	ask(newMachineCounters(r.Writer, here(t)).(*protocolCounters).files)
	if asked < 300 {
		t.Errorf("%d counters", asked)
	}
}

// Of each counter that the recorder watches for faults the glossary says what is normal, when to worry and what to look at.
func TestWatchedCountersHaveAll(t *testing.T) {
	t.Parallel()
	watched := []string{"Tcp.OutRsts", "arp_cache.entries", "ndisc_cache.entries"}
	for name := range acuteCounters {
		watched = append(watched, name)
	}
	for _, name := range watched {
		if group, counter, _ := strings.Cut(name, "."); signOf(group, counter) == noSign {
			t.Errorf("%s is not watched", name)
		}
		if found := glossary.Find(name); len(found) != 1 || found[0].Word != name || found[0].What == "" || found[0].Normal == "" || found[0].Worry == "" || found[0].Next == "" {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
