package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/chzyer/readline"

	"netsql/query"
)

// editModel is the editor without a terminal: keys in; text, cursor and what
// is to be seen below them out.
type editModel struct {
	editBuffer
	cfg     editorConfig
	history *history

	at    int            // the entry being edited; len(history.entries) is the new one
	edits map[int]string // how entries were left, so that walking loses nothing

	tabs   int      // Tabs in a row that found nothing to add
	listed []string // candidates on show
	page   int      // the first of them in view
	shown  int      // how many are

	search *historySearch // while Ctrl-R looks for an entry
}

type historySearch struct {
	query  string
	failed bool
	// Where Ctrl-G goes back to.
	at     int
	buffer editBuffer
}

type editOutcome int

const (
	editContinue editOutcome = iota
	editSubmit
	editInterrupt
	editEOF
)

func newEditModel(cfg editorConfig, h *history) *editModel {
	return &editModel{cfg: cfg, history: h}
}

// reset begins an empty input. What was killed can still be yanked.
func (m *editModel) reset() {
	m.set("", 0)
	m.at = len(m.history.entries)
	m.edits = map[int]string{}
	m.tabs, m.listed, m.search = 0, nil, nil
}

// handle applies a key. The bell is for keys that could do nothing.
func (m *editModel) handle(key rune, text string) (outcome editOutcome, bell bool) {
	if m.search != nil {
		if done, bell := m.handleSearch(key, text); done {
			return editContinue, bell
		}
	}
	if key != readline.CharTab {
		m.tabs, m.listed = 0, nil
	}
	switch key {
	case keyText:
		m.splice(actType, m.cursor, m.cursor, text)
	case keyPaste:
		m.splice(actEdit, m.cursor, m.cursor, text)
	case readline.CharEnter, readline.CharCtrlJ:
		if m.cfg.finished(m.text) {
			return editSubmit, false
		}
		m.splice(actType, m.cursor, m.cursor, "\n")
	case readline.CharInterrupt:
		return editInterrupt, false
	case readline.CharDelete: // Ctrl-D
		if m.text == "" {
			return editEOF, false
		}
		return editContinue, !m.delete()
	case readline.CharBckSearch, readline.CharFwdSearch:
		m.edits[m.at] = m.text
		m.search = &historySearch{at: m.at, buffer: m.editBuffer}
	case readline.CharTab:
		return editContinue, !m.tab()
	default:
		return editContinue, !m.edit(key)
	}
	return editContinue, false
}

// edit applies the keys that move, change or recall.
func (m *editModel) edit(key rune) bool {
	switch key {
	case keyNewline:
		m.splice(actType, m.cursor, m.cursor, "\n")
	case readline.CharBackward:
		return m.moveTo(m.left())
	case readline.CharForward:
		return m.moveTo(m.right())
	case readline.CharLineStart:
		m.moveTo(m.lineStart())
	case readline.CharLineEnd:
		m.moveTo(m.lineEnd())
	case keyWordLeft:
		return m.moveTo(m.wordLeft())
	case keyWordRight:
		return m.moveTo(m.wordRight())
	case keyBufferStart:
		m.moveTo(0)
	case keyBufferEnd:
		m.moveTo(len(m.text))
	case readline.CharBackspace, readline.CharCtrlH:
		return m.backspace()
	case keyDelete:
		return m.delete()
	case readline.CharKill:
		return m.kill(m.cursor, m.killEnd())
	case readline.CharCtrlU:
		return m.kill(m.killStart(), m.cursor)
	case readline.CharCtrlW:
		return m.kill(m.blankLeft(), m.cursor)
	case keyKillWordBack:
		return m.kill(m.wordLeft(), m.cursor)
	case keyKillWord:
		return m.kill(m.cursor, m.wordRight())
	case readline.CharCtrlY:
		return m.yank()
	case readline.CharTranspose:
		return m.transpose()
	case 0x1f: // Ctrl-_
		return m.undo()
	case keyUp:
		return m.up() || m.recall(m.at-1)
	case keyDown:
		return m.down() || m.recall(m.at+1)
	case keyHistoryPrev, readline.CharPrev:
		return m.recall(m.at - 1)
	case keyHistoryNext, readline.CharNext:
		return m.recall(m.at + 1)
	case readline.CharCtrlL:
	default:
		return false
	}
	return true
}

