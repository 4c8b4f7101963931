package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"netsql/store"
)

// OpenAny is Open of a recording, or of a file into which the recordings of several hosts were merged. Of such a one SQL is asked, and little else.
func OpenAny(ctx context.Context, path string) (*Recording, error) {
	r, err := Open(ctx, path)
	if !errors.Is(err, store.ErrMerged) {
		return r, err
	}
	hosts, dsn, err := store.Hosts(ctx, path)
	if err != nil {
		return nil, err
	}
	return open(ctx, &Recording{Path: path, hosts: hosts}, dsn)
}

// Hosts are those whose recordings a merged file holds; none where it is one recording.
func (r *Recording) Hosts() []string { return r.hosts }

// tablesOf are the tables of one host in a merged file, or, without a host, those of a recording.
type tablesOf struct{ host string }

// sql is the SQL with the tables of the file, for SQL that names tables without a schema.
func (t tablesOf) sql(text string) string {
	if t.host == "" {
		return store.OfRecording(text)
	}
	return store.OfHost(text, t.host)
}

// hostOf takes the host from the arguments of at(): it is the last, and without it at() says nothing about a merged file.
func (r *Recording) hostOf(args []driver.Value) (tablesOf, []driver.Value, error) {
	if r.hosts == nil {
		return tablesOf{}, args, nil
	}
	if n := len(args); n > 0 {
		if host, is := args[n-1].(string); is && slices.Contains(r.hosts, host) {
			return tablesOf{host}, args[:n-1], nil
		}
	}
	return tablesOf{}, nil, fmt.Errorf("at: the samples of each host have times of their own: name the host, ts = at('03:14', host) or ts = at(host); here are %s", strings.Join(r.hosts, ", "))
}

// views are those that can be asked.
func (r *Recording) views() []store.View {
	if r == nil || r.hosts == nil {
		return store.Views()
	}
	views := []store.View{store.HostsView()}
	for _, v := range store.Views() {
		views = append(views, v.Merged(r.hosts))
	}
	return views
}

// setAtOfHosts is SetAt of a merged file: at(host) is then the last sample of the host at or before the moment. The note names the hosts of which
// nothing is known then.
func (r *Recording) setAtOfHosts(ctx context.Context, moment time.Time) (time.Time, string, error) {
	if err := r.refreshLimit(ctx); err != nil {
		return time.Time{}, "", err
	}
	var notes []string
	var failed error
	known := 0
	for _, host := range r.hosts {
		switch _, note, err := r.lastSample(ctx, r.conn.Conn, tablesOf{host}, moment); {
		case err != nil:
			failed = err
			notes = append(notes, host+": "+err.Error())
		default:
			known++
			if note != "" {
				notes = append(notes, host+": "+note)
			}
		}
	}
	if known == 0 {
		return time.Time{}, "", failed
	}
	r.at, r.exactly = moment, false
	if moment.IsZero() {
		moment = time.Now()
	}
	return moment, strings.Join(notes, "; "), nil
}

// windowOfHosts is Window of a merged file: from the first begin to the last end.
func (r *Recording) windowOfHosts(ctx context.Context) (since, until time.Time, samples int, err error) {
	for _, host := range r.hosts {
		var a, z sql.NullFloat64
		var n int
		if err := r.conn.Conn.QueryRowContext(ctx, "SELECT since, until, (SELECT count(*) FROM "+quotedName(host+"/sample")+" WHERE ts BETWEEN since AND until AND back IS NOT 0) FROM "+
			quotedName(host+"/window")).Scan(&a, &z, &n); err != nil {
			return since, until, 0, store.Explain(r.Path, err)
		}
		if from := unixTime(a.Float64); a.Valid && (since.IsZero() || from.Before(since)) {
			since = from
		}
		if to := unixTime(z.Float64); z.Valid && to.After(until) {
			until = to
		}
		samples += n
	}
	return since, until, samples, nil
}

// ofOneRecording are the commands of the shell that a merged file cannot answer.
var ofOneRecording = []string{".around", ".diff", ".note", ".against", ".status", ".run"}

// checkOneRecording refuses a command that wants one recording, where there are several.
func (s *Shell) checkOneRecording(command string) error {
	if s.recording == nil || s.recording.hosts == nil {
		return nil
	}
	return fmt.Errorf("%s asks one recording, and this file holds those of %s: netsql merge --only %s -o FILE %s takes one out", command, strings.Join(s.recording.hosts, ", "), s.recording.hosts[0], escapeControls(s.recording.Path))
}

// setWindow makes the window the same for all hosts.
func (c *conn) setWindow(ctx context.Context, since, until time.Time) error {
	c.window = ""
	if !since.IsZero() || !until.IsZero() {
		c.window = windowBody(since, until)
	}
	var script strings.Builder
	for _, host := range c.hosts {
		c.make(&script, host+"/window", c.bodyOf(host, viewsByName()["window"]))
	}
	_, err := c.Conn.ExecContext(ctx, script.String())
	return err
}

// bodyOf is the SELECT of the view for one host.
func (c *conn) bodyOf(host string, v store.View) string {
	if v.Name == "window" && c.window != "" {
		return store.OfHost(c.window, host)
	}
	return store.OfHost(v.Body, host)
}

