package query

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"netsql/store"
)

// A conn is the connection on which statements run. It makes this program's views, as TEMP views, when a statement first names them: to make
// all of them takes longer than most answers.
type conn struct {
	*sql.Conn
	reads bool // something was read, so that the schema is known
	made  map[string]bool
}

// aWord is what may be the name of a view, wherever it stands. One too many does no harm.
var aWord = regexp.MustCompile(`\w+`)

// needed are the views that a text names, and those that they name.
func needed(text string, views map[string]viewNeeds, found map[string]bool) {
	for _, word := range aWord.FindAllString(text, -1) {
		if v, is := views[strings.ToLower(word)]; is && !found[v.Name] {
			found[v.Name] = true
			for _, name := range v.names {
				found[name] = true
			}
		}
	}
}

// viewNeeds is a view and the others that it asks, directly or by way of others.
type viewNeeds struct {
	store.View
	names []string
}

var allViews = sync.OnceValue(func() map[string]viewNeeds {
	views := map[string]viewNeeds{}
	for _, v := range store.Views() {
		views[strings.ToLower(v.Name)] = viewNeeds{View: v}
	}
	for key, v := range views {
		found := map[string]bool{v.Name: true}
		for todo := []string{v.Name}; len(todo) > 0; {
			body := views[strings.ToLower(todo[0])].Body
			todo = todo[1:]
			for _, word := range aWord.FindAllString(body, -1) {
				if other, is := views[strings.ToLower(word)]; is && !found[other.Name] {
					found[other.Name] = true
					todo, v.names = append(todo, other.Name), append(v.names, other.Name)
				}
			}
		}
		views[key] = v
	}
	return views
})

// aboutSchema is a statement that asks what views there are: it sees all of them.
var aboutSchema = regexp.MustCompile(`(?i)pragma|_schema|_master|_list`)

// readsTables is a statement that reads something.
var readsTables = regexp.MustCompile(`(?i)\bfrom\b`)

// prepare makes the views that the statement wants.
func (c *conn) prepare(ctx context.Context, statement string) error {
	views, found := allViews(), map[string]bool{}
	if aboutSchema.MatchString(statement) {
		for _, v := range views {
			found[v.Name] = true
		}
	} else {
		needed(statement, views, found)
	}
	var script strings.Builder
	if !c.reads && readsTables.MatchString(statement) {
		c.reads = true
		script.WriteString("PRAGMA cache_size = -64000;\n") // kilobytes
	}
	for name := range found {
		if !c.made[name] {
			c.made[name] = true
			fmt.Fprintf(&script, "CREATE TEMP VIEW \"%s\" AS\n%s;\n", name, views[strings.ToLower(name)].Body)
		}
	}
	if script.Len() == 0 {
		return nil
	}
	// A statement that was cancelled must not leave half of them.
	_, err := c.Conn.ExecContext(context.WithoutCancel(ctx), script.String())
	return err
}

func (c *conn) QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	if err := c.prepare(ctx, statement); err != nil {
		return nil, err
	}
	return c.Conn.QueryContext(ctx, statement, args...)
}

// QueryRowContext tells of a failure to make the views by what the statement then finds.
func (c *conn) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	_ = c.prepare(ctx, statement)
	return c.Conn.QueryRowContext(ctx, statement, args...)
}

func (c *conn) ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	if err := c.prepare(ctx, statement); err != nil {
		return nil, err
	}
	return c.Conn.ExecContext(ctx, statement, args...)
}
