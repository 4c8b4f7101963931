package tools

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// An ssParser reads an expression. As in ss, "and" binds no stronger than "or": they are read from the left to the right.
type ssParser struct {
	tokens []string
	about  string // the word before the value: src, dport and so on
	device func(name string) (int64, bool)
	hosts  func(name string) []netip.Addr
	kinds  int
	prefer ssFamily
	only   ssFamily // the family that an address named
	marks  bool     // marks are asked for
	groups bool     // control groups are
	dev    bool     // devices are
}

// ssTokens parts the words of an expression, each of which may hold several; a backslash takes the meaning of a blank away.
func ssTokens(words []string) (tokens []string) {
	for _, word := range words {
		var token []byte
		has := false
		for i := 0; i < len(word); i++ {
			switch c := word[i]; {
			case c == ' ' || c == '\t':
				if has {
					tokens = append(tokens, string(token))
				}
				token, has = nil, false
				continue
			case c == '\\' && i+1 < len(word):
				i++
			}
			token, has = append(token, word[i]), true
		}
		if has {
			tokens = append(tokens, string(token))
		}
	}
	return tokens
}

var ssWords = map[string]string{
	"!": "!", "not": "!", "&": "&", "&&": "&", "and": "&", "|": "|", "||": "|", "or": "|", "(": "(", ")": ")",
	">=": ">=", "ge": ">=", "geq": ">=", "<=": "<=", "le": "<=", "leq": "<=", "!=": "!=", "ne": "!=", "neq": "!=", "=": "=", "==": "=", "eq": "=", ">": ">", "gt": ">", "<": "<", "lt": "<",
}

func (p *ssParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	if word, ok := ssWords[p.tokens[0]]; ok {
		return word
	}
	return p.tokens[0]
}

func (p *ssParser) parse() (condition, error) {
	c, err := p.list(0)
	if err == nil && len(p.tokens) > 0 {
		err = usagef("%q ends an expression that did not begin with (", p.tokens[0])
	}
	return c, err
}

const ssDeepest = 200

func (p *ssParser) list(depth int) (condition, error) {
	if depth > ssDeepest {
		return nil, usagef("the expression has more than %d levels of parentheses and not", ssDeepest)
	}
	left, err := p.one(depth)
	for err == nil && len(p.tokens) > 0 && p.peek() != ")" {
		join := p.peek()
		if join == "|" || join == "&" {
			p.tokens = p.tokens[1:]
		}
		var right condition
		if right, err = p.one(depth); err != nil {
			break
		}
		if join == "|" {
			left = anyCondition{left, right}
		} else {
			left = allCondition{left, right}
		}
	}
	return left, err
}

func (p *ssParser) one(depth int) (condition, error) {
	if depth > ssDeepest {
		return nil, usagef("the expression has more than %d levels of parentheses and not", ssDeepest)
	}
	if len(p.tokens) == 0 {
		return nil, usagef("the expression ends where a condition is due, such as dport = :443")
	}
	word := p.peek()
	p.tokens = p.tokens[1:]
	switch word {
	case "(":
		c, err := p.list(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.peek() != ")" {
			return nil, usagef("a ( of the expression is not closed: ) stands as a word of its own")
		}
		p.tokens = p.tokens[1:]
		return c, nil
	case "!":
		c, err := p.one(depth + 1)
		return notCondition{c}, err
	case "autobound":
		return nil, &UnknownOptionError{Tool: "ss", Option: "autobound", Instead: "whether a port was chosen by the kernel is not recorded; sport ge :32768 is near it"}
	case "state", "exclude", "excl":
		return nil, usagef("%s stands before the expression: ss -tn state established dport = :443", word)
	case "src", "dst", "sport", "dport", "dev", "fwmark", "cgroup":
	default:
		return nil, usagef("%q begins no condition: those are src, dst, sport, dport, dev, fwmark and cgroup, with blanks around = and parentheses", word)
	}
	p.about = word
	compare := "="
	switch next := p.peek(); next {
	case "=", "!=", ">", "<", ">=", "<=":
		compare, p.tokens = next, p.tokens[1:]
	}
	ports := word == "sport" || word == "dport"
	if !ports && (strings.ContainsAny(compare, "<>") || compare == "!=" && (word == "src" || word == "dst")) {
		return nil, usagef("%s is not compared by %s: not %s … is the contrary", word, compare, word)
	}
	if _, operator := ssWords[p.peek()]; operator || len(p.tokens) == 0 {
		return nil, usagef("what %s is compared with is missing", word)
	}
	value := p.tokens[0]
	p.tokens = p.tokens[1:]
	c, err := p.value(word, compare, value)
	if err != nil {
		return nil, err
	}
	if compare == "!=" || compare == ">" || compare == "<" {
		c = notCondition{c}
	}
	return c, nil
}

func (p *ssParser) value(word, compare, value string) (condition, error) {
	switch word {
	case "dev":
		p.dev = true
		ifindex, ok := p.device(value)
		if !ok {
			number, err := strconv.ParseUint(value, 0, 32)
			if err != nil {
				return nil, usagef("no interface %s at that moment: SELECT name FROM interfaces WHERE ts = at() lists them", value)
			}
			ifindex = int64(number)
		}
		return deviceCondition{ifindex}, nil
	case "fwmark":
		p.marks = true
		text, maskText, has := strings.Cut(value, "/")
		mark, err := strconv.ParseInt(text, 0, 64)
		mask := int64(math.MaxUint32)
		if err == nil && has {
			mask, err = strconv.ParseInt(maskText, 0, 64)
		}
		if err != nil {
			return nil, usagef("fwmark %s is not a number, or a number/mask", value)
		}
		return markCondition{uint32(mark), uint32(mask)}, nil
	case "cgroup":
		p.groups = true
		return cgroupCondition{cgroupPath(value)}, nil
	}
	c, err := p.host(word, value)
	if err != nil {
		return nil, err
	}
	switch compare {
	case ">=", "<":
		return rangeCondition{c.remote, true, c.port}, nil
	case "<=", ">":
		return rangeCondition{c.remote, false, c.port}, nil
	}
	return c, nil
}

// cgroupPath is a control group by its path below where control groups are mounted.
func cgroupPath(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "/sys/fs/cgroup/unified"), "/sys/fs/cgroup")
	return "/" + strings.Trim(path, "/")
}
