//go:build unix

package ask

import (
	"os/exec"
	"syscall"
	"time"
)

// ownGroup has ssh and what it starts, such as a ProxyCommand, be a group of processes, which ends as one.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// end ends the group, and waits for ssh.
func end(cmd *exec.Cmd, exited <-chan struct{}) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		select {
		case <-exited: // its number may be another's by now
			return
		default:
		}
		_ = syscall.Kill(-cmd.Process.Pid, signal)
		select {
		case <-exited:
			return
		case <-time.After(500 * time.Millisecond):
		}
	}
	<-exited
}
