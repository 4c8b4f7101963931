//go:build !unix

package ask

import "os/exec"

func ownGroup(*exec.Cmd) {}

// end ends ssh, and waits for it.
func end(cmd *exec.Cmd, exited <-chan struct{}) {
	_ = cmd.Process.Kill()
	<-exited
}
