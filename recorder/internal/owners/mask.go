package owners

import "bytes"

// hidden stands in a command line for what is taken for a secret, whatever its length.
const hidden = "***"

// mostNested is how deep quotes in quotes are looked into, as in sh -c "ssh host 'mysql -pX'".
const mostNested = 4

// mask is the command line with the passwords and other secrets in it replaced by ***; all else stays as it is. Arguments are parted
// by NULs; a text without any, as of a process that wrote a title over its arguments, is read as words. cut says that the text was
// longer than this: a secret may go on behind its end. Where nothing is secret it is the same memory.
func mask(text []byte, cut bool) []byte {
	for {
		m := masker{in: text, cut: cut}
		m.commandLine()
		if m.out == nil {
			return text
		}
		// What was a part of a secret may have hidden another. Each time some byte of the text becomes a *, so this ends.
		text = append(m.out, text[m.taken:]...)
	}
}

// What the next argument or word is, as the one before it says.
type expected int

const (
	anything    expected = iota
	secretValue          // the value of a flag
	secretQuery          // the value of a flag that may also say where the password is, as file:X does
	userValue            // user:password
	headerValue          // a header of HTTP
	secretRest           // what belongs to a header, the words of a title up to a flag or an address
	secretWord           // the first of them, or the one after a scheme such as Bearer
	noProgram            // the name of something, such as a container
	script               // a line for the shell
)

// A masker goes through a command line once.
type masker struct {
	in    []byte
	cut   bool
	out   []byte // nil while nothing is hidden
	taken int    // so much of in is in out

	title   bool        // there are no arguments, only words
	program *shortFlags // of the last known program, nil for none
	next    expected
	nested  int // so deep in words of arguments
}

// hide replaces in[start:end].
func (m *masker) hide(start, end int) {
	start = max(start, m.taken)
	if start >= end || len(bytes.Trim(m.in[start:end], "*")) == 0 { // empty, or hidden before
		return
	}
	m.out = append(append(m.out, m.in[m.taken:start]...), hidden...)
	m.taken = end
}

func (m *masker) commandLine() {
	if bytes.IndexByte(m.in, 0) < 0 {
		m.title = true
		m.words(0, len(m.in))
		return
	}
	for start := 0; start < len(m.in); {
		end := len(m.in)
		if i := bytes.IndexByte(m.in[start:], 0); i >= 0 {
			end = start + i
		}
		m.argument(start, end)
		start = end + 1
	}
}

// argument takes one argument. One with blanks in it may be a line of words itself: a script, or parameters of a database.
func (m *masker) argument(start, end int) {
	isScript := m.next == script || m.program == ofOthers
	if m.next == script {
		m.next = anything
	}
	text := m.in[start:end]
	if m.next != anything || !bytes.ContainsAny(text, " \t\n") || m.nested >= mostNested {
		m.word(start, end)
		return
	}
	if name, _, ok := bytes.Cut(text, []byte("=")); ok && (text[0] == '-' || !isScript && secretName(name, false)) {
		m.word(start, end)
	} else if m.header(start, end) {
		return
	}
	m.nested++
	m.words(max(start, m.taken), end)
	m.nested--
	m.next = anything // what a line expects is in it
}

// words takes words that are parted by blanks; those in quotes are one.
func (m *masker) words(start, end int) {
	lone := [2]bool{} // there is no other quote of this kind
	for start < end {
		if blank(m.in[start]) {
			start++
			continue
		}
		at := start
		for at < end && !blank(m.in[at]) {
			switch c := m.in[at]; {
			case c == '\\' && at+1 < end:
				at += 2
			case c == '"' && !lone[0], c == '\'' && !lone[1]:
				close := m.closing(at, end)
				if close < 0 {
					if m.cut && end == len(m.in) && m.toTheEnd(start) {
						return
					}
					lone[0], lone[1] = lone[0] || c == '"', lone[1] || c == '\''
					at++
					break
				}
				at = close + 1
			default:
				at++
			}
		}
		at = min(at, end)
		m.word(start, at)
		start = at
	}
}

// toTheEnd takes a word whose quote may end behind what was read. It answers false if it had no secret at its end: then the quote may
// be an apostrophe.
func (m *masker) toTheEnd(start int) bool {
	next := m.next
	m.word(start, len(m.in))
	m.next = next
	return m.taken == len(m.in)
}

// closing is where the quote ends that begins at start, or -1.
func (m *masker) closing(start, end int) int {
	for i := start + 1; i < end; i++ {
		switch m.in[i] {
		case m.in[start]:
			return i
		case '\\':
			if m.in[start] == '"' {
				i++
			}
		}
	}
	return -1
}

