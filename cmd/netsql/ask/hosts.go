package ask

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Hosts are those of a file, by group; the group "" has those that stand before any, and "all" has all.
type Hosts struct {
	groups   map[string][]string
	children map[string][]string // groups of a group
	names    []string            // of groups, as they come
	all      []string
}

// hostName are the letters of a host, as ssh takes it: a name of its configuration, an address, user@host, or ssh://user@host:port. What a shell or
// ssh could take for something else is not among them: a configuration may put the name into a command (%h).
var hostName = regexp.MustCompile(`^[A-Za-z0-9._:@/%+\[\]-]+$`)

// CheckHost says what is wrong with a host.
func CheckHost(host string) error {
	address := strings.HasPrefix(host, "ssh://")
	switch {
	case host == "":
		return errors.New("a host without a name")
	case strings.HasPrefix(host, "-"), strings.Contains(host, "@-"), strings.HasPrefix(host, "ssh://-"):
		return fmt.Errorf("%q is no host: a name does not begin with -", host)
	case !hostName.MatchString(host):
		return fmt.Errorf("%q is no host: a name has letters, digits and . _ - : @ only; ~/.ssh/config gives names to others", host)
	case !address && strings.ContainsAny(host, "/[]"):
		return fmt.Errorf("%q is no host: name it as ssh takes it, such as web1, ann@web1 or ssh://ann@web1:2222", host)
	}
	return nil
}

// ParseHosts reads a file of hosts: one on each line, groups below [NAME], and the groups of a group below [NAME:children]. Behind # is a comment.
func ParseHosts(name, text string) (*Hosts, error) {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("%s is no text", name)
	}
	h := &Hosts{groups: map[string][]string{}, children: map[string][]string{}}
	group, ofGroups, number := "", false, 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		wrong := func(why string) error { return fmt.Errorf("%s:%d: %s", name, number, why) }
		switch {
		case line == "" || line[0] == ';':
		case line[0] == '[':
			inside, closed := strings.CutSuffix(line[1:], "]")
			var kind string
			group, kind, ofGroups = strings.Cut(inside, ":")
			switch {
			case !closed || !groupName.MatchString(group):
				return nil, wrong(fmt.Sprintf("%q is no group: a line is like [web]", line))
			case ofGroups && kind != "children":
				return nil, wrong(fmt.Sprintf("[%s:%s] is not read here: what belongs to a host goes into ~/.ssh/config", group, kind))
			case !slices.Contains(h.names, group):
				h.names = append(h.names, group)
			}
		case ofGroups:
			if !groupName.MatchString(line) {
				return nil, wrong(fmt.Sprintf("%q is no name of a group", line))
			}
			h.children[group] = append(h.children[group], line)
		default:
			if host, more, is := strings.Cut(line, " "); is || strings.Contains(line, "\t") {
				return nil, wrong(fmt.Sprintf("one host on a line: what stands behind %s (%s) goes into ~/.ssh/config", host, strings.TrimSpace(more)))
			}
			if err := CheckHost(line); err != nil {
				return nil, wrong(err.Error())
			}
			h.groups[group] = append(h.groups[group], line)
			h.all = append(h.all, line)
		}
	}
	for of, groups := range h.children {
		for _, group := range groups {
			if !slices.Contains(h.names, group) {
				return nil, fmt.Errorf("%s: [%s:children] names the group %s, which is not there", name, of, group)
			}
		}
	}
	return h, nil
}

var groupName = regexp.MustCompile(`^[\p{L}0-9_.-]+$`)

// Groups are the names of the groups, in the order of the file.
func (h *Hosts) Groups() []string { return h.names }

// All are the hosts of the file, each once.
func (h *Hosts) All() []string { return once(h.all) }

// Group are the hosts of a group, each once; all is a group that every file has.
func (h *Hosts) Group(name string) ([]string, bool) {
	if !slices.Contains(h.names, name) {
		return h.All(), name == "all"
	}
	return once(h.within(name, map[string]bool{})), true
}

func (h *Hosts) within(name string, seen map[string]bool) []string {
	if seen[name] {
		return nil
	}
	seen[name] = true
	hosts := slices.Clone(h.groups[name])
	for _, child := range h.children[name] {
		hosts = append(hosts, h.within(child, seen)...)
	}
	return hosts
}

func once(hosts []string) (all []string) {
	seen := map[string]bool{}
	for _, host := range hosts {
		if !seen[host] {
			all = append(all, host)
		}
		seen[host] = true
	}
	return all
}

// Choose are the hosts that words name: hosts, and @GROUP. Without words they are those of the file.
func Choose(words []string, file *Hosts, fileName string) (hosts []string, err error) {
	if len(words) == 0 && file != nil {
		words = []string{"@all"}
	}
	for _, word := range words {
		group, is := strings.CutPrefix(word, "@")
		if !is {
			if err := CheckHost(word); err != nil {
				return nil, err
			}
			hosts = append(hosts, word)
			continue
		}
		if file == nil {
			return nil, fmt.Errorf("@%s is a group of a file of hosts: name the file with --hosts, or write %s", group, fileName)
		}
		of, ok := file.Group(group)
		if !ok {
			return nil, fmt.Errorf("no group @%s in %s: there are %s", group, fileName, strings.Join(append([]string{"@all"}, atEach(file.names)...), ", "))
		}
		if len(of) == 0 {
			return nil, fmt.Errorf("no host in @%s of %s", group, fileName)
		}
		hosts = append(hosts, of...)
	}
	return once(hosts), nil
}

func atEach(names []string) (all []string) {
	for _, name := range names {
		all = append(all, "@"+name)
	}
	return all
}

// Words takes a command apart as a shell does: blanks part words, but not within quotes or behind a backslash.
func Words(command string) (words []string, err error) {
	var word strings.Builder
	begun, quote := false, rune(0)
	escaped := false
	for _, r := range command {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			begun, escaped = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '\'' || r == '"':
			begun, quote = true, r
		case r == ' ' || r == '\t' || r == '\n':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	if begun {
		words = append(words, word.String())
	}
	switch {
	case quote != 0 || escaped:
		return nil, fmt.Errorf("%q has a quote that does not end", command)
	case len(words) == 0 || words[0] == "":
		return nil, errors.New("it names no command: it is like 'ssh -p 2222'")
	}
	return words, nil
}
