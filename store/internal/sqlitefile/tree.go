package sqlitefile

import (
	"cmp"
	"context"
	"slices"
)

// A Tree is a table or an index of the damaged file.
type Tree struct {
	Root    uint32
	Index   bool // WITHOUT ROWID, or an index
	Columns []Column
	RowID   int // the column that is the number of the row; -1: none

	// Take is called with each row. The row has all columns, of the right types. nil: the rows are not wanted.
	Take func(row []any) error

	LostPages int64
	LostRows  int64 // cells that cannot be read
	LostKeys  KeyRange
}

// Column is what a column may hold.
type Column struct {
	Name    string
	Kind    string // INTEGER, REAL or TEXT
	NotNull bool
	Missing any // its value in rows that are older than the column
}

// A KeyRange says between which rows something was lost: above Low, up to High.
type KeyRange struct {
	Low, High int64
	Some      bool
}

// Add extends the range.
func (r *KeyRange) Add(low, high int64) {
	if !r.Some {
		*r = KeyRange{low, high, true}
		return
	}
	r.Low, r.High = min(r.Low, low), max(r.High, high)
}

// The bounds of a KeyRange without bounds.
const MinKey, MaxKey = -1 << 63, 1<<63 - 1

// A Reader reads the rows of all trees. First it goes the way that SQLite goes, from the roots down. Then it reads the
// orphaned pages, to which no parent leads any more, and finds their tree by the pointer map.
type Reader struct {
	Trees    map[uint32]*Tree // by their root
	Lost     int64            // pages with rows whose table is not known
	Progress func(pages int64)

	file    *File
	seen    []bool
	bad     []badPage
	parents map[uint32]bool // parents of orphaned pages
	done    int64
}

// A badPage could not be read, or leads to a page that could not. If pages below it are found later, it was no leaf, and
// nothing is lost with it.
type badPage struct {
	number    uint32
	tree      *Tree
	low, high int64
}

// NewReader makes a reader without trees: the caller sets Trees.
func NewReader(f *File) *Reader {
	return &Reader{file: f, Trees: map[uint32]*Tree{}, parents: map[uint32]bool{}, seen: make([]bool, f.count+1), Progress: func(int64) {}}
}

// Read reads all rows.
func (r *Reader) Read(ctx context.Context) error {
	roots := make([]uint32, 0, len(r.Trees))
	for root := range r.Trees {
		roots = append(roots, root)
	}
	slices.Sort(roots)
	for _, root := range roots {
		t := r.Trees[root]
		if t.Take == nil {
			continue // its pages are known by the pointer map
		}
		if err := r.descend(ctx, t, root, MinKey, MaxKey, 0); err != nil {
			return err
		}
	}
	if err := r.orphans(ctx); err != nil {
		return err
	}
	counted := map[uint32]bool{} // a page may lead to bad pages in several places
	for _, b := range r.bad {
		if b.tree.Index || !r.parents[b.number] {
			if !counted[b.number] {
				counted[b.number] = true
				b.tree.LostPages++
			}
			b.tree.LostKeys.Add(b.low, b.high)
		}
	}
	return nil
}

func (r *Reader) step(ctx context.Context) error {
	r.done++
	if r.done%1000 == 0 {
		r.Progress(r.done)
	}
	return ctx.Err()
}

