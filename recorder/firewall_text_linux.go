package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/store"
)

// rulesText records what the rules say (Config.Firewall). nft(8) is asked: what an expression means is known to it alone, and only its words
// are those that the administrator has written. It is run once after each change that is not one of elements only.
//
// Only the rules of the network namespace of the recorder are recorded: with hundreds of containers there would be hundreds of
// programs to run.
type rulesText struct {
	set  *store.Set[store.FirewallID, store.FirewallText]
	own  bool // it is the recorder's network namespace
	list func(ctx context.Context) ([]byte, error)
	now  func() time.Duration

	subjects map[store.FirewallID]*store.Subject[store.FirewallID, store.FirewallText]
	waits    bool          // the text is not known, but may be later
	pause    time.Duration // since boot: nft is not run again before
}

const (
	// rulesWithin is how long nft may take.
	rulesWithin = time.Second
	// rulesQuick is how long it may take without a pause: samples that changes bring forward are few.
	rulesQuick = 50 * time.Millisecond
	// rulesShare is what part of the time nft may take where it takes longer: a twentieth.
	rulesShare = 20
	// rulesLongest is the longest text of a table that is recorded, in bytes.
	rulesLongest = 256 << 10
	// rulesAll is the longest list of all tables that is read.
	rulesAll = 8 << 20
)

// withText has the source record what the rules say.
func (s *firewall) withText(own bool) {
	s.text = &rulesText{set: store.NewSet(s.source, store.FirewallTexts), own: own, list: listRules, now: kernel.SinceBoot}
}

// due reports whether it is time to ask again.
func (x *rulesText) due() bool { return x != nil && x.waits && x.now() >= x.pause }

// put records the texts of the tables. If the rules have not changed, it keeps them as they are. unchanged reports whether the rule set is
// still the one whose tables these are.
func (x *rulesText) put(ctx context.Context, tables map[store.FirewallID]store.Firewall, changed bool, unchanged func() bool) {
	if x == nil || !changed && !x.due() && x.keep(tables) {
		return
	}
	texts, note := x.read(ctx, tables, unchanged)
	x.subjects = map[store.FirewallID]*store.Subject[store.FirewallID, store.FirewallText]{}
	for id := range tables {
		v := store.FirewallText{Note: note}
		switch text, found := texts[[2]string{id.Family, id.Table}]; {
		case id.Backend == "legacy":
			v.Note = "the rules of iptables-legacy are not read"
		case note != "":
		case !found:
			v.Note = "nft does not list the table"
		default:
			v = ruleText(text)
		}
		x.subjects[id] = x.set.Put(id, v)
	}
}

// keep keeps the texts, if the recording has that of each table.
func (x *rulesText) keep(tables map[store.FirewallID]store.Firewall) bool {
	if !x.set.KeepAll() {
		return false
	}
	for id := range tables {
		if x.subjects[id] == nil {
			return false
		}
	}
	for id := range tables {
		x.set.Keep(x.subjects[id])
	}
	return true
}

// read asks nft. If there is no answer, it says why.
func (x *rulesText) read(ctx context.Context, tables map[store.FirewallID]store.Firewall, unchanged func() bool) (texts map[[2]string][]byte, note string) {
	x.waits = false
	start := x.now()
	switch {
	case !x.own:
		return nil, "recorded in the network namespace of the recorder only"
	case !slices.ContainsFunc(slices.Collect(maps.Keys(tables)), func(id store.FirewallID) bool { return id.Backend != "legacy" }):
		return nil, ""
	case start < x.pause:
		x.waits = true
		return nil, "the rules have changed, and nft is not run more often because it takes long"
	}
	list, err := x.list(ctx)
	end := x.now()
	if x.pause = 0; end-start > rulesQuick {
		x.pause = end + rulesShare*(end-start)
	}
	var missing *exec.Error
	switch {
	case errors.Is(err, errNoNFT), errors.As(err, &missing):
		return nil, errNoNFT.Error()
	case err != nil:
		x.waits = true
		return nil, err.Error()
	case !unchanged():
		x.waits, x.pause = true, 0
		return nil, "the rules changed while nft listed them"
	}
	return tablesIn(list), ""
}

// tablesIn parts the list that nft prints into those of tables, by family and name.
func tablesIn(list []byte) map[[2]string][]byte {
	texts := map[[2]string][]byte{}
	var name [2]string
	begin, at := -1, 0
	for line := range bytes.Lines(list) {
		if begin < 0 {
			if head, ok := strings.CutSuffix(strings.TrimRight(string(line), "\n"), " {"); ok {
				if words := strings.SplitN(head, " ", 3); len(words) == 3 && words[0] == "table" {
					name, begin = [2]string{words[1], words[2]}, at
				}
			}
		} else if string(line) == "}\n" {
			texts[name] = list[begin : at+len(line)]
			begin = -1
		}
		at += len(line)
	}
	return texts
}

