package crowd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"netsql/recorder/kerneltest"
)

// The processes of a crowd are this program: here the test.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "bench-part" {
		n, err := strconv.Atoi(os.Args[3])
		if err == nil {
			err = Hold(n, os.Stdin, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// A crowd is as many sockets as it should be, in ss as well; its processes are gone when it ends.
func TestCrowd(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	kerneltest.Command(t, "ss", "-V")
	if err := LoopbackUp(); err != nil {
		t.Fatal(err)
	}
	c, err := Gather(t.Context(), MemberSockets+100)
	if err != nil {
		t.Fatal(err)
	}
	defer c.End()
	if len(c.Members) != 2 || c.Sockets != MemberSockets+100 {
		t.Errorf("%d processes with %d sockets", len(c.Members), c.Sockets)
	}
	count := func() int {
		t.Helper()
		return strings.Count(kerneltest.Command(t, "ss", "-Htan", "state", "established"), "\n")
	}
	if n := count(); n != c.Sockets {
		t.Errorf("ss sees %d sockets, not %d", n, c.Sockets)
	}
	// A fifth has sent a byte, then another.
	sent := func() int { return strings.Count(kerneltest.Command(t, "ss", "-Htani"), "bytes_sent:1 ") }
	for turn := 1; turn <= 5; turn++ {
		if err := c.Poke(); err != nil {
			t.Fatal(err)
		}
		if n, want := sent(), c.Sockets/2*turn/5; n != want {
			t.Errorf("after %d fifths %d sockets have sent, not %d", turn, n, want)
		}
	}
	if err := c.Do("replace 20"); err != nil {
		t.Fatal(err)
	}
	if n := sent(); n != c.Sockets/2-40 {
		t.Errorf("after 40 of them were replaced %d sockets have sent, not %d", n, c.Sockets/2-40)
	}
	if err := c.Do("churn 1000 200"); err != nil {
		t.Fatal(err)
	}
	if err := c.Do("dance"); err == nil || !strings.Contains(err.Error(), "dance") {
		t.Errorf("what it does not know: %v", err)
	}
	if n := count(); n != c.Sockets {
		t.Errorf("after all that ss sees %d sockets, not %d", n, c.Sockets)
	}
	c.End()
	if n := count(); n != 0 {
		t.Errorf("after its end ss sees %d sockets", n)
	}
}
