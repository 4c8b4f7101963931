package owners

import (
	"os"
	"testing"
	"time"

	"netsql/recorder/internal/kernel"
)

// A process that was not there yet at that time has the number of another that is gone, and tells nothing of that one.
func TestPeek(t *testing.T) {
	t.Parallel()
	me := int32(os.Getpid())
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if p := Peek(me, kernel.SinceBoot()); p.PID != me || p.Exe != exe || p.Comm == "" || p.Start == 0 || !p.UIDKnown || p.UID != uint32(os.Geteuid()) {
		t.Errorf("now: %+v", p)
	}
	if p := Peek(me, time.Second); p != (Peeked{PID: me}) {
		t.Errorf("a second after boot: %+v", p)
	}
	if p := Peek(1<<30, kernel.SinceBoot()); p != (Peeked{PID: 1 << 30}) {
		t.Errorf("nobody: %+v", p)
	}
}
