package recorder

import "context"

// A source reads one kind of thing from the kernel into the sample under way. How that
// went it leaves with the store.Source it reads through: an error costs the source its
// rows of this sample, and nothing else.
type source interface {
	read(ctx context.Context)
}
