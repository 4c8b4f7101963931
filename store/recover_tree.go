package store

import (
	"cmp"
	"context"
	"slices"
)

// A tree is a table of the damaged recording: where it begins, what its rows look like, and what becomes of them.
type tree struct {
	root    uint32
	index   bool // WITHOUT ROWID, or an index
	columns []columnShape
	rowid   int // the column that is the row's number; -1: none

	take func(row []any) error // of a row, complete and of the right types; nil: they are not wanted

	lostPages int64
	lostRows  int64 // cells that cannot be read
	lostKeys  keyRange
}

// columnShape is what a column may hold.
type columnShape struct {
	name    string
	kind    string // INTEGER, REAL or TEXT
	notNull bool
	missing any // in rows that are older than the column
}

// A keyRange is between which rows something was lost: above low, up to high.
type keyRange struct {
	low, high int64
	some      bool
}

func (r *keyRange) add(low, high int64) {
	if !r.some {
		*r = keyRange{low, high, true}
		return
	}
	r.low, r.high = min(r.low, low), max(r.high, high)
}

const minKey, maxKey = -1 << 63, 1<<63 - 1

// A reader reads the rows of all tables: first on the way that SQLite goes, from the roots down, then pages to which no way leads
// any more, by what the file says of them.
type reader struct {
	pages    *pages
	trees    map[uint32]*tree
	seen     []bool
	bad      []badPage
	parents  map[uint32]bool // pages that orphans name as theirs
	lost     int64           // pages that hold rows of nobody knows which table
	done     int64
	progress func(pages int64)
	about    map[uint32][]byte
}

// A badPage could not be read, or leads to one that could not. Where pages below it were found all the same, it was no leaf, and nothing of it is lost.
type badPage struct {
	number    uint32
	tree      *tree
	low, high int64
}

func newReader(p *pages) *reader {
	return &reader{pages: p, trees: map[uint32]*tree{}, parents: map[uint32]bool{}, seen: make([]bool, p.count+1), about: map[uint32][]byte{}, progress: func(int64) {}}
}

func (r *reader) read(ctx context.Context) error {
	roots := make([]uint32, 0, len(r.trees))
	for root := range r.trees {
		roots = append(roots, root)
	}
	slices.Sort(roots)
	for _, root := range roots {
		t := r.trees[root]
		if t.take == nil {
			continue // its pages are known by what the file says of them
		}
		if err := r.descend(ctx, t, root, minKey, maxKey, 0); err != nil {
			return err
		}
	}
	if err := r.orphans(ctx); err != nil {
		return err
	}
	counted := map[uint32]bool{} // one that leads nowhere in many places is one all the same
	for _, b := range r.bad {
		if b.tree.index || !r.parents[b.number] {
			if !counted[b.number] {
				counted[b.number] = true
				b.tree.lostPages++
			}
			b.tree.lostKeys.add(b.low, b.high)
		}
	}
	return nil
}

func (r *reader) step(ctx context.Context) error {
	r.done++
	if r.done%1000 == 0 {
		r.progress(r.done)
	}
	return ctx.Err()
}

// descend reads a page and those below it, whose rows have numbers above low, up to high.
func (r *reader) descend(ctx context.Context, t *tree, n uint32, low, high int64, depth int) error {
	if err := r.step(ctx); err != nil {
		return err
	}
	if n == 0 || n > r.pages.count || r.seen[n] || depth > 20 {
		r.bad = append(r.bad, badPage{n, t, low, high})
		return nil
	}
	r.seen[n] = true
	d, ok := r.pages.node(n)
	if !ok || d.index() != t.index {
		r.bad = append(r.bad, badPage{n, t, low, high})
		return nil
	}
	if d.leaf() {
		return r.rows(t, &d, low, high)
	}
	if t.index {
		if err := r.rows(t, &d, low, high); err != nil {
			return err
		}
	}
	from := low
	for i := range d.count {
		c, ok := r.pages.cell(&d, i)
		to := high
		switch {
		case t.index:
			ok = c.child != 0 // the row may be lost, and the child is not
		case ok && c.rowid > from && c.rowid <= high:
			to = c.rowid
		default:
			ok = false
		}
		if !ok {
			r.bad = append(r.bad, badPage{n, t, from, high})
			continue
		}
		if err := r.descend(ctx, t, c.child, from, to, depth+1); err != nil {
			return err
		}
		if !t.index {
			from = to
		}
	}
	return r.descend(ctx, t, d.right, from, high, depth+1)
}

