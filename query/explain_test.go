package query

import (
	"bytes"
	"strings"
	"testing"

	"netsql/store/glossary"
)

func TestGlossary(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{"CLOSE-WAIT": "has not called close(2)", "UG": "gateway", "gateway": "", "0.0.0.0": "no danger"} {
		entries, err := Glossary(word)
		if err != nil || entries[0].What == "" {
			t.Fatalf("%s: %v %+v", word, err, entries)
		}
		var b bytes.Buffer
		if err := WriteGlossary(&b, Here(t.Context(), nil, entries), 10_000); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v\n%s", word, err, b.String())
		}
	}
	if _, err := Glossary("TIME_WIAT"); err == nil || !strings.Contains(err.Error(), "did you mean TIME_WAIT?") {
		t.Error(err)
	}
	for _, word := range glossary.Words() {
		entries, err := Glossary(word)
		if err != nil || entries[0].What == "" {
			t.Errorf("%s: %v %+v", word, err, entries)
		}
	}
}
