package service

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

//go:embed netsql.openrc
var openRCScript string

// openRCLog is where supervise-daemon writes what the recorder says.
const openRCLog = "/var/log/netsql.log"

// openRC runs the recorder of the machine under supervise-daemon(8). It becomes the user netsql by itself, and keeps its privileges: the
// capabilities of supervise-daemon are not built into every OpenRC (Debian's 0.45.2 says so at the start).
type openRC struct{ *Service }

func (openRC) unit() string { return "/etc/init.d/" + name }

func (openRC) packaged() string { return "" }

func (openRC) describe() (text string, mode os.FileMode) { return openRCScript, 0o755 }

// makeUser is by the tools of shadow, or of busybox.
func (openRC) makeUser(ctx context.Context, home string) error {
	if _, err := exec.LookPath("useradd"); err == nil {
		return run(ctx, "useradd", "--system", "--user-group", "--home-dir", home, "--no-create-home", "--shell", "/sbin/nologin", "--comment", "netsql recorder", name)
	}
	if err := run(ctx, "addgroup", "-S", name); err != nil {
		return err
	}
	return run(ctx, "adduser", "-S", "-D", "-H", "-h", home, "-s", "/sbin/nologin", "-G", name, name)
}

func (o openRC) start(ctx context.Context) error {
	if !o.inRunlevel() {
		if err := run(ctx, "rc-update", "add", name, "default"); err != nil {
			return err
		}
	}
	if err := run(ctx, "rc-service", name, "restart"); err != nil {
		return fmt.Errorf("%w: %s may say why", err, openRCLog)
	}
	if !o.Ready(ctx) { // the script has waited for that
		return fmt.Errorf("the recorder has written no sample yet: %s may say why", openRCLog)
	}
	return nil
}

func (o openRC) stop(ctx context.Context) error {
	if err := run(ctx, "rc-service", "--ifstarted", name, "stop"); err != nil {
		return err
	}
	if !o.inRunlevel() {
		return nil
	}
	return run(ctx, "rc-update", "del", name, "default")
}

func (openRC) forget(context.Context) error { return nil }

func (openRC) leaves() []string { return []string{openRCLog} }

func (o openRC) inRunlevel() bool {
	_, err := os.Lstat("/etc/runlevels/default/" + name)
	return err == nil
}

func (o openRC) state(ctx context.Context) (string, error) {
	if _, err := os.Stat(o.unit()); os.IsNotExist(err) {
		return notInstalled, nil
	}
	text, _ := exec.CommandContext(ctx, "rc-service", "--nocolor", name, "status").CombinedOutput() // which fails when it does not run
	state := strings.TrimSpace(string(text))
	if _, after, found := strings.Cut(state, "status: "); found {
		state, _, _ = strings.Cut(after, "\n")
	}
	if o.inRunlevel() {
		return state + ", in the runlevel default", nil
	}
	return state + ", in no runlevel: it does not start with the machine", nil
}