// descend reads a page and those below it, whose rows have numbers above low, up to high.
func (r *Reader) descend(ctx context.Context, t *Tree, n uint32, low, high int64, depth int) error {
	if err := r.step(ctx); err != nil {
		return err
	}
	if n == 0 || n > r.file.count || r.seen[n] || depth > 20 {
		r.bad = append(r.bad, badPage{n, t, low, high})
		return nil
	}
	r.seen[n] = true
	d, ok := r.file.node(n)
	if !ok || d.index() != t.Index {
		r.bad = append(r.bad, badPage{n, t, low, high})
		return nil
	}
	if d.leaf() {
		return r.rows(t, &d, low, high)
	}
	if t.Index {
		if err := r.rows(t, &d, low, high); err != nil {
			return err
		}
	}
	from := low
	for i := range d.count {
		c, ok := r.file.cell(&d, i)
		to := high
		switch {
		case t.Index:
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
		if !t.Index {
			from = to
		}
	}
	return r.descend(ctx, t, d.right, from, high, depth+1)
}

// rows takes the rows of a page. The rows of a table stand in the order of their numbers. Where they do not, some are
// damaged: the longest ascending sequence is taken.
func (r *Reader) rows(t *Tree, d *node, low, high int64) error {
	if t.Take == nil {
		return nil
	}
	cells := make([]cell, 0, d.count)
	for i := range d.count {
		if c, ok := r.file.cell(d, i); ok && t.shaped(&c) {
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
		t.LostRows += int64(lost)
		t.LostKeys.Add(low, high)
	}
	for _, c := range cells {
		if err := t.Take(c.row); err != nil {
			return err
		}
	}
	return nil
}

// within returns the cells above low, up to high. If only a few are, the bounds are wrong and not the cells. If none is, the
// page belongs somewhere else.
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

// shaped completes a row and reports whether the table may have such a row.
func (t *Tree) shaped(c *cell) bool {
	if len(c.row) > len(t.Columns) || len(c.row) == 0 {
		return false
	}
	for i, col := range t.Columns {
		if i == len(c.row) {
			c.row = append(c.row, col.Missing)
		}
		if i == t.RowID {
			if c.row[i] != nil {
				return false
			}
			c.row[i] = c.rowid
			continue
		}
		switch v := c.row[i].(type) {
		case nil:
			if col.NotNull {
				return false
			}
		case int64:
			if col.Kind == "REAL" { // SQLite stores a whole number as an integer
				c.row[i] = float64(v)
			} else if col.Kind != "INTEGER" {
				return false
			}
		case float64:
			if col.Kind != "REAL" || v != v {
				return false
			}
		case string:
			if col.Kind != "TEXT" {
				return false
			}
		}
	}
	return true
}

// ascending is the longest sequence of cells whose numbers ascend.
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

// orphans takes the rows of orphaned pages: the page above them is damaged.
func (r *Reader) orphans(ctx context.Context) error {
	claims := map[uint32]uint32{} // the parents of pages, by parents that are orphans themselves
	for n := uint32(3); n <= r.file.count; n++ {
		if r.seen[n] {
			continue
		}
		if err := r.step(ctx); err != nil {
			return err
		}
		d, ok := r.file.node(n)
		kind, _ := r.file.pointer(n)
		if !ok || d.leaf() || kind != pageNode && kind != pageUnknown {
			continue
		}
		for i := range d.count {
			if c, ok := r.file.cell(&d, i); (ok || d.index()) && c.child > 2 && c.child <= r.file.count {
				claims[c.child] = n
			}
		}
		claims[d.right] = n
	}
	for n := uint32(3); n <= r.file.count; n++ {
		if r.seen[n] {
			continue
		}
		if err := r.step(ctx); err != nil {
			return err
		}
		kind, _ := r.file.pointer(n)
		if kind != pageNode && kind != pageUnknown {
			continue
		}
		d, ok := r.file.node(n)
		if !ok || d.kind == tableInterior {
			continue
		}
		t := r.home(n, claims)
		switch {
		case t == nil:
			if d.kind == tableLeaf && r.file.pointerMap { // else it may as well be free
				r.Lost++
			}
		case t.Take != nil && t.Index == d.index():
			if err := r.rows(t, &d, MinKey, MaxKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// home is the tree of a page; nil when it is not known.
func (r *Reader) home(n uint32, claims map[uint32]uint32) *Tree {
	for range 20 {
		if t := r.Trees[n]; t != nil {
			return t
		}
		kind, parent := r.file.pointer(n)
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

// Schema is where the tables and indexes begin, by their names, as far as the schema of the file can be read.
func (f *File) Schema(ctx context.Context) map[string]uint32 {
	schema := map[string]uint32{}
	r := NewReader(f)
	text := func(name string) Column { return Column{Name: name, Kind: "TEXT"} }
	r.Trees[1] = &Tree{
		Root: 1, RowID: -1,
		Columns: []Column{text("type"), text("name"), text("tbl_name"), {Name: "rootpage", Kind: "INTEGER"}, text("sql")},
		Take: func(row []any) error {
			name, _ := row[1].(string)
			if root, _ := row[3].(int64); root > 1 && root <= int64(f.count) && name != "" {
				schema[name] = uint32(root)
			}
			return nil
		},
	}
	r.descend(ctx, r.Trees[1], 1, MinKey, MaxKey, 0)
	return schema
}

// Width is how many columns most rows have on the first leaf of the table with that root; 0: not known.
func (f *File) Width(root uint32) int {
	for n, depth := root, 0; depth < 20; depth++ {
		d, ok := f.node(n)
		if !ok || d.index() || d.count == 0 {
			return 0
		}
		if !d.leaf() {
			first, _ := f.cell(&d, 0)
			n = first.child
			continue
		}
		widths := map[int]int{}
		most := 0
		for i := range d.count {
			if c, ok := f.cell(&d, i); ok {
				if widths[len(c.row)]++; widths[len(c.row)] > widths[most] {
					most = len(c.row)
				}
			}
		}
		return most
	}
	return 0
}
