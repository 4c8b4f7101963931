package tools

import (
	"fmt"
	"maps"
	"slices"
)

// missing are the sentences on what was searched for and was not found, as lsof -V says them. It looks at the files of the processes that -p, -u and -c
// leave, with -a, and at their sockets before it selects any.
func (s *lsofSelection) missing(files []*lsofFile, processes []lsofProcess, and bool) (sentences []string) {
	pids, uids, commands, looked := map[int64]bool{}, map[int64]bool{}, map[string]bool{}, map[int64]bool{}
	for _, p := range processes {
		if s.notPids[p.PID] || s.notUids[p.UID] {
			continue
		}
		pids[p.PID], uids[p.UID] = true, true
		if and && (s.asked&lsofPID != 0 && !s.pids[p.PID] || s.asked&lsofUser != 0 && !s.uids[p.UID]) || s.excludes(p.Comm) {
			continue
		}
		command := s.command(p.Comm)
		commands[command] = true
		looked[p.PID] = !and || s.asked&lsofCommand == 0 || command != ""
	}
	states, addresses, network := map[string]bool{}, map[string]bool{}, false
	for _, f := range files {
		if !looked[f.PID] || !f.listed {
			continue
		}
		states[f.State] = true
		if !s.showsState(f) {
			continue
		}
		for _, e := range s.addressesOf(f) {
			addresses[e.arg] = true
		}
		holds := func(r lsofRange) bool { return r.has(f.FD) }
		network = network || (s.families == 0 || int64(s.families) == f.Family) && !slices.ContainsFunc(s.notFds, holds)
	}
	say := func(found bool, format string, args ...any) {
		if !found {
			sentences = append(sentences, fmt.Sprintf(format, args...))
		}
	}
	for _, name := range append(slices.Clone(s.names), s.notName...) { // those of ^NAME it never finds
		say(commands[name], "command not located: %s", name)
	}
	for _, pattern := range s.patterns {
		say(commands[pattern.text], "no command found for regex: %s", pattern.text)
	}
	said := map[string]bool{}
	for _, e := range s.addresses {
		say(addresses[e.arg] || said[e.arg], "Internet address not located: %s", e.arg)
		said[e.arg] = true
	}
	say(network || s.asked&lsofNetwork == 0, "no Internet files located")
	for _, state := range lsofStates {
		say(states[state] || !s.states[state], "TCP state not located: %s", state)
	}
	for _, pid := range slices.Sorted(maps.Keys(s.pids)) {
		say(pids[pid], "process ID not located: %d", pid)
	}
	for _, uid := range slices.Sorted(maps.Keys(s.uids)) {
		if name, named := s.userNames[uid]; named {
			say(uids[uid], "login name (UID %d) not located: %s", uid, name)
		} else {
			say(uids[uid], "user ID not located: %d", uid)
		}
	}
	return sentences
}
