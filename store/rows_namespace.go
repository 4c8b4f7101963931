package store

// NamespaceID names a network namespace. The kernel gives the inode number of one that is gone to the
// next; the cookie tells them apart.
type NamespaceID struct {
	NetNS  Int `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Cookie Int `col:"netns_cookie" doc:"The kernel's number for the namespace (SO_NETNS_COOKIE, Linux 5.14), unique until the next boot."`
}

// Namespace says what the namespace is known as, and who is in it.
type Namespace struct {
	Name        string `col:"name,rare" doc:"Its names under /run/netns (ip netns), parted by commas; NULL when it has none."`
	Own         Int    `col:"own,rare" doc:"1 for the one that the recorder runs in, 0 for others."`
	ContainerID string `col:"container_id,rare" doc:"Container that its first process runs in, when the control group names one."`
	Unit        string `col:"unit,rare" doc:"systemd unit that its first process runs in."`
	Process     Ref    `col:"process,rare" ref:"processes:pid,comm,exe,cmdline" doc:"Its first process: the one that was started first."`
	Processes   Int    `col:"processes,value" doc:"Number of processes in it, of those that may be seen."`
}
