package query

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netsql/store"
	"netsql/store/glossary"
)

// What the glossary tells to look at next is a SELECT that this schema answers.
func TestGlossaryNextIsAnswered(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "small.db")
	w, err := store.Create(t.Context(), store.Options{Path: path, Interval: time.Second, Boot: store.Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	w.Begin(store.Clock{Wall: time.Now(), Uptime: time.Hour, Awake: time.Hour})
	if err := w.Commit(t.Context(), store.Cost{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := openRecording(t, path)
	next := map[string]string{} // a word that says so
	for _, word := range glossary.Words() {
		entries, err := Glossary(word)
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			if e.Next != "" {
				next[e.Next] = e.Word
			}
		}
	}
	if len(next) < 200 {
		t.Errorf("%d statements", len(next))
	}
	answer := func(statement string) error {
		rows, err := r.conn.QueryContext(t.Context(), statement)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
		}
		return rows.Err()
	}
	for statement, word := range next {
		if err := answer(statement); err != nil || !strings.HasPrefix(statement, "SELECT ") {
			t.Errorf("%s: %s: %v", word, statement, err)
		}
	}
	if answer("SELECT nosuch FROM sockets_now") == nil {
		t.Error("a column that is not there was taken")
	}
}