// rows takes the rows of a page. Those of a table stand in the order of their numbers: where one does not, it or its neighbour
// is damaged, and those are taken that leave the most.
func (r *reader) rows(t *tree, d *node, low, high int64) error {
	if t.take == nil {
		return nil
	}
	cells := make([]cell, 0, d.count)
	for i := range d.count {
		if c, ok := r.pages.cell(d, i); ok && t.shaped(&c) {
			cells = append(cells, c)
		}
	}
	if !d.index() {
		cells = ascending(within(cells, low, high))
	}
	if len(cells) == 0 && d.count > 0 {
		r.bad = append(r.bad, badPage{d.number, t, low, high})
		return nil
	}
	if lost := d.count - len(cells); lost > 0 {
		t.lostRows += int64(lost)
		t.lostKeys.add(low, high)
	}
	for _, c := range cells {
		if err := t.take(c.row); err != nil {
			return err
		}
	}
	return nil
}

// within are the cells above low, up to high. When it is only some that are, the bounds are wrong rather than the cells; when none is, the
// page has come here from somewhere else.
func within(cells []cell, low, high int64) []cell {
	var inside []cell
	for _, c := range cells {
		if c.rowid > low && c.rowid <= high {
			inside = append(inside, c)
		}
	}
	if 0 < len(inside) && 2*len(inside) <= len(cells) {
		return cells
	}
	return inside
}

// shaped completes a row, and reports whether it is one that the table may have.
func (t *tree) shaped(c *cell) bool {
	if len(c.row) > len(t.columns) || len(c.row) == 0 {
		return false
	}
	for i, col := range t.columns {
		if i == len(c.row) {
			c.row = append(c.row, col.missing)
		}
		if i == t.rowid {
			if c.row[i] != nil {
				return false
			}
			c.row[i] = c.rowid
			continue
		}
		switch v := c.row[i].(type) {
		case nil:
			if col.notNull {
				return false
			}
		case int64:
			if col.kind == "REAL" { // how SQLite keeps a whole one
				c.row[i] = float64(v)
			} else if col.kind != "INTEGER" {
				return false
			}
		case float64:
			if col.kind != "REAL" || v != v {
				return false
			}
		case string:
			if col.kind != "TEXT" {
				return false
			}
		}
	}
	return true
}

// ascending are the most of the cells whose numbers rise.
func ascending(cells []cell) []cell {
	sorted := true
	for i := 1; i < len(cells); i++ {
		sorted = sorted && cells[i].rowid > cells[i-1].rowid
	}
	if sorted {
		return cells
	}
	// tails[k] is the cell with the smallest number in which k+1 rising ones can end; before is the one before each.
	var tails []int
	before := make([]int, len(cells))
	for i, c := range cells {
		k, _ := slices.BinarySearchFunc(tails, c.rowid, func(t int, rowid int64) int {
			return cmp.Compare(cells[t].rowid, rowid)
		})
		before[i] = -1
		if k > 0 {
			before[i] = tails[k-1]
		}
		if k == len(tails) {
			tails = append(tails, i)
		} else {
			tails[k] = i
		}
	}
	kept := make([]cell, len(tails))
	for i, k := tails[len(tails)-1], len(tails)-1; k >= 0; i, k = before[i], k-1 {
		kept[k] = cells[i]
	}
	return kept
}

// orphans takes the rows of pages to which no way leads any more, because a page above them is damaged.
func (r *reader) orphans(ctx context.Context) error {
	claims := map[uint32]uint32{} // the parents of pages, by parents that are orphans themselves
	for n := uint32(3); n <= r.pages.count; n++ {
		if r.seen[n] {
			continue
		}
		if err := r.step(ctx); err != nil {
			return err
		}
		d, ok := r.pages.node(n)
		kind, _ := r.pages.about(n, r.about)
		if !ok || d.leaf() || kind != pageNode && kind != pageUnknown {
			continue
		}
		for i := range d.count {
			if c, ok := r.pages.cell(&d, i); (ok || d.index()) && c.child > 2 && c.child <= r.pages.count {
				claims[c.child] = n
			}
		}
		claims[d.right] = n
	}
	for n := uint32(3); n <= r.pages.count; n++ {
		if r.seen[n] {
			continue
		}
		if err := r.step(ctx); err != nil {
			return err
		}
		kind, _ := r.pages.about(n, r.about)
		if kind != pageNode && kind != pageUnknown {
			continue
		}
		d, ok := r.pages.node(n)
		if !ok || d.kind == tableInterior {
			continue
		}
		t := r.home(n, claims)
		switch {
		case t == nil:
			if d.kind == tableLeaf && r.pages.vacuumed { // else it may as well be free
				r.lost++
			}
		case t.take != nil && t.index == d.index():
			if err := r.rows(t, &d, minKey, maxKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// home is the tree that a page is of; nil when that cannot be told.
func (r *reader) home(n uint32, claims map[uint32]uint32) *tree {
	for range 20 {
		if t := r.trees[n]; t != nil {
			return t
		}
		kind, parent := r.pages.about(n, r.about)
		if kind != pageNode {
			parent = claims[n]
		}
		if n = parent; n == 0 {
			return nil
		}
		r.parents[n] = true
	}
	return nil
}