// ruleText is the row of a text.
func ruleText(text []byte) store.FirewallText {
	v := store.FirewallText{Bytes: store.Of(len(text))}
	if len(text) > rulesLongest {
		v.Note = fmt.Sprintf("longer than %d bytes: not recorded", rulesLongest)
		return v
	}
	var b strings.Builder
	b.Grow(len(text))
	for line := range bytes.Lines(text) {
		indented := bytes.TrimLeft(line, "\t")
		b.Write(line[:len(line)-len(indented)])
		b.WriteString(kernel.Printable(bytes.TrimSuffix(indented, []byte("\n"))))
		b.WriteByte('\n')
	}
	if v.Text = b.String(); v.Text != string(text) {
		v.Note = "what cannot be printed is escaped"
	}
	return v
}

// nftPlaces are where nft may be. The environment is not asked: the recorder may have privileges.
var nftPlaces = []string{"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/bin/nft", "/usr/local/sbin/nft", "/run/current-system/sw/bin/nft"}

var errNoNFT = errors.New("nft is not installed")

// findNFT is the path of nft; "": it is not installed.
func findNFT() string {
	for _, path := range nftPlaces {
		if unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	return ""
}

// listRules is what nft prints: the rule set without what it has counted, and without the elements of named sets.
func listRules(ctx context.Context) ([]byte, error) {
	path := findNFT()
	if path == "" {
		return nil, errNoNFT
	}
	return runListing(ctx, rulesWithin, path, "-s", "-t", "list", "ruleset")
}

// runListing runs a program that lists rules, for so long at most.
func runListing(ctx context.Context, within time.Duration, path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = []string{"LC_ALL=C"}, "/", 100*time.Millisecond
	// A program of others does not get the privileges of ours by itself, and none that we have not.
	if os.Geteuid() != 0 && kernel.Capable(1<<unix.CAP_NET_ADMIN) {
		cmd.SysProcAttr = &syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_NET_ADMIN}}
	}
	out, said := limited{most: rulesAll, full: cancel}, limited{most: 4096}
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	switch {
	case out.over:
		return nil, fmt.Errorf("nft lists more than %d bytes: not recorded", rulesAll)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("nft took longer than %v", within)
	case err != nil:
		line, _, _ := bytes.Cut(said.b, []byte("\n"))
		return nil, fmt.Errorf("nft: %w: %s", err, kernel.Printable(line))
	}
	return out.b, nil
}

// limited takes what a program writes, up to a limit.
type limited struct {
	b    []byte
	most int
	over bool
	full func() // is called when there is more
}

func (l *limited) Write(p []byte) (int, error) {
	if len(l.b)+len(p) <= l.most {
		l.b = append(l.b, p...)
	} else if l.over = true; l.full != nil {
		l.full()
	}
	return len(p), nil
}

// elementsOnly reports whether nothing but elements of sets has changed since the rule set had this generation, as far as the messages
// tell of all transactions.
func (s *firewall) elementsOnly(since uint32) bool {
	if !s.begun || s.lost {
		return false
	}
	var told uint32
	for _, x := range s.received {
		if step := x.generation - since; step == 0 || step > s.generation-since {
			continue
		}
		told++
		if x.partial {
			return false
		}
		for _, t := range x.tables {
			if !t.elementsOnly() {
				return false
			}
		}
	}
	return told == s.generation-since
}

// elementsOnly reports whether all that was changed is known, and is elements of sets.
func (t *tableChange) elementsOnly() bool {
	return t.more == 0 && !slices.ContainsFunc(t.parts, func(p changedPart) bool {
		return p.kind != unix.NFT_MSG_NEWSETELEM && p.kind != unix.NFT_MSG_DELSETELEM
	})
}

// rulesCapability says whether this run records what the rules say.
func rulesCapability(recorded bool) store.Capability {
	c := store.Capability{Name: "text of the firewall"}
	switch {
	case !recorded:
		c.Detail = "what the rules of the firewall say is not recorded: netsql record --firewall does"
	case findNFT() == "":
		c.Detail = "firewall_text.text is NULL: nft is not installed (Debian: nftables)"
	default:
		c.Available, c.Detail = true, "firewall_text has what the rules of the firewall say"
	}
	return c
}
