package recorder

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"netsql/recorder/internal/owners"
	"netsql/recorder/kerneltest"
)

// What is said to be there is what a sample then has, and what is said to be missing is NULL; a run records it.
func TestCapabilitiesAreTrue(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := Run(t.Context(), Config{Path: path, Interval: MinInterval, Once: true}); err != nil {
		t.Fatal(err)
	}
	r := &testRecording{t: t, path: path}
	has := map[string]bool{}
	for _, row := range r.rows("SELECT c.* FROM capabilities c JOIN runs USING (run)") {
		has[row["name"].(string)] = row["available"] == int64(1)
		if !strings.Contains(text(row["detail"]), " ") {
			t.Errorf("%v explains nothing: %v", row["name"], row["detail"])
		}
	}
	row := r.rows("SELECT * FROM sockets_now WHERE proto = 'udp' AND remote_port = 0")[0]
	for name, column := range map[string]string{"cookies": "cookie", "drops": "drops", "mark": "mark"} {
		if has[name] != (row[column] != nil) {
			t.Errorf("%s: said to be there: %v, but %s is %v", name, has[name], column, row[column])
		}
	}
	outcome := func(source string) bool {
		rows := r.rows("SELECT outcome FROM sources_now WHERE source = ?", source)
		return len(rows) > 0 && rows[0]["outcome"] == "read"
	}
	for name, source := range map[string]string{"tcp diagnostics": "tcp4", "udp diagnostics": "udp4", "unix diagnostics": "unix", "destroy groups": "closes"} {
		if has[name] != outcome(source) {
			t.Errorf("%s: said to be there: %v, but %s was read: %v", name, has[name], source, outcome(source))
		}
	}
	if has["vsock diagnostics"] == exactlyENOENT(t) {
		t.Errorf("vsock diagnostics: %v", has["vsock diagnostics"])
	}
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_count"); has["connection tracking"] != (err == nil) {
		t.Errorf("connection tracking: %v, and its file: %v", has["connection tracking"], err)
	}
	// Who tells of privileges: the kernel, of this process.
	status, err := exec.Command("cat", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	if full := strings.Contains(string(owners.LineOf(status, "CapEff:")), "000001ffffffffff"); full && !(has["owners of all sockets"] && has["all network namespaces"]) {
		t.Errorf("all capabilities, but %v", has)
	}
	if len(has) < 15 {
		t.Errorf("%d capabilities", len(has))
	}
}
