package owners

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"netsql/recorder/internal/kernel"
)

// Cgroups turns the cgroup ids of sockets into paths. An id is the inode number of the
// group's folder, so the tree is walked when an unknown one turns up: at most a hundredth
// of the time, because a socket may outlive its group, and its id is never found.
type Cgroups struct {
	Root  string // where cgroup2 is mounted; "" when it is not
	paths map[uint64]string
	next  time.Time // no walk before
}

// cgroupLimit is how many groups are looked at in a walk.
const cgroupLimit = 50_000

func NewCgroups() *Cgroups {
	c := &Cgroups{}
	if text, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		c.Root = cgroup2Root(text)
	}
	return c
}

// cgroup2Root finds where cgroup2 is mounted. After " - " in a line of mountinfo stands
// the type; the fifth word is the mount point, with blanks as octal.
func cgroup2Root(mountinfo []byte) string {
	for lines := bufio.NewScanner(bytes.NewReader(mountinfo)); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		f := strings.Fields(before)
		if ok && strings.HasPrefix(after, "cgroup2 ") && len(f) >= 5 {
			return strings.ReplaceAll(f[4], `\040`, " ")
		}
	}
	return ""
}

// Path is the group's path below the root of cgroup2, and "" as long as it is not known.
func (c *Cgroups) Path(id uint64) string {
	path, ok := c.paths[id]
	if !ok && c.Root != "" {
		if now := time.Now(); now.After(c.next) {
			c.walk()
			c.next = now.Add(100 * time.Since(now))
			path = c.paths[id]
		}
	}
	return path
}

func (c *Cgroups) walk() {
	// What was found before stays: the sockets of a group that is gone are still its.
	if c.paths == nil || len(c.paths) > cgroupLimit {
		c.paths = map[uint64]string{}
	}
	seen := 0
	filepath.WalkDir(c.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // a group that went away meanwhile
		}
		if seen++; seen > cgroupLimit {
			return fs.SkipAll
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if ok {
			name := strings.TrimPrefix(path, c.Root)
			if name == "" {
				name = "/"
			}
			c.paths[stat.Ino] = kernel.Printable([]byte(name))
		}
		return nil
	})
}

// parseCgroup finds a process's group in /proc/PID/cgroup: the one of cgroup2, and where
// that says nothing (it is the root, as under the old hierarchies) systemd's own.
//
//	0::/system.slice/ssh.service
//	1:name=systemd:/system.slice/ssh.service
func parseCgroup(text []byte) string {
	var v2, v1 string
	for _, line := range strings.Split(string(text), "\n") {
		number, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		controllers, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok || !strings.HasPrefix(path, "/"):
		case number == "0" && controllers == "":
			v2 = path
		case controllers == "name=systemd":
			v1 = path
		}
	}
	if (v2 == "" || v2 == "/") && v1 != "" {
		v2 = v1
	}
	return kernel.Printable([]byte(v2))
}

// deletedGroup is what the kernel adds to the path of a group that is gone.
const deletedGroup = " (deleted)"

// containerPart is how the engines write a container's id into one part of the path:
//
//	docker/ID  docker-ID.scope  libpod-ID.scope  crio-ID.scope  cri-containerd-ID.scope
//	kubepods/burstable/podUID/ID  machine.slice/libpod-ID.scope/container
var containerPart = regexp.MustCompile(`^(?:[a-z][a-z0-9_.:-]*[-:])?([0-9a-f]{64})(?:\.scope)?$`)

// lxcPart is LXC's; its containers have names.
var lxcPart = regexp.MustCompile(`^lxc(?:\.payload)?[./]([^/]+)`)

// ContainerID is the innermost container that the path names.
func ContainerID(cgroup string) string {
	parts := strings.Split(strings.TrimSuffix(cgroup, deletedGroup), "/")
	for i := len(parts) - 1; i >= 0; i-- {
		// conmon, which minds a container, is not in it.
		if m := containerPart.FindStringSubmatch(parts[i]); m != nil && !strings.Contains(parts[i], "conmon-") {
			return m[1]
		}
	}
	for i := range parts {
		if m := lxcPart.FindStringSubmatch(strings.Join(parts[i:], "/")); m != nil && !strings.HasPrefix(m[1], "monitor") {
			return m[1]
		}
	}
	return ""
}

// unitSuffixes are the kinds of systemd unit that have a control group.
var unitSuffixes = []string{".service", ".scope", ".socket", ".mount", ".swap", ".slice"}

// SystemdUnit is the innermost systemd unit that the path names; a slice only where there
// is nothing better.
func SystemdUnit(cgroup string) string {
	slice := ""
	parts := strings.Split(strings.TrimSuffix(cgroup, deletedGroup), "/")
	for i := len(parts) - 1; i >= 0; i-- {
		for _, suffix := range unitSuffixes {
			if len(parts[i]) == len(suffix) || !strings.HasSuffix(parts[i], suffix) {
				continue
			}
			if suffix != ".slice" {
				return parts[i]
			}
			if slice == "" {
				slice = parts[i]
			}
		}
	}
	return slice
}
