package store

// ProcessID names one program run: an exec makes a new subject of the same pid.
type ProcessID struct {
	PID     Int     `col:"pid" doc:"Process id."`
	Started float64 `col:"started" doc:"When the process started (field 22 of /proc/PID/stat)."`
	Comm    string  `col:"comm" doc:"Name of the program, 15 bytes at most (/proc/PID/comm)."`
	Exe     string  `col:"exe" doc:"Path of the executable (/proc/PID/exe)."`
	Cmdline string  `col:"cmdline" doc:"Command line when first seen, arguments parted by blanks (/proc/PID/cmdline); passwords in it are ***, without --no-mask."`
}

// Process is what may change while a program runs.
type Process struct {
	PPID        Int    `col:"ppid,rare" doc:"Process id of the parent."`
	UID         Int    `col:"uid,rare" doc:"Effective user id of the process."`
	User        string `col:"user,rare" doc:"Name of that user."`
	CGroup      string `col:"cgroup,rare" doc:"Control group of the process (/proc/PID/cgroup)."`
	ContainerID string `col:"container_id,rare" doc:"Container id, when the control group names one (docker, containerd, podman, cri-o)."`
	Unit        string `col:"unit,rare" doc:"systemd unit, when the control group names one."`
	FDLimit     Int    `col:"fd_limit,rare" doc:"Most file descriptors it may have open (RLIMIT_NOFILE, soft)."`
	FDs         Int    `col:"fds,value" doc:"File descriptors it has open."`
	NetNS       Int    `col:"netns,rare" doc:"Inode number of its network namespace, as readlink /proc/PID/ns/net shows it."`
}
