package recorder

import (
	"context"

	"netsql/store"
)

// A source reads one kind of thing from the kernel into the sample under way. How that
// went it leaves with the store.Source it reads through: an error costs the source its
// rows of this sample, and nothing else.
type source interface {
	read(ctx context.Context)
}

// A namespace is a network namespace and the ways to read it.
type namespace struct {
	id   store.Int // inode number of /proc/PID/ns/net
	proc string    // folder of a process in it, such as /proc/self: its net/ is the namespace's
}
