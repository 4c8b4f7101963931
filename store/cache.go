package store

import (
	"context"
	"fmt"
)

// How much of the file the connection of a Writer keeps in memory, in kilobytes. In memory it takes twice that: a page, with what
// SQLite needs to know of it, is a little more than 4096 bytes, and is given 8192.
const (
	restCache = 1000
	busyCache = 2000
)

func cacheSize(kb int) string { return fmt.Sprintf("cache_size=-%d", kb) }

// A cache is large only when it has to be. That of restCache costs nothing where little changes; where 20,000 sockets are open and a fifth of
// them move bytes in every sample, writing one takes 7 % longer with it than with busyCache.
type cache struct {
	rows int // written since the last sample was
	busy int // samples in a row that wrote many
	grew bool
}

// A sample of busyRows is one of many; the cache grows after busySamples of them, for the first that finds all new is none.
const (
	busyRows    = 2000
	busySamples = 3
)

// fitCache is for after each sample. Once large, the cache stays so until the file is opened anew: what it took is not given back.
func (w *Writer) fitCache(ctx context.Context) {
	c := &w.cache
	if c.busy++; c.rows < busyRows {
		c.busy = 0
	}
	if c.rows = 0; c.grew || c.busy < busySamples || w.conn == nil {
		return
	}
	// Should it not work, nothing is lost but time.
	_, err := w.conn.ExecContext(ctx, "PRAGMA "+cacheSize(busyCache))
	c.grew = err == nil
}
