package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"netsql/migrations"
	"netsql/store/internal/sqlitefile"
)

// RecoverOptions say what a recovery tells.
type RecoverOptions struct {
	// Progress, if set, is told now and then what is being done, and how much of it has been.
	Progress func(what string, done int64)
}

// Recovered is what could be saved of a damaged recording, and what not.
type Recovered struct {
	Format      int    // of the damaged recording
	UUID        string // of the recording; a new one when KeptUUID is false
	KeptUUID    bool
	Samples     int64
	LostSamples int64 // that are missing between those that were saved, or after them
	First, Last float64
	Tables      []SavedTable // that have rows, or had
	Notes       []string     // what else is to be known, a sentence each
}

// SavedTable is how a table of the file fared.
type SavedTable struct {
	Name    string // as in the reference; for what is not recorded as spans, as in the file
	Saved   int64  // rows of it in the file
	Lost    int64  // rows that are damaged, or that mean nothing without others that are lost
	Pages   int64  // that could not be read: an unknown number of rows
	Rebuilt int64  // of Saved: rows that were made up from what else is known
}

// ErrNothingSaved means that a file has nothing in it that can be saved.
var ErrNothingSaved = errors.New("nothing could be saved")

// Recover writes a new recording to path, of the same mode, with all that can be read of a damaged one. It opens that only
// for reading and never touches it, whatever is damaged: its head, its schema, pages of tables or indexes, the -wal file, or its end. The
// rows are read page by page, without SQLite: see package sqlitefile. One bad page costs its own rows only. If it only led
// to others, or is of an index, it costs none: the pages below are orphaned, and found all the same.
//
// What is saved obeys the scheme again: what means nothing without rows that are lost is left out; open spans stay open
// where nothing speaks against it. A row of gaps of kind damaged says for each table what was lost, and between which
// samples; samples themselves are known from their index as well.
func Recover(ctx context.Context, damaged, path string, o RecoverOptions) (Recovered, error) {
	if o.Progress == nil {
		o.Progress = func(string, int64) {}
	}
	if err := checkRecoverable(damaged, path); err != nil {
		return Recovered{}, err
	}
	file, closeAll, err := sqlitefile.Open(damaged)
	if err != nil {
		return Recovered{}, Explain(damaged, err)
	}
	defer closeAll()
	s := &salvage{path: damaged, file: file, options: o}
	if err := newFile(path, []string{damaged}, func(unfinished string) error { return s.run(ctx, unfinished) }); err != nil {
		if errors.Is(err, ErrNothingSaved) {
			return Recovered{}, fmt.Errorf("%s: %w: %s", damaged, ErrNothingSaved, strings.TrimPrefix(err.Error(), ErrNothingSaved.Error()+": "))
		}
		return Recovered{}, err
	}
	return s.result, nil
}

func checkRecoverable(damaged, path string) error {
	if err := checkReadable(damaged); err != nil {
		return Explain(damaged, err)
	}
	if err := checkNew(path); err != nil {
		return err
	}
	if r, is := RecorderOf(damaged); is {
		return fmt.Errorf("%s: %w, %v: stop it first", damaged, ErrBusy, r)
	}
	return nil
}

// salvage is one recovery.
type salvage struct {
	path    string // of the damaged recording
	file    *sqlitefile.File
	options RecoverOptions
	conn    *sql.Conn // of the new recording
	steps   []string
	format  int
	roots   map[string]uint32 // where the tables and indexes of that format begin
	reader  *sqlitefile.Reader
	tables  []*salvaged
	result  Recovered

	oldest, newest int64   // samples that were saved
	ended          int64   // the last sample that spans tell of
	interval       float64 // between samples of the last run, in seconds
}

// salvaged is a table that is being saved.
type salvaged struct {
	SavedTable
	tree    *sqlitefile.Tree
	samples sqlitefile.KeyRange // within which something was lost, as far as it is known
	unknown bool                // or it is not known when
}

// saved is the table of that name. A format that has it not has lost nothing of it.
func (s *salvage) saved(name string) *salvaged {
	for _, t := range s.tables {
		if t.Name == name {
			return t
		}
	}
	return &salvaged{}
}

