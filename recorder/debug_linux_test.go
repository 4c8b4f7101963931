package recorder

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"netsql/recorder/kerneltest"
)

// A safeBuffer takes what several goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// What the kernel tells and what is decided is written for the topics that are asked for, and for no others.
func TestDebug(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	record := func(topics string) string {
		t.Helper()
		var out safeBuffer
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		samples := 0
		err := Run(ctx, Config{Path: filepath.Join(t.TempDir(), "debug.db"), Interval: MinInterval, NetNS: NetNS{own: true}, Debug: topics, DebugTo: &out,
			Sampled: func() {
				switch samples++; samples {
				case 1:
					ip(t, "link add d0 type veth peer name d1")
					c, err := net.Dial("tcp4", l.Addr().String())
					if err != nil {
						t.Error(err)
						return
					}
					c.Close()
				case 3:
					ip(t, "link del d0")
					stop()
				}
			}})
		if err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	want := map[string][]string{
		"netlink": {`request of type 18, flags 0x\w+, seq \d+`, `answer to seq \d+: [1-9]\d* messages in [1-9]\d* bytes, after \S+: complete`,
			`message of type 16 \(RTM_NEWLINK\), \d+ bytes, flags`, `message of type 20 \(a closed socket\), \d+ bytes`},
		"owners": {`inode \d+ is held by process \d+ \(\S+\), descriptor \d+ of table 0`, `tcp4 socket of port \d+, inode \d+, cookie \d+: process \d+ of the recording, known by fd`,
			`\d+ processes, \d+ known descriptors`},
		"store": {`the sample of \S+ since boot, 1 network namespaces, \S+ after its begin: written`, `a step of tidying up .* took`},
	}
	for topics := range map[string]bool{"": true, "netlink": true, "owners": true, "store": true, "netlink,owners,store": true} {
		said := record(topics)
		for topic, patterns := range want {
			on := strings.Contains(topics, topic)
			if strings.Contains(said, "netsql: "+topic+": ") != on {
				t.Errorf("of %s something is said: %v, when it is asked for %q", topic, !on, topics)
			}
			for _, pattern := range patterns {
				if on && !regexp.MustCompile(`(?m)^netsql: `+topic+`: .*`+pattern).MatchString(said) {
					t.Errorf("with %q nothing is said like %s", topics, pattern)
				}
			}
		}
	}
	if err := Run(t.Context(), Config{Path: filepath.Join(t.TempDir(), "never.db"), Interval: MinInterval, Debug: "everything"}); err == nil {
		t.Error("a topic that there is not is taken")
	}
}

// A log that is off costs no memory.
func TestDebugOffAllocatesNothing(t *testing.T) {
	b := make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() { logMessages(nil, namespace{}, changeNames, b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
