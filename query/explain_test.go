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

// What beginners ask finds its entry and the sentence that answers, as they type it.
func TestBeginnersQuestions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ question, word, answer string }{
		{"Recv-Q", "recv_q", "Bytes that arrived and that the program has not read."},
		{"what are Recv-Q and Send-Q?", "send_q", "the peer has not acknowledged"},
		{"Send-Q", "send_q", "how many connections may wait for accept (the backlog)"},
		{"677 in Recv-Q ESTABLISHED", "recv_q", "677 for an instant is a request that the program is about to read."},
		{"677 in Recv-Q ESTABLISHED", "ESTABLISHED", "recv_q or send_q of one stays above 0"},
		{"CLOSE_WAIT", "CLOSE_WAIT", "the program forgets to close"},
		{"why so many close-wait", "CLOSE_WAIT", "a leak of that program"},
		{"0.0.0.0:22", "0.0.0.0", "It is no danger by itself."},
		{"is 0.0.0.0:22 dangerous?", "0.0.0.0", "let it listen on 127.0.0.1"},
		{"*:443", "0.0.0.0", "Every IPv4 address of this machine"},
		{":::80", "0.0.0.0", "Every IPv4 address of this machine"},
		{"[::]:ssh", "0.0.0.0", "Every IPv4 address of this machine"},
		{"U", "U", "the route is up"},
		{"UG", "UG", "a gateway (G) takes the packets on"},
		{"UGH", "UH", "leads to one host"},
		{"BMRU", "BMRU", "U up, R running"},
		{"RX-DRP", "rx_dropped", "protocols that nobody here speaks"},
		{"why does RX-DRP grow", "rx_dropped", "the kernel then dropped"},
		{"TIME_WAIT 90", "TIME_WAIT", "90 are harmless"},
		{"is 90 TIME_WAIT bad?", "TIME_WAIT", "Nearly all local ports towards one service are taken"},
		{"SYN_RECV", "SYN_RECV", "With SYN cookies the kernel remembers none."},
		{"why is there no SYN_RECV?", "SYN_RECV", "a sample seldom falls into it"},
	} {
		entries, err := Glossary(test.question)
		if err != nil {
			t.Errorf("%s: %v", test.question, err)
			continue
		}
		answered := false
		for _, e := range entries {
			answered = answered || e.Word == test.word && strings.Contains(e.What+" "+e.Normal+" "+e.Worry, test.answer)
		}
		if !answered || len(entries) > 2 {
			t.Errorf("%s: %d entries, %+v; not %q", test.question, len(entries), entries, test.answer)
		}
		if help, err := helpOn(t.Context(), nil, test.question, 10_000, nil); err != nil || !strings.Contains(help, test.answer) {
			t.Errorf(".help %s: %v %s", test.question, err, help)
		}
	}
	for _, question := range []string{"why is it slow", "up and down", "use it on the local machine"} {
		if entries, err := Glossary(question); err == nil {
			t.Errorf("%s: %+v", question, entries)
		}
	}
}