func (s *salvage) run(ctx context.Context, path string) error {
	var err error
	if s.steps, err = migrations.All(); err != nil {
		return err
	}
	if err := s.identify(ctx); err != nil {
		return err
	}
	db, conn, err := openNew(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close()
	defer conn.Close()
	s.conn = conn
	if _, err := s.conn.ExecContext(ctx, "PRAGMA auto_vacuum = incremental; BEGIN;"+strings.Join(s.steps[:s.format], "\n")); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		s.copyRows, s.upgrade, s.repairSamples, s.repairTables, s.repairReferences, s.repairLogs, s.writeGaps, s.finish,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, statement := range []string{"COMMIT", "PRAGMA journal_mode = wal"} {
		if _, err := s.conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("close the new recording (%s): %w", statement, err)
		}
	}
	return nil
}

// copyRows reads all rows of the damaged recording into the new one.
func (s *salvage) copyRows(ctx context.Context) error {
	s.reader = sqlitefile.NewReader(s.file)
	s.reader.Progress = func(done int64) { s.options.Progress("pages", done) }
	for _, root := range s.roots {
		s.reader.Trees[root] = &sqlitefile.Tree{Root: root, RowID: -1}
	}
	s.reader.Trees[1] = &sqlitefile.Tree{Root: 1, RowID: -1}
	names, err := s.column(ctx, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid")
	if err != nil {
		return err
	}
	for _, name := range names {
		t, err := s.table(ctx, name)
		if err != nil {
			return err
		}
		if derived(name) {
			t.tree.Take = func([]any) error { return nil }
		} else {
			s.tables = append(s.tables, t)
		}
		if root := s.roots[name]; root > 0 {
			s.reader.Trees[root] = t.tree
		} else {
			t.Pages++
		}
	}
	// The index of samples by time tells of those whose page is lost. It is kept in a table: there may be millions.
	if _, err := s.conn.ExecContext(ctx, "CREATE TEMP TABLE indexed (id INTEGER PRIMARY KEY, ts REAL NOT NULL)"); err != nil {
		return err
	}
	if index := s.reader.Trees[s.roots["sqlite_autoindex_sample_1"]]; index != nil && index.Take == nil {
		index.Index, index.Columns = true, []sqlitefile.Column{{Kind: "REAL", NotNull: true}, {Kind: "INTEGER", NotNull: true}}
		insert, err := s.conn.PrepareContext(ctx, "INSERT OR IGNORE INTO indexed (ts, id) VALUES (?, ?)")
		if err != nil {
			return err
		}
		defer insert.Close()
		index.Take = func(row []any) error {
			_, err := insert.ExecContext(ctx, row...)
			return err
		}
	}
	if err := s.reader.Read(ctx); err != nil {
		return err
	}
	for _, t := range s.tables {
		t.Lost, t.Pages = t.tree.LostRows, t.Pages+t.tree.LostPages
		t.unknown = t.Lost+t.Pages > 0
	}
	for _, t := range Tables() {
		// Of the closed spans it is known when those ended that are lost, and how long they can have been.
		spans := s.saved(t.Subject + "_span")
		if spans.tree == nil {
			continue
		}
		if lost := spans.tree.LostKeys; lost.Some && lost.Low != sqlitefile.MinKey && lost.High != sqlitefile.MaxKey {
			spans.samples.Add(lost.Low>>32-t.K, lost.High>>32)
			spans.unknown = false
		}
	}
	if s.reader.Lost > 0 {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("%d pages with rows are of tables that nothing is left of to tell", s.reader.Lost))
	}
	return nil
}

// derived reports whether the rows of a table say only what others do: they are left out, and the next recorder works them
// out again.
func derived(table string) bool {
	for _, s := range Sums() {
		if slices.Contains(s.tables(), table) {
			return true
		}
	}
	return table == shortBlock.blocks() || table == longBlock.blocks()
}

