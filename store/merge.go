package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MergedID marks an SQLite file as one that holds the recordings of several hosts (PRAGMA application_id): "nsqm".
//
// The tables of each recording, with their indexes and views, stand in it as they were, their names led by that of the host: "web1/socket_span".
// Samples of two hosts have nothing to do with each other, so that each recording keeps its own. Over them lie views with the usual names and
// one more column, host, which every program that opens SQLite files can read. The table hosts says what is in the file.
const MergedID = 0x6e73716d

// ErrMerged is of a file that holds the recordings of several hosts, where one recording is wanted.
var ErrMerged = errors.New("the recordings of several hosts")

// A Part is a recording that goes into a merged file.
type Part struct {
	Host string // its name there
	Path string
}

// mostHosts is how many recordings a merged file may have: a compound SELECT of SQLite has 500 terms at the most.
const mostHosts = 500

// HostOf is the name of the machine that the recording was last made on; "" where it does not say.
func HostOf(ctx context.Context, path string) (string, error) {
	dsn, err := Readable(ctx, path)
	if err != nil {
		return "", err
	}
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	var host sql.NullString
	err = db.QueryRowContext(ctx, "SELECT host FROM boot ORDER BY id DESC LIMIT 1").Scan(&host)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", Explain(path, err)
	}
	return host.String, nil
}

// checkHost refuses what cannot be the name of a host in a merged file.
func checkHost(name string) error {
	switch {
	case name == "" || len(name) > 253:
		return fmt.Errorf("%q is no name for a host: give it one, as in web1=FILE", name)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r == '/' || !unicode.IsGraphic(r) }):
		return fmt.Errorf("%q is no name for a host: it has no / and nothing that is not printed", name)
	}
	return nil
}

// Merge writes the recordings into one file, at path, where no file may be; each may be being written.
func Merge(ctx context.Context, path string, parts []Part) (size int64, err error) {
	if len(parts) > mostHosts {
		return 0, fmt.Errorf("%d recordings are too many for one file: %d are the most", len(parts), mostHosts)
	}
	var paths []string
	of := map[string]string{}
	from := make([]string, len(parts)) // how to open each
	for i, p := range parts {
		if err := checkHost(p.Host); err != nil {
			return 0, err
		}
		var err error
		if from[i], err = Readable(ctx, p.Path); err != nil {
			return 0, err
		}
		if other, is := of[strings.ToLower(p.Host)]; is {
			return 0, fmt.Errorf("%s and %s are both of host %s: give each a name of its own, as in %[3]s-old=%[2]s", other, p.Path, p.Host)
		}
		of[strings.ToLower(p.Host)] = p.Path
		paths = append(paths, p.Path)
	}
	if err := newFile(path, paths, func(unfinished string) error { return merge(ctx, unfinished, parts, from) }); err != nil {
		return 0, err
	}
	return sizeOf(path)
}