// word takes an argument or a word.
func (m *masker) word(start, end int) {
	if start >= end {
		m.next = anything
		return
	}
	w := m.in[start:end]
	next := m.next
	m.next = anything
	switch next {
	case secretValue, secretQuery:
		if isFlag(w) {
			break
		}
		if next == secretQuery {
			if isSource(w) {
				return
			}
			if from := len("pass:"); bytes.HasPrefix(unquoted(w), []byte("pass:")) {
				start += from + (len(w)-len(unquoted(w)))/2
			}
		}
		m.hide(start, end)
		return
	case userValue:
		m.hideAfterUser(start, end)
		m.scan(start, end)
		return
	case secretWord, secretRest:
		if next == secretRest && (w[0] == '-' || bytes.Contains(w, []byte("://"))) {
			break
		}
		m.next = secretRest
		if foldIn(w, schemes) {
			m.next = secretWord
		}
		m.hide(start, end)
		return
	case headerValue:
		if m.header(start, end) {
			return
		}
	}
	if len(w) > 1 && (w[0] == '"' || w[0] == '\'') && m.nested < mostNested {
		switch close := m.closing(start, end); {
		case close == end-1:
			m.argument(start+1, close)
			return
		case close < 0 && m.cut && end == len(m.in):
			m.argument(start+1, end)
			return
		}
	}
	if w[0] == '-' && len(w) > 1 {
		if m.flag(start, end) {
			return
		}
	} else if p, ok := programs[string(base(w))]; ok && next != noProgram {
		m.program = p
	}
	m.scan(start, end)
}

// flag takes what begins with -. It answers false when the rest of it is still to be looked at.
func (m *masker) flag(start, end int) bool {
	w := m.in[start:end]
	if w[1] != '-' && m.shortFlag(start, end) {
		return true
	}
	from := bytes.IndexByte(w, '=') + 1
	name := w
	if from > 0 {
		name = w[:from-1]
	}
	long := len(name) > 1 && name[1] == '-'
	name = bytes.TrimLeft(name, "-")
	kind := anything
	switch {
	case foldIn(name, secretFlagNames):
		kind = secretValue
	case m.program != nil && m.program.sources && foldIn(name, []string{"pass", "passin", "passout"}):
		kind = secretQuery
	case !long && (equalFold(name, "pass") || len(name) == 1): // -pass 1 of ffmpeg
	case secretName(name, true):
		kind = secretValue
	case long && m.program != nil && m.program.marks != "" && foldIn(name, userFlagNames):
		kind = userValue
	case equalFold(name, "header"), equalFold(name, "headers"):
		kind = headerValue
	case from == 0 && foldIn(name, []string{"name", "host", "hostname"}):
		m.next = noProgram
	case from == 0 && equalFold(name, "command"):
		m.next = script
	}
	if kind == anything || from == 0 && !long && isUpper(name[len(name)-1]) { // -eTOKEN of docker
		return false
	}
	if from == 0 {
		m.next = kind
		return true
	}
	if kind == headerValue {
		return m.header(start+from, end)
	}
	if start+from < end {
		m.next = kind
		if kind == secretValue {
			m.hide(start+from, end) // whatever it begins with
			m.next = anything
			return true
		}
		m.word(start+from, end)
	}
	return true
}

// shortFlag takes flags of one letter.
func (m *masker) shortFlag(start, end int) bool {
	w := m.in[start:end]
	at := 1
	p := m.program
	if p == nil {
		p = ofOthers
	}
	for at+1 < len(w) && contains(p.alone, w[at]) {
		at++
	}
	last := at+1 == len(w)
	switch c := w[at]; {
	case last && contains(p.apart, c):
		m.next = secretValue
		return true
	case contains(p.value, c):
		if last {
			m.next = secretValue
		}
		m.hide(start+at+1, end)
		return true
	case contains(p.attached, c):
		m.hide(start+at+1, end)
		return true
	case contains(p.user, c):
		if last {
			m.next = userValue
		} else {
			m.hideAfterUser(start+at+1, end)
		}
		return true
	case c == 'H':
		if last {
			m.next = headerValue
			return true
		}
		return m.header(start+at+1, end)
	case c == 'h' && last:
		m.next = noProgram
	case w[len(w)-1] == 'c' && len(w) <= 5: // sh -c, bash -lc
		m.next = script
	}
	return false
}

// expect says what the next word is. An argument has nothing to do with the next one.
func (m *masker) expect(next expected) {
	if m.title || m.nested > 0 {
		m.next = next
	}
}

// hideAfterUser takes user:password. Without a user, as in :password, all behind the mark is hidden too.
func (m *masker) hideAfterUser(start, end int) {
	if i := bytes.IndexAny(m.in[start:end], m.program.marks); i >= 0 {
		m.hide(start+i+1, end)
	}
}