// table prepares to save a table: what its rows look like, and how they are written.
func (s *salvage) table(ctx context.Context, name string) (*salvaged, error) {
	t := &salvaged{SavedTable: SavedTable{Name: name}, tree: &sqlitefile.Tree{Root: s.roots[name], RowID: -1}}
	var withoutRowid bool
	if err := s.conn.QueryRowContext(ctx, "SELECT wr FROM pragma_table_list WHERE name = ? AND schema = 'main'", name).Scan(&withoutRowid); err != nil {
		return nil, err
	}
	t.tree.Index = withoutRowid
	rows, err := s.conn.QueryContext(ctx, `SELECT name, type, "notnull", pk, dflt_value FROM pragma_table_info(?)`, name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c sqlitefile.Column
		var key int
		var standard sql.NullString
		if err := rows.Scan(&c.Name, &c.Kind, &c.NotNull, &key, &standard); err != nil {
			return nil, err
		}
		if key > 0 && !withoutRowid && c.Kind == "INTEGER" {
			t.tree.RowID = len(t.tree.Columns)
		}
		if standard.Valid {
			if err := s.conn.QueryRowContext(ctx, "SELECT "+standard.String).Scan(&c.Missing); err != nil {
				return nil, err
			}
		}
		t.tree.Columns = append(t.tree.Columns, c)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	// What stands first was found on the way from the root: where a page says the same row again, it is older.
	insert, err := s.conn.PrepareContext(ctx, "INSERT OR IGNORE INTO "+name+" VALUES (?"+strings.Repeat(",?", len(t.tree.Columns)-1)+")")
	if err != nil {
		return nil, err
	}
	t.tree.Take = func(row []any) error {
		result, err := insert.ExecContext(ctx, row...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		t.Saved += n
		return err
	}
	return t, nil
}

// upgrade brings the new recording from the format of the damaged one to the newest.
func (s *salvage) upgrade(ctx context.Context) error {
	var have int
	if err := s.conn.QueryRowContext(ctx, "SELECT count(*) FROM recording WHERE uuid <> ''").Scan(&have); err != nil {
		return err
	}
	s.result.KeptUUID = have > 0
	if !s.result.KeptUUID {
		if _, err := s.conn.ExecContext(ctx, "REPLACE INTO recording (id, uuid, created) VALUES (1, ?, (SELECT coalesce(min(started), 0) FROM run))", uuid.NewString()); err != nil {
			return err
		}
		s.result.Notes = append(s.result.Notes, "its uuid is lost: the new recording has one of its own")
	}
	if err := s.conn.QueryRowContext(ctx, "SELECT uuid FROM recording").Scan(&s.result.UUID); err != nil {
		return err
	}
	return migrate(ctx, s.conn, s.format, s.steps)
}

// finish writes the views and the marks of a recording.
func (s *salvage) finish(ctx context.Context) error {
	if _, err := s.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; UPDATE recording SET views = NULL", ApplicationID, len(s.steps))); err != nil {
		return err
	}
	for _, g := range s.groups() {
		sum := SavedTable{Name: g.name}
		for _, t := range g.parts {
			sum.Saved, sum.Lost, sum.Pages, sum.Rebuilt = sum.Saved+t.Saved, sum.Lost+t.Lost, sum.Pages+t.Pages, sum.Rebuilt+t.Rebuilt
		}
		if sum.Saved+sum.Lost+sum.Pages > 0 {
			s.result.Tables = append(s.result.Tables, sum)
		}
	}
	return installViews(ctx, s.conn)
}

// A group is the tables of the file that are one to those who ask.
type group struct {
	name  string
	parts []*salvaged
}

// groups are those of the tables that are saved.
func (s *salvage) groups() []group {
	var groups []group
	spans := map[string]bool{}
	for _, t := range Tables() {
		g := group{name: t.Name}
		for _, suffix := range []string{"", "_tuple", "_span", "_open"} {
			g.parts = append(g.parts, s.saved(t.Subject+suffix))
			spans[t.Subject+suffix] = true
		}
		groups = append(groups, g)
	}
	var frame []group
	for _, l := range LogTables() {
		if len(l.rare) > 0 {
			frame = append(frame, group{l.Name, []*salvaged{s.saved(l.Name), s.saved(l.tuple())}})
			spans[l.Name], spans[l.tuple()] = true, true
		}
	}
	for _, t := range s.tables {
		if !spans[t.Name] {
			frame = append(frame, group{t.Name, []*salvaged{t}})
		}
	}
	return append(frame, groups...)
}

// column runs a question for one column of texts.
func (s *salvage) column(ctx context.Context, question string) ([]string, error) {
	rows, err := s.conn.QueryContext(ctx, question)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		got = append(got, text)
	}
	return got, rows.Err()
}

// change runs a statement and returns how many rows it changed.
func (s *salvage) change(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := s.conn.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
