package recorder

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/nftables"
	"netsql/store"
)

// A transaction is what a process changed in the rule set at once; or, summed, in a burst of transactions.
type transaction struct {
	at         time.Duration // since boot; it may have been earlier,
	late       time.Duration // by so much
	generation uint32        // that it led to
	pid        uint32
	comm       string
	tables     map[nftables.Place]*tableChange
	count      int  // transactions in it
	partial    bool // part of it was lost
}

// A tableChange is what a transaction did to a table.
type tableChange struct {
	parts      []changedPart // in the order in which they were told first
	more       int           // changes that found no room in parts
	rules      int           // by how many there are more
	made, gone bool          // the table was added or removed
	chains     bool          // chains were, or changed
	sets       bool          // sets were
	hash       bool          // rules were
}

// A changedPart is how many things of a kind were added or removed at a place.
type changedPart struct {
	kind  int // NFT_MSG_*
	name  string
	count int
}

// partsMost is how many parts of a change are told one by one.
const partsMost = 12

// add enters a message.
func (t *tableChange) add(m *nftables.Message) {
	n := 1
	switch m.Kind {
	case unix.NFT_MSG_NEWTABLE:
		t.made, t.gone = true, false
	case unix.NFT_MSG_DELTABLE:
		t.gone = true
	case unix.NFT_MSG_NEWCHAIN, unix.NFT_MSG_DELCHAIN:
		t.chains = true
	case unix.NFT_MSG_NEWRULE:
		t.rules, t.hash = t.rules+1, true
	case unix.NFT_MSG_DELRULE:
		t.rules, t.hash = t.rules-1, true
	case unix.NFT_MSG_NEWSET, unix.NFT_MSG_DELSET:
		t.sets = true
	case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
		n = m.Elements
	}
	t.count(m.Kind, kernel.Printable(m.Name), n)
}

// merge adds what a later transaction did.
func (t *tableChange) merge(o *tableChange) {
	t.made, t.gone = t.made || o.made, (t.gone || o.gone) && !(o.made && !o.gone)
	t.chains, t.sets, t.hash = t.chains || o.chains, t.sets || o.sets, t.hash || o.hash
	t.rules, t.more = t.rules+o.rules, t.more+o.more
	for _, p := range o.parts {
		t.count(p.kind, p.name, p.count)
	}
}

func (t *tableChange) count(kind int, name string, n int) {
	for i := range t.parts {
		if p := &t.parts[i]; p.kind == kind && p.name == name {
			p.count += n
			return
		}
	}
	if len(t.parts) == partsMost {
		t.more += n
		return
	}
	t.parts = append(t.parts, changedPart{kind, name, n})
}

// after is what the change has made of a table that was v: what the messages do not tell is unknown. A message about a chain or a
// set does not say whether there was one of that name.
func (t *tableChange) after(v store.Firewall) store.Firewall {
	if rules, known := v.Rules.Get(); known {
		v.Rules = store.Of(rules + int64(t.rules))
	}
	if t.chains {
		v.Chains, v.BaseChains = store.Int{}, ""
	}
	if t.sets {
		v.Sets = store.Int{}
	}
	if t.hash {
		v.Hash = ""
	}
	return v
}

// text is the change in words.
func (t *tableChange) text(x *transaction) string {
	var words []string
	for _, p := range t.parts {
		words = append(words, p.text())
	}
	if t.more > 0 {
		words = append(words, fmt.Sprintf("%d more changes", t.more))
	}
	if x.partial {
		words = append(words, "perhaps more: messages were lost")
	}
	text := strings.Join(words, ", ")
	if x.count > 1 {
		text += fmt.Sprintf(" (%d transactions)", x.count)
	}
	return text
}

