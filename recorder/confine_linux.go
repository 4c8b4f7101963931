package recorder

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
	"kernel.org/pub/linux/libs/security/libcap/psx"

	"netsql/store"
)

// A privilege is a capability that the recorder keeps, with what it gives and what is lost without it (capabilities(7)).
type privilege struct {
	value       cap.Value
	gives, lost string
}

// privileges are all that the recorder keeps of what it was started with.
var privileges = []privilege{
	{cap.NET_ADMIN, "marks of sockets, the firewall, a large buffer for events", "sockets.mark is NULL, the table firewall is empty, and events are lost sooner"},
	{cap.SYS_PTRACE, "with CAP_DAC_READ_SEARCH: the owners of all sockets", "only sockets of the recorder's own user have owners"},
	{cap.DAC_READ_SEARCH, "with CAP_SYS_PTRACE: the owners of all sockets; the kernel's trace points", "only sockets of the recorder's own user have owners, and closed connections no process"},
	{cap.PERFMON, "who opened and closed each connection, and why packets were dropped", "unless CAP_SYS_ADMIN is there, connections between two samples have no owner, and packet_drops is empty"},
	{cap.SYS_ADMIN, "all network namespaces; tracefs where it is not mounted", "only the recorder's own network namespace is recorded, and no trace points where tracefs is not mounted"},
}

// Become makes the process one of that user and its groups, for good and in all threads, and leaves it its privileges: Config.Confined gives up
// those that are not needed. It is for where nothing else starts the recorder as that user with privileges.
func Become(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("there is no user %s: useradd --system %[1]s makes one", name)
	}
	if strconv.Itoa(os.Getuid()) == u.Uid {
		return nil
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	all, err := u.GroupIds()
	if err != nil {
		return err
	}
	var groups []int
	for _, id := range all {
		if group, err := strconv.Atoi(id); err == nil {
			groups = append(groups, group)
		}
	}
	if err := errors.Join(cap.SetGroups(gid, groups...), cap.SetUID(uid)); err != nil {
		return fmt.Errorf("only root can record as %s: %w", name, err)
	}
	now := cap.GetProc() // which has none in effect any more
	if err := now.FillFlag(cap.Effective, now, cap.Permitted); err != nil {
		return err
	}
	return now.SetProc()
}

// confine gives up all privileges but those that are needed, in all threads and for good. From then on the process gains none by exec
// (PR_SET_NO_NEW_PRIVS), and leaves no core dump (PR_SET_DUMPABLE, RLIMIT_CORE): command lines of all users are in its memory.
func confine() error {
	had := cap.GetProc()
	keep := cap.NewSet()
	var names []cap.Value
	for _, p := range privileges {
		names = append(names, p.value)
	}
	for _, name := range names {
		if has, err := had.GetFlag(cap.Permitted, name); err == nil && has {
			if err := keep.SetFlag(cap.Permitted, true, name); err != nil {
				return err
			}
			if err := keep.SetFlag(cap.Effective, true, name); err != nil {
				return err
			}
		}
	}
	if may, err := had.GetFlag(cap.Effective, cap.SETPCAP); err == nil && may {
		for v := range cap.MaxBits() {
			if !slices.Contains(names, v) {
				if err := cap.DropBound(v); err != nil {
					return fmt.Errorf("give up %v: %w", v, err)
				}
			}
		}
	}
	if err := cap.ResetAmbient(); err != nil {
		return fmt.Errorf("give up ambient capabilities: %w", err)
	}
	if err := keep.SetProc(); err != nil {
		return fmt.Errorf("keep only %v: %w", keep, err)
	}
	for _, option := range []struct {
		name  string
		words [2]uintptr
	}{{"PR_SET_NO_NEW_PRIVS", [2]uintptr{unix.PR_SET_NO_NEW_PRIVS, 1}}, {"PR_SET_DUMPABLE", [2]uintptr{unix.PR_SET_DUMPABLE, 0}}} {
		if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, option.words[0], option.words[1], 0, 0, 0, 0); errno != 0 {
			return fmt.Errorf("%s: %w", option.name, errno)
		}
	}
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// privilegeCapabilities says which privileges this process has.
func privilegeCapabilities() (all []store.Capability) {
	now := cap.GetProc()
	for _, p := range privileges {
		c := store.Capability{Name: strings.ToUpper(p.value.String()), Detail: p.gives}
		if has, err := now.GetFlag(cap.Effective, p.value); err == nil {
			c.Available = has
		}
		if !c.Available {
			c.Detail = p.lost
		}
		all = append(all, c)
	}
	confined := store.Capability{Name: "confined", Available: true, Detail: "all privileges but those were given up, for good (PR_SET_NO_NEW_PRIVS)"}
	if given, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || given == 0 {
		confined.Available, confined.Detail = false, "the recorder has all privileges that it was started with: it runs in another program"
	}
	return append(all, confined)
}
