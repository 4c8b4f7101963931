package query

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every question that is shipped has an answer that fits a screen, and says what it wants.
func TestShippedQuestions(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	all := questionsIn(shippedQuestions)
	if len(all) != 10 {
		t.Errorf("%d questions", len(all))
	}
	for _, q := range all {
		command := ".run " + q.name
		for _, name := range q.wants {
			if q.defaults[name] == "" {
				command += " " + name + "=192.0.2.1"
			}
		}
		got, notes := screened(t, r, 80, 24, command)
		if lines := strings.Count(got, "\n"); lines > 22 || strings.Contains(notes, "did you mean") {
			t.Errorf("%s: %d lines, %s\n%s", command, lines, notes, got)
		}
		if !strings.HasSuffix(q.doc, "?") || q.sql == "" {
			t.Errorf("%+v", q)
		}
	}
	list, _ := screened(t, r, 80, 24, ".run")
	for _, want := range []string{".run peer addr=…", ".run port port=5432 at=now", "Who moved most over TCP?"} {
		if !strings.Contains(list, want) {
			t.Errorf("the list does not have %q:\n%s", want, list)
		}
	}
}

// What was saved is asked again, with other values.
func TestSavedQuestions(t *testing.T) {
	t.Parallel()
	var out, said bytes.Buffer
	folder := filepath.Join(t.TempDir(), "config", "questions")
	s, err := NewShell(openRecording(t, eventful(t).path), ShellConfig{Out: &out, Err: &said, Questions: folder, Params: map[string]string{"n": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(text, want string) {
		t.Helper()
		out.Reset()
		err := s.Script(t.Context(), text)
		got := out.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	ask(".save sum", "nothing was asked yet")
	ask("SELECT :n + 40 AS sum", "41")
	ask(".save ../sum", "letters, digits, - and _")
	ask(".save sum", "")
	ask(".run sum", "41")
	ask(".run sum n=2", "42")
	ask(".run sum", "41") // the value was for once
	ask(".run", ".run sum")
	ask(".run smu", `did you mean "sum"`)
	ask(".run leaking 5", `leaking takes no "5"`)
	ask(".run peer", "which addr? .run peer addr=…")
	ask(".at 2200-01-01", "in the future")
	if err := os.WriteFile(filepath.Join(folder, "mine.sql"), []byte("-- any: What is it? what=7\nSELECT :what * 6 AS it;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask(".run mine", "42")
	ask(".run mine 8", "48")
	ask(".run", "What is it?")
	if info, err := os.Stat(filepath.Join(folder, "sum.sql")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	s.config.Questions = ""
	ask(".save sum", "there is no place for questions")
}