// header hides the value of a header of HTTP, if it is secret.
func (m *masker) header(start, end int) bool {
	if end-start > 1 && (m.in[start] == '"' || m.in[start] == '\'') && m.closing(start, end) == end-1 {
		start, end = start+1, end-1
	}
	name, _, ok := bytes.Cut(m.in[start:end], []byte(":"))
	if !ok || bytes.IndexFunc(name, notOfName) >= 0 || !foldIn(name, secretHeaders) && !secretName(name, false) {
		return false
	}
	from := start + len(name) + 1
	for from < end && blank(m.in[from]) {
		from++
	}
	if from >= end {
		m.expect(secretWord)
	}
	m.hide(from, end)
	return true
}

// scan looks for secrets inside a word: NAME=value, "name": "value", and user:password@ in addresses.
func (m *masker) scan(start, end int) {
	for i := start; i < end; i++ {
		switch m.in[i] {
		case '=':
			from := m.nameBefore(start, i)
			if !secretName(m.in[from:i], from > start && m.in[from-1] == ';') {
				continue
			}
			if to := m.endOfValue(start, from, i+1, end); to > i+1 {
				m.hide(i+1, to)
				i = to - 1
			}
		case ':':
			if bytes.HasPrefix(m.in[i:end], []byte("://")) {
				i = m.userInfo(i+len("://"), end) - 1
			} else if to := m.member(start, i, end); to > i {
				i = to - 1
			}
		}
	}
}

// nameBefore is where the name begins that ends before i.
func (m *masker) nameBefore(start, i int) int {
	for i > start && !notOfName(rune(m.in[i-1])) {
		i--
	}
	return i
}

func notOfName(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return r != '_' && r != '-' && r != '.' && r != '[' && r != ']'
}

// endOfValue is where the value ends that begins at from; its name begins at name.
func (m *masker) endOfValue(start, name, from, end int) int {
	query := name > start && (m.in[name-1] == '?' || m.in[name-1] == '&')
	whole := name == start || m.in[name-1] == '=' || m.in[name-1] == '"' || m.in[name-1] == '\''
	upper := whole && bytes.Equal(m.in[name:from], bytes.ToUpper(m.in[name:from]))
	to := from
	if from < end && (m.in[from] == '"' || m.in[from] == '\'') && !query {
		if to = m.closingOf(from, end); to < 0 {
			return end
		}
		to++
	}
	for ; to < end; to++ {
		switch c := m.in[to]; {
		case query:
			if c == '&' || c == '#' || blank(c) || c == '"' || c == '\'' {
				return to
			}
		case upper: // a variable, to its end
			if m.nested > 0 && c == ';' && to+1 == end {
				return to
			}
		case blank(c):
			if !whole || m.assigns(to+1, end) {
				return to
			}
		case c == '&' || c == ';' || c == ',':
			if m.assigns(to+1, end) {
				return to
			}
		}
	}
	return end
}

// closingOf is closing for quotes in which a \ hides the next character.
func (m *masker) closingOf(start, end int) int {
	for i := start + 1; i < end; i++ {
		switch m.in[i] {
		case '\\':
			i++
		case m.in[start]:
			return i
		}
	}
	return -1
}

// assigns reports whether NAME= begins there.
func (m *masker) assigns(from, end int) bool {
	for from < end && blank(m.in[from]) {
		from++
	}
	i := from
	for i < end && !notOfName(rune(m.in[i])) {
		i++
	}
	return i > from && i < end && m.in[i] == '='
}

// userInfo hides the password in an address whose host, or user, begins at start. It returns where to go on.
func (m *masker) userInfo(start, end int) int {
	to := start
	for to < end && !blank(m.in[to]) && m.in[to] != '"' && m.in[to] != '\'' {
		to++
	}
	host := start
	for host < to && m.in[host] != '/' && m.in[host] != '?' && m.in[host] != '#' {
		host++
	}
	colon := bytes.IndexByte(m.in[start:host], ':')
	if colon < 0 {
		return start
	}
	colon += start
	at := bytes.LastIndexByte(m.in[start:host], '@')
	if at >= 0 {
		at += start
	} else if rest := m.in[colon+1 : host]; m.in[start] != '[' && len(bytes.Trim(rest, "0123456789")) > 0 {
		if i := bytes.LastIndexByte(m.in[host:to], '@'); i >= 0 { // a / in the password
			at = host + i
		} else if m.cut && to == len(m.in) {
			at = to
		}
	} else if m.cut && host == len(m.in) && m.in[start] != '[' {
		at = host // a port, or digits of a password
	}
	if at <= colon {
		return start
	}
	m.hide(colon+1, at)
	return at
}

