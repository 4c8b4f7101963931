package debuglog

import (
	"bytes"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for words, want := range map[string]string{"": "", " ": "", "netlink": "n", "owners, store": "os", "store,netlink,owners": "nos"} {
		logs, err := Parse(words, &out)
		got := ""
		for name, l := range map[string]*Log{"n": logs.Netlink, "o": logs.Owners, "s": logs.Store} {
			if (l != nil) != strings.Contains(want, name) {
				got = name
			}
		}
		if err != nil || got != "" {
			t.Errorf("%q: %+v, %v", words, logs, err)
		}
	}
	for _, words := range []string{"netlink,", "all", "Store"} {
		if _, err := Parse(words, &out); err == nil || !strings.Contains(err.Error(), "netlink, owners, store") {
			t.Errorf("%q: %v", words, err)
		}
	}
	if logs, err := Parse("netlink", nil); err != nil || logs.Netlink != nil {
		t.Errorf("with nowhere to write: %v, %v", logs, err)
	}
}

func TestPrintf(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logs, err := Parse("store", &out)
	if err != nil {
		t.Fatal(err)
	}
	logs.Store.Printf("%d rows", 3)
	if got := out.String(); got != "netsql: store: 3 rows\n" {
		t.Errorf("%q", got)
	}
}