func (p *changedPart) text() string {
	things := func(word, where string) string {
		if p.count != 1 {
			word += "s"
		}
		return fmt.Sprintf("%d %s %s %s", p.count, word, where, p.name)
	}
	switch p.kind {
	case unix.NFT_MSG_NEWTABLE:
		return "table added or changed"
	case unix.NFT_MSG_DELTABLE:
		return "table removed"
	case unix.NFT_MSG_NEWCHAIN:
		return "chain " + p.name + " added or changed"
	case unix.NFT_MSG_DELCHAIN:
		return "chain " + p.name + " removed"
	case unix.NFT_MSG_NEWRULE:
		return things("rule", "added in")
	case unix.NFT_MSG_DELRULE:
		return things("rule", "removed from")
	case unix.NFT_MSG_NEWSET:
		return "set " + p.name + " added or changed"
	case unix.NFT_MSG_DELSET:
		return "set " + p.name + " removed"
	case unix.NFT_MSG_NEWSETELEM:
		return things("element", "added to")
	case unix.NFT_MSG_DELSETELEM:
		return things("element", "removed from")
	case unix.NFT_MSG_NEWOBJ:
		return "object " + p.name + " added or changed"
	case unix.NFT_MSG_DELOBJ:
		return "object " + p.name + " removed"
	case unix.NFT_MSG_NEWFLOWTABLE:
		return "flow table " + p.name + " added or changed"
	case unix.NFT_MSG_DELFLOWTABLE:
		return "flow table " + p.name + " removed"
	}
	return fmt.Sprintf("message %d about %s", p.kind, p.name)
}

// burst is how long transactions of one process may last that are summed.
const burst = time.Second

// summed are the transactions, those of one process that follow each other as one.
func summed(list []transaction) []transaction {
	var sums []transaction
	for _, x := range list {
		if n := len(sums) - 1; n >= 0 && sums[n].pid == x.pid && sums[n].comm == x.comm && x.at-sums[n].first() <= burst {
			sums[n].merge(x)
			continue
		}
		x.tables = maps.Clone(x.tables) // list may be summed again
		for place, t := range x.tables {
			x.tables[place] = &tableChange{}
			x.tables[place].merge(t)
		}
		sums = append(sums, x)
	}
	return sums
}

// first is when the first transaction in it was, at the earliest.
func (x *transaction) first() time.Duration { return x.at - x.late }

func (x *transaction) merge(o transaction) {
	// They were all over at the time of the last one.
	x.late = o.at - x.first()
	x.at, x.generation, x.count, x.partial = o.at, o.generation, x.count+o.count, x.partial || o.partial
	for place, t := range o.tables {
		if x.tables[place] == nil {
			x.tables[place] = &tableChange{}
		}
		x.tables[place].merge(t)
	}
}

// transactions are those since the last sample, and the messages of one that is not complete. They are bounded, and so is
// what gets into them in a minute.
type transactions struct {
	list     []transaction
	room     allowance
	overflow int    // transactions that found no room
	lost     bool   // the kernel had none, or they made no sense
	latest   uint32 // generation of the last one

	tables  map[nftables.Place]*tableChange // of the one that is being told
	partial bool
	urgent  uint32
}

// lose says that messages were lost.
func (q *transactions) lose() { q.lost, q.partial = true, true }

// take enters the messages in b, and says how urgent they are.
func (q *transactions) take(b []byte, at, late time.Duration) uint32 {
	urgent := uint32(notUrgent)
	err := nftables.Each(b, func(m *nftables.Message) {
		switch m.Kind {
		case unix.NFT_MSG_TRACE:
		case unix.NFT_MSG_NEWGEN:
			urgent = max(urgent, q.urgent)
			q.end(m, at, late)
		default:
			q.add(m)
		}
	})
	if err != nil {
		q.lose()
		return triggers
	}
	return urgent
}

func (q *transactions) add(m *nftables.Message) {
	place := nftables.Place{Family: m.Family, Table: string(m.Table)}
	if q.tables == nil {
		q.tables = map[nftables.Place]*tableChange{}
	}
	t := q.tables[place]
	if t == nil {
		t = &tableChange{}
		q.tables[place] = t
	}
	t.add(m)
	// Programs that ban addresses change the elements of sets all the time.
	if m.Kind == unix.NFT_MSG_NEWSETELEM || m.Kind == unix.NFT_MSG_DELSETELEM {
		q.urgent = max(q.urgent, triggersALittle)
	} else {
		q.urgent = triggers
	}
}

// end ends the transaction that is being told.
func (q *transactions) end(m *nftables.Message, at, late time.Duration) {
	x := transaction{
		at: at, late: late, generation: m.Generation, pid: m.PID, comm: kernel.Printable(m.Comm), tables: q.tables, count: 1, partial: q.partial,
	}
	q.latest, q.tables, q.partial, q.urgent = m.Generation, nil, false, notUrgent
	if len(x.tables) == 0 && !x.partial {
		return
	}
	if len(q.list) >= queueLength || !q.room.take(at, queuePerMinute) {
		q.overflow++
		return
	}
	q.list = append(q.list, x)
}