// workedOut are the views of those found that are worked out for one host after the other before a statement runs that is more than SQLite takes; see
// heavy. They are those that the statement names itself and that look at the window, so that their rows are not too many,
// and what others read often. None reads one that comes later.
func workedOut(statement string, found map[string]store.View) (views []store.View) {
	wanted := map[string]bool{}
	for _, name := range append(heavy, oftenRead) {
		wanted[name] = true
	}
	for _, r := range tablesIn(statement, len(statement)).refs {
		wanted[strings.ToLower(r.table)] = true
	}
	done := map[string]bool{}
	var add func(v store.View)
	add = func(v store.View) {
		if done[v.Name] {
			return
		}
		done[v.Name] = true
		read := map[string]store.View{}
		needed(sqlTexts.ReplaceAllString(v.Body, "''"), read)
		for _, name := range slices.Sorted(maps.Keys(read)) {
			add(read[name])
		}
		if windowed()[v.Name] && wanted[v.Name] {
			views = append(views, v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		add(found[name])
	}
	return views
}

// prepareOfHosts is prepare for a merged file: it makes the views of each host that the statement wants, and those over all.
func (c *conn) prepareOfHosts(ctx context.Context, statement string) error {
	found := map[string]store.View{}
	switch {
	case aboutSchema.MatchString(statement): // those of the file do
	case namesTables.MatchString(statement):
		needed(statement, found)
	}
	var script strings.Builder
	if !c.reads && readsTables.MatchString(statement) {
		c.reads = true
		script.WriteString("PRAGMA cache_size = -64000;\n") // kilobytes
	}
	if _, err := c.Conn.ExecContext(context.WithoutCancel(ctx), script.String()); err != nil {
		return err
	}
	var rows []store.View
	if v, is := found[oftenRead]; is {
		rows = append(rows, v)
	}
	if err := c.makeOfHosts(ctx, found, rows); err != nil || !c.isTooDeep(ctx, statement) {
		return err
	}
	return c.makeOfHosts(ctx, found, workedOut(statement, found))
}

// isTooDeep reports whether the statement is more than SQLite takes. What else is wrong with it its own run tells.
func (c *conn) isTooDeep(ctx context.Context, statement string) bool {
	rows, err := c.Conn.QueryContext(ctx, "EXPLAIN QUERY PLAN "+explained.ReplaceAllString(statement, ""))
	if err != nil {
		return strings.Contains(err.Error(), "nested too deep")
	}
	return rows.Close() != nil
}

// makeOfHosts makes the views of each host and those over all. Some of them are worked out now, in the order of rows.
func (c *conn) makeOfHosts(ctx context.Context, found map[string]store.View, rows []store.View) error {
	var script strings.Builder
	tableOf := func(host string, v store.View) string { return "temp." + quotedName(host+"/"+v.Name+rowsSuffix) }
	for _, v := range found {
		if v.OfNoHost() {
			c.make(&script, v.Name, v.Body)
			continue
		}
		for _, host := range c.hosts {
			body := c.bodyOf(host, v)
			if slices.ContainsFunc(rows, func(of store.View) bool { return of.Name == v.Name }) {
				table := tableOf(host, v)
				fmt.Fprintf(&script, "CREATE TABLE IF NOT EXISTS %s (%s);\nDELETE FROM %[1]s;\n", table, columnList(v))
				body = "SELECT * FROM " + table
			}
			c.make(&script, host+"/"+v.Name, body)
		}
		c.make(&script, v.Name, v.Merged(c.hosts).Body)
	}
	// A statement that was cancelled must not leave half of them.
	if _, err := c.Conn.ExecContext(context.WithoutCancel(ctx), script.String()); err != nil {
		return err
	}
	for _, v := range rows {
		for _, host := range c.hosts {
			if _, err := c.Conn.ExecContext(ctx, "INSERT INTO "+tableOf(host, v)+" "+c.bodyOf(host, v)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Merge writes recordings of several hosts into one file that is not there yet, and says what is in it. Each of the words is a recording, or a name for
// its host and a recording: web1=FILE.
func Merge(ctx context.Context, path string, words []string) (string, error) {
	var parts []store.Part
	for _, word := range words {
		p := store.Part{Path: word}
		if host, file, named := strings.Cut(word, "="); named {
			if _, err := os.Stat(word); err != nil { // no file has that name
				p = store.Part{Host: host, Path: file}
			}
		}
		if p.Host == "" {
			var err error
			if p.Host, err = store.HostOf(ctx, p.Path); err != nil {
				return "", err
			}
			if p.Host == "" {
				return "", fmt.Errorf("%s does not say of which host it is: name it, as in web1=%[1]s", p.Path)
			}
		}
		parts = append(parts, p)
	}
	size, err := store.Merge(ctx, path, parts)
	if err != nil {
		return "", err
	}
	var hosts []string
	for _, p := range parts {
		hosts = append(hosts, p.Host)
	}
	return fmt.Sprintf("%s in %s, %s: netsql %[2]s 'SELECT * FROM hosts'", strings.Join(hosts, ", "), path, bytesText(float64(size))), nil
}

// TakeOut writes the recording of one host of a merged file into a file of its own, and says what is in it.
func TakeOut(ctx context.Context, merged, host, path string) (string, error) {
	c, err := store.TakeOut(ctx, merged, host, path)
	if err != nil {
		return "", err
	}
	return copiedText(c, path), nil
}

// Backup copies the recording into a file that is not there yet, and says what is in it; see store.Backup.
func Backup(ctx context.Context, recording, path string) (string, error) {
	c, err := store.Backup(ctx, recording, path)
	if err != nil {
		return "", err
	}
	return copiedText(c, path), nil
}

// copiedText says what is in a copy.
func copiedText(c store.Copied, path string) string {
	if c.Samples == 0 {
		return fmt.Sprintf("no sample yet in %s, %s: netsql %[1]s", path, bytesText(float64(c.Bytes)))
	}
	return fmt.Sprintf("%s in %s, %s: netsql %[2]s", extentText(c.Samples, c.First, c.Last), path, bytesText(float64(c.Bytes)))
}