func merge(ctx context.Context, path string, parts []Part, from []string) error {
	db, conn, err := openNew(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close()
	defer conn.Close()
	latest, err := latestVersion()
	if err != nil {
		return err
	}
	views := makeViews()
	do := func(statement string, args ...any) error {
		if _, err := conn.ExecContext(ctx, statement, args...); err != nil {
			return fmt.Errorf("%w in %s", err, statement)
		}
		return nil
	}
	if err := do(fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d;
		CREATE TABLE hosts (host TEXT PRIMARY KEY, recording TEXT NOT NULL, samples INTEGER NOT NULL, first REAL, last REAL) STRICT, WITHOUT ROWID;
		%s`, MergedID, latest, makeWords(views))); err != nil {
		return err
	}
	for i, p := range parts {
		if err := do("ATTACH ? AS src", from[i]); err != nil {
			return Explain(p.Path, err)
		}
		if err := do("BEGIN"); err != nil {
			return err
		}
		tables, err := tablesOf(ctx, conn, "src", "")
		if err != nil {
			return Explain(p.Path, err)
		}
		prefix := p.Host + "/"
		for _, t := range tables {
			if err := do(t.create(prefix + t.name)); err != nil {
				return err
			}
			if err := do(fmt.Sprintf("INSERT INTO main.%s SELECT * FROM src.%s", identifier(prefix+t.name), identifier(t.name))); err != nil {
				return err
			}
		}
		if err := do(stopped(prefix)); err != nil {
			return err
		}
		if err := do(fmt.Sprintf(`INSERT INTO hosts SELECT ?, (SELECT uuid FROM main.%s), count(*), min(ts), max(ts) FROM main.%s WHERE back IS NOT 0`,
			identifier(prefix+"recording"), identifier(prefix+"sample")), p.Host); err != nil {
			return err
		}
		for _, v := range views {
			if v.OfNoHost() {
				continue
			}
			if err := do(fmt.Sprintf("CREATE VIEW %s AS\n%s", identifier(prefix+v.Name), OfHost(v.Body, p.Host))); err != nil {
				return err
			}
		}
		for _, statement := range []string{"COMMIT", "DETACH src"} {
			if err := do(statement); err != nil {
				return err
			}
		}
	}
	var hosts []string
	for _, p := range parts {
		hosts = append(hosts, p.Host)
	}
	for _, v := range views {
		if err := do(v.Merged(hosts).create()); err != nil {
			return err
		}
	}
	return do("PRAGMA journal_mode = delete")
}

// A fileTable is a table of a file, with its indexes, as SQLite describes them.
type fileTable struct {
	name    string
	sql     string
	indexes []string
}

// tablesOf are the tables of a schema whose names begin with the prefix, without it, save the one of the glossary.
func tablesOf(ctx context.Context, conn *sql.Conn, schema, prefix string) ([]fileTable, error) {
	rows, err := conn.QueryContext(ctx, fmt.Sprintf(`SELECT type, substr(tbl_name, length(?1) + 1), sql FROM %s.sqlite_schema
		WHERE type IN ('table', 'index') AND sql IS NOT NULL AND tbl_name NOT LIKE 'sqlite\_%%' ESCAPE '\' AND tbl_name <> '%s' AND substr(tbl_name, 1, length(?1)) = ?1
		ORDER BY type DESC, rootpage`, identifier(schema), wordsTable), prefix)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var tables []fileTable
	for rows.Next() {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return nil, err
		}
		if kind == "table" {
			tables = append(tables, fileTable{name: name, sql: text})
			continue
		}
		if i := slices.IndexFunc(tables, func(t fileTable) bool { return t.name == name }); i >= 0 {
			tables[i].indexes = append(tables[i].indexes, text)
		}
	}
	return tables, rows.Err()
}

var (
	createsTable = regexp.MustCompile(`^CREATE TABLE (?:"(?:[^"]|"")*"|\w+)`)
	createsIndex = regexp.MustCompile(`^CREATE (UNIQUE )?INDEX (?:"(?:[^"]|"")*/)?"?(\w+)"? ON (?:"(?:[^"]|"")*"|\w+)`)
)

// create is the SQL that makes the table and its indexes under another name.
func (t fileTable) create(name string) string {
	prefix := strings.TrimSuffix(name, t.name)
	written := func(name string) string {
		if prefix == "" {
			return name // as migrations write it
		}
		return identifier(name)
	}
	script := createsTable.ReplaceAllLiteralString(t.sql, "CREATE TABLE "+written(name))
	for _, index := range t.indexes {
		m := createsIndex.FindStringSubmatch(index)
		script += ";\n" + fmt.Sprintf("CREATE %sINDEX %s ON %s", m[1], written(prefix+m[2]), written(name)) + index[len(m[0]):]
	}
	return script
}

// TakeOut writes the recording of one host of a merged file into a file of its own, at path, where no file may be.
func TakeOut(ctx context.Context, merged, host, path string) (Copied, error) {
	hosts, _, err := Hosts(ctx, merged)
	if err != nil {
		return Copied{}, err
	}
	if !slices.Contains(hosts, host) {
		return Copied{}, fmt.Errorf("%s has no host %s: it has %s", merged, host, strings.Join(hosts, ", "))
	}
	var c Copied
	err = newFile(path, []string{merged}, func(unfinished string) error {
		db, conn, err := openNew(ctx, unfinished)
		if err != nil {
			return err
		}
		defer db.Close()
		defer conn.Close()
		do := func(statement string, args ...any) error {
			_, err := conn.ExecContext(ctx, statement, args...)
			return err
		}
		if err := do("ATTACH ? AS src", readOnly(merged)); err != nil {
			return err
		}
		tables, err := tablesOf(ctx, conn, "src", host+"/")
		if err != nil {
			return err
		}
		var version int
		if err := conn.QueryRowContext(ctx, "PRAGMA src.user_version").Scan(&version); err != nil {
			return err
		}
		if err := do(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; BEGIN", ApplicationID, version)); err != nil {
			return err
		}
		for _, t := range tables {
			if err := do(t.create(t.name)); err != nil {
				return err
			}
			if err := do(fmt.Sprintf("INSERT INTO main.%s SELECT * FROM src.%s", identifier(t.name), identifier(host+"/"+t.name))); err != nil {
				return err
			}
		}
		latest, err := latestVersion()
		if err != nil {
			return err
		}
		if version == latest { // else netsql upgrade makes them
			if err := do("UPDATE recording SET views = NULL"); err != nil {
				return err
			}
			if err := installViews(ctx, conn); err != nil {
				return err
			}
		}
		if err := conn.QueryRowContext(ctx, "SELECT count(*), coalesce(min(ts), 0), coalesce(max(ts), 0) FROM sample WHERE back IS NOT 0").Scan(&c.Samples, &c.First, &c.Last); err != nil {
			return err
		}
		return do("COMMIT; DETACH src; PRAGMA journal_mode = delete")
	})
	if err != nil {
		return Copied{}, err
	}
	c.Bytes, err = sizeOf(path)
	return c, err
}

// Hosts are those whose recordings the merged file holds, in the order of their names, and how to open it. The error of a file that is none is
// ErrNotRecording.
func Hosts(ctx context.Context, path string) (hosts []string, dsn string, err error) {
	if err := checkReadable(path); err != nil {
		return nil, "", Explain(path, err)
	}
	dsn = readOnly(path)
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, "", err
	}
	defer db.Close()
	var id int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return nil, "", Explain(path, err)
	}
	if id != MergedID {
		return nil, "", fmt.Errorf("%s does not hold the recordings of several hosts: %w", path, ErrNotRecording)
	}
	rows, err := db.QueryContext(ctx, "SELECT host FROM hosts ORDER BY host")
	if err != nil {
		return nil, "", Explain(path, err)
	}
	defer rows.Close()
	for rows.Next() {
		var host string
		if err := rows.Scan(&host); err != nil {
			return nil, "", Explain(path, err)
		}
		hosts = append(hosts, host)
	}
	return hosts, dsn, Explain(path, rows.Err())
}
