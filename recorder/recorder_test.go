package recorder

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseNetNS(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		words string
		want  NetNS
		err   string
	}{
		{words: "all", want: NetNS{all: true}},
		{words: "self", want: NetNS{own: true}},
		{words: "self, red,cni-4af1", want: NetNS{own: true, names: []string{"red", "cni-4af1"}}},
		{words: "4026531840,pid:17", want: NetNS{inodes: []uint64{4026531840}, pids: []int32{17}}},
		{words: "", err: `"": it must be all, self, or`},
		{words: "red,,blue", err: `"": it must be`},
		{words: "/run/netns/red", err: `"/run/netns/red": it must be`},
		{words: "..", err: `it must be`},
		{words: "pid:", err: `"pid:" names no process: such as pid:4711`},
		{words: "pid:0", err: `names no process`},
		{words: "pid:99999999999", err: `names no process`},
	} {
		got, err := ParseNetNS(c.words)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: error %v, want %q", c.words, err, c.err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(NetNS{})); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", c.words, err, diff)
		}
	}
}