// member hides the value of "name": "value", as in JSON, and what follows Authorization: anywhere. It returns where to go on, 0 when
// there is no such thing.
func (m *masker) member(start, colon, end int) int {
	to := colon
	quote := byte(0)
	if to > start && (m.in[to-1] == '"' || m.in[to-1] == '\'') {
		to--
		quote = m.in[to]
		if to > start && m.in[to-1] == '\\' {
			to--
		}
	}
	name := m.in[m.nameBefore(start, to):to]
	if quote == 0 {
		if !foldIn(name, secretHeaders[:2]) {
			return 0
		}
		from := colon + 1
		for from < end && blank(m.in[from]) {
			from++
		}
		if from >= end {
			m.expect(secretWord)
		}
		m.hide(from, end)
		return end
	}
	if !secretName(name, true) {
		return 0
	}
	from := colon + 1
	for from < end && blank(m.in[from]) {
		from++
	}
	if from == end {
		m.expect(secretValue)
		return end
	}
	if bytes.HasPrefix(m.in[from:end], []byte(`\"`)) {
		if i := bytes.Index(m.in[from+2:end], []byte(`\"`)); i >= 0 {
			end = from + 2 + i
		}
		m.hide(from+2, end)
		return end
	}
	if c := m.in[from]; c == '"' || c == '\'' {
		if i := m.closingOf(from, end); i >= 0 {
			end = i
		}
		m.hide(from+1, end)
		return end
	}
	if i := bytes.IndexAny(m.in[from:end], ",} "); i >= 0 {
		end = from + i
	}
	m.hide(from, end)
	return end
}

// secretName reports whether what has that name is a secret. Its words are parted by marks, or begin with a capital. The word pwd
// alone is the folder of a shell, unless pwd says otherwise.
func secretName(name []byte, pwd bool) bool {
	secret, words := false, 0
	var first, before, last []byte
	for len(name) > 0 {
		var word []byte
		if word, name = cutNamePart(name); len(word) == 0 {
			continue
		}
		if words++; words == 1 {
			first = word
		}
		switch {
		case equalFold(word, "key"):
			secret = secret || foldIn(before, keyOwners)
		case equalFold(word, "pwd"):
			secret = secret || pwd || words > 1 || len(name) > 0
		default:
			secret = secret || isSecretWord(word)
		}
		before, last = word, word
	}
	return secret && !foldIn(last, aboutSecrets) && !(words > 1 && foldIn(first, notGiven))
}

func isSecretWord(word []byte) bool {
	for _, end := range secretEndings {
		if len(word) >= len(end) && equalFold(word[len(word)-len(end):], end) {
			return true
		}
	}
	return foldIn(word, secretWords)
}

// cutNamePart cuts the first word from a name; it is empty where there is a mark only.
func cutNamePart(name []byte) (word, rest []byte) {
	i := 0
	for i < len(name) && isLetter(name[i]) {
		if i > 0 && isUpper(name[i]) && (!isUpper(name[i-1]) || i+2 < len(name) && isLetter(name[i+1]) && !isUpper(name[i+1])) {
			break // apiKey, APIKey
		}
		i++
	}
	if i == 0 {
		return nil, name[1:]
	}
	return name[:i], name[i:]
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isUpper(c byte) bool  { return 'A' <= c && c <= 'Z' }
func blank(c byte) bool    { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0 }

// isFlag reports whether w is rather another flag than a value: a secret may begin with -.
func isFlag(w []byte) bool {
	return len(w) == 2 && w[0] == '-' || len(w) > 2 && w[0] == '-' && w[1] == '-' && isLetter(w[2])
}

// isSource reports whether w says where a password is, for openssl.
func isSource(w []byte) bool {
	w = unquoted(w)
	for _, prefix := range []string{"file:", "env:", "fd:"} {
		if bytes.HasPrefix(w, []byte(prefix)) {
			return true
		}
	}
	return string(w) == "stdin"
}

func unquoted(w []byte) []byte {
	if len(w) > 1 && (w[0] == '"' || w[0] == '\'') && w[len(w)-1] == w[0] {
		return w[1 : len(w)-1]
	}
	return w
}

// base is the name of a program without its folder.
func base(w []byte) []byte { return w[bytes.LastIndexByte(w, '/')+1:] }

func contains(flags string, c byte) bool {
	for i := range len(flags) {
		if flags[i] == c {
			return true
		}
	}
	return false
}

func foldIn(word []byte, list []string) bool {
	for _, w := range list {
		if equalFold(word, w) {
			return true
		}
	}
	return false
}

// equalFold compares letters of ASCII without their case; lower is in lower case.
func equalFold(word []byte, lower string) bool {
	if len(word) != len(lower) {
		return false
	}
	for i, c := range word {
		if isUpper(c) {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