// recall shows history entry at, with the cursor at its end.
func (m *editModel) recall(at int) bool {
	if at < 0 || at > len(m.history.entries) {
		return false
	}
	m.edits[m.at] = m.text
	text, edited := m.edits[at]
	if !edited && at < len(m.history.entries) {
		text = m.history.entries[at]
	}
	m.at = at
	m.set(text, len(text))
	return true
}

// handleSearch applies a key while Ctrl-R searches, and returns false for keys
// that end the search with what it found and then do what they always do.
func (m *editModel) handleSearch(key rune, text string) (done, bell bool) {
	s := m.search
	switch key {
	case keyText, keyPaste:
		s.query += text
		return true, !m.find(m.at, -1)
	case readline.CharBckSearch:
		return true, !m.find(m.at-1, -1)
	case readline.CharFwdSearch:
		return true, !m.find(m.at+1, +1)
	case readline.CharBackspace, readline.CharCtrlH:
		s.query = s.query[:prevCluster(s.query, len(s.query))]
		return true, !m.find(len(m.history.entries)-1, -1)
	case readline.CharBell: // Ctrl-G
		m.at, m.editBuffer = s.at, s.buffer
		m.search = nil
		return true, false
	case readline.CharCtrlL:
		return true, false
	}
	m.search = nil
	return false, false
}

// find shows the next entry from at on, in direction step, that has the query
// in it, whatever its case. Entries equal to the one on show are passed over.
func (m *editModel) find(at, step int) bool {
	s := m.search
	s.failed = false
	if s.query == "" {
		m.at, m.editBuffer = s.at, s.buffer
		return true
	}
	query := regexp.MustCompile("(?i)" + regexp.QuoteMeta(s.query))
	moving := at != m.at
	for at = min(at, len(m.history.entries)-1); 0 <= at && at < len(m.history.entries); at += step {
		entry := m.history.entries[at]
		found := query.FindStringIndex(entry)
		if found == nil || moving && entry == m.text {
			continue
		}
		m.at = at
		m.set(entry, found[0])
		return true
	}
	s.failed = true
	return false
}

// tab adds what all candidates have in common. When there is nothing to add, a
// second Tab lists them, and each further one turns a page.
func (m *editModel) tab() bool {
	if m.listed != nil {
		if m.page += m.shown; m.page >= len(m.listed) {
			m.page = 0
		}
		return true
	}
	if m.cfg.complete == nil {
		return false
	}
	candidates, from := m.cfg.complete(m.text, m.cursor)
	if len(candidates) == 0 || from < 0 || from > m.cursor {
		m.tabs = 0
		return false
	}
	typed := m.text[from:m.cursor]
	common := commonPrefix(candidates)
	if len(candidates) == 1 && goesOn(common) && (m.cursor == len(m.text) || !isBlank(m.text[m.cursor])) {
		common += " " // the word is whole
	}
	if len(candidates) == 1 || common != typed && len(common) >= len(typed) {
		if common != typed {
			m.splice(actEdit, from, m.cursor, common)
		}
		m.tabs = 1
		return true
	}
	if m.tabs++; m.tabs < 2 {
		return false
	}
	m.listed, m.page = slices.Clone(candidates), 0
	return true
}

// goesOn reports whether another word follows a whole one.
func goesOn(word string) bool {
	return word != "" && !strings.HasSuffix(word, "(") && !strings.HasSuffix(word, string(filepath.Separator))
}

func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == ')' || c == ',' || c == ';'
}

func commonPrefix(words []string) string {
	common := words[0]
	for _, w := range words[1:] {
		n := 0
		for n < len(common) && n < len(w) && common[n] == w[n] {
			n++
		}
		for n > 0 && n < len(common) && !utf8.RuneStart(common[n]) {
			n--
		}
		common = common[:n]
	}
	return common
}

// layout is the text as rows of the terminal.
func (m *editModel) layout(width int) (rows []row, curRow, curCol int) {
	var colours []query.Highlight
	if m.cfg.colours != nil {
		colours = m.cfg.colours(m.text)
	}
	return layout(m.cfg.prompt, m.cfg.continuation, m.text, m.cursor, width, colours)
}

// below is what the terminal shows under the text: candidates in at most a
// third of it, or the search.
func (m *editModel) below(width, height int) []row {
	if s := m.search; s != nil {
		what := "search"
		if s.failed {
			what = "not found"
		}
		return []row{truncateRow(fmt.Sprintf("%s: %s", what, s.query), width-1)}
	}
	rows, shown := candidateRows(m.listed[min(m.page, len(m.listed)):], width, min(max(2, height/3), height-1))
	m.shown = max(1, shown)
	return rows
}
