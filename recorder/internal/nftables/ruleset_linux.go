package nftables

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/rtnl"
	"netsql/recorder/internal/sockdiag"
)

// A Place is where a table stands: names are given for each family.
type Place struct {
	Family uint8
	Table  string
}

// A Table is what stands in a table.
type Table struct {
	Chains, Rules, Sets int
	Base                []BaseChain
	// Hash is the same for the same rules in the same chains. Rules count in their order, chains do not. The elements of a set that
	// a rule has of its own count, in any order: they are part of the rule. Handles, counters and the elements of named sets do
	// not count: programs that ban addresses fill those all the time.
	Hash uint64

	handle uint64 // no two tables ever have the same; 0: the kernel does not tell (before Linux 4.16)
}

// A setKey names a set that a rule has of its own, for as long as the kernel runs.
type setKey struct{ table, set uint64 }

// A BaseChain is a chain that packets come to from a hook.
type BaseChain struct {
	Name, Type string
	Hook       uint32
	Priority   int32
	Policy     uint32
	Accepts    bool // it has a policy, and that is accept
}

// A Conn asks nf_tables in the network namespace in which it is first used.
type Conn struct {
	Log    *debuglog.Log // nil: what is asked and answered is not told
	socket *nl.NetlinkSocket

	// sets are the hashes of the sets that rules had of their own when the rule set was last read. The elements of these never change,
	// so they are read once.
	sets map[setKey]uint64
}

// Close gives the socket up.
func (c *Conn) Close() {
	if c.socket != nil {
		c.socket.Close()
		c.socket = nil
	}
}

// tries is how often the rule set is read that changed meanwhile.
const tries = 4

// ErrRestless says that the rule set changed each time while it was read.
var ErrRestless = errors.New("the rule set changed while it was read, several times")

// Read reads what stands in all tables, and at which generation.
func (c *Conn) Read(ctx context.Context) (tables map[Place]*Table, generation uint32, err error) {
	buf := sockdiag.NewBuffer()
	for range tries {
		before, err := c.generation(ctx, buf)
		if err != nil {
			return nil, 0, err
		}
		tables, err := c.read(ctx, buf)
		if errors.Is(err, nl.ErrDumpInterrupted) {
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		after, err := c.generation(ctx, buf)
		if err != nil {
			return nil, 0, err
		}
		if before == after {
			return tables, after, nil
		}
	}
	return nil, 0, ErrRestless
}

// Generation is that of the rule set: every transaction leads to the next.
func (c *Conn) Generation(ctx context.Context) (uint32, error) {
	return c.generation(ctx, make([]byte, 4096))
}

func (c *Conn) generation(ctx context.Context, buf []byte) (generation uint32, err error) {
	err = c.ask(ctx, buf, unix.NFT_MSG_GETGEN, unix.NLM_F_ACK, unix.NFPROTO_UNSPEC, nil, func(kind uint16, msg []byte) error {
		m, err := Parse(kind, msg)
		generation = m.Generation
		return err
	})
	if err != nil {
		err = fmt.Errorf("ask for the generation of the rule set: %w", err)
	}
	return generation, err
}

// ask calls each with the messages of the answer. Attributes, if any, say what is asked for.
func (c *Conn) ask(ctx context.Context, buf []byte, request, flags int, family uint8, attributes []byte, each func(kind uint16, msg []byte) error) (err error) {
	if c.socket == nil {
		if c.socket, err = sockdiag.Subscribe(unix.NETLINK_NETFILTER); err != nil {
			return err
		}
	}
	d := sockdiag.Conn{Log: c.Log, Socket: c.socket, Buf: buf}
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|request, flags)
	req.AddRawData(append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attributes...))
	d.Told(req)
	if err = d.Socket.Send(req); err == nil {
		err = d.Receive(ctx, req.Seq, each)
	}
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) {
		c.Close() // the rest of the answer may still stand in the socket
	}
	return err
}

func (c *Conn) read(ctx context.Context, buf []byte) (map[Place]*Table, error) {
	r := newReader()
	// Rules come last: they name the sets.
	for _, dump := range []struct {
		request int
		what    string
		add     func(m *Message, msg []byte) error
	}{
		{unix.NFT_MSG_GETTABLE, "tables", r.addTable},
		{unix.NFT_MSG_GETCHAIN, "chains", r.addChain},
		{unix.NFT_MSG_GETSET, "sets", r.addSet},
		{unix.NFT_MSG_GETRULE, "rules", r.addRule},
	} {
		if dump.request == unix.NFT_MSG_GETRULE {
			err := c.readElements(r, func(d *declaration) (uint64, error) { return c.askElements(ctx, buf, d) })
			if err != nil {
				return nil, err
			}
		}
		err := c.ask(ctx, buf, dump.request, unix.NLM_F_DUMP, unix.NFPROTO_UNSPEC, nil, func(kind uint16, msg []byte) error {
			m, err := Parse(kind, msg)
			if err != nil {
				return err
			}
			return dump.add(&m, msg[SizeofHeader:])
		})
		if err != nil {
			return nil, fmt.Errorf("dump %s: %w", dump.what, err)
		}
	}
	r.endChain()
	return r.tables, nil
}

// readElements completes the hashes of the sets that rules have of their own. It asks for the elements of those that it does not know.
func (c *Conn) readElements(r *reader, ask func(d *declaration) (sum uint64, err error)) error {
	known := c.sets
	c.sets = make(map[setKey]uint64, len(r.own))
	for i := range r.own {
		d := &r.own[i]
		key := setKey{r.tables[d.place].handle, d.handle}
		sum, ok := known[key]
		if !ok || key.table == 0 || key.set == 0 {
			sum = d.hash
			if !d.moves {
				elements, err := ask(d)
				if errors.Is(err, unix.ENOENT) {
					continue // it has gone: the generation is another one, and all is read again
				}
				if err != nil {
					return fmt.Errorf("dump elements of %s: %w", d.set, err)
				}
				sum += elements
			}
		}
		c.sets[key], r.sums[d.ownSet] = sum, sum
	}
	return nil
}

// askElements asks for the elements of a set.
func (c *Conn) askElements(ctx context.Context, buf []byte, d *declaration) (sum uint64, err error) {
	err = c.ask(ctx, buf, unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP, d.place.Family, d.name(), func(kind uint16, msg []byte) error {
		n, err := hashElements(kind, msg)
		sum += n
		return err
	})
	return sum, err
}

// hashElements is the sum of the hashes of the elements in a message. The kernel lists them in no order.
func hashElements(kind uint16, msg []byte) (sum uint64, err error) {
	if kind != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSETELEM || len(msg) < SizeofHeader {
		return 0, nil
	}
	h := sha256.New()
	err = rtnl.Attributes(msg[SizeofHeader:], func(attribute uint16, v []byte) error {
		if attribute != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
			return nil
		}
		return rtnl.Attributes(v, func(_ uint16, v []byte) error {
			h.Reset()
			if err := hashElement(h, v); err != nil {
				return err
			}
			var b [sha256.Size]byte
			sum += binary.BigEndian.Uint64(h.Sum(b[:0]))
			return nil
		})
	})
	return sum, err
}

// Attributes of an element of a set that unix does not have.
const (
	elementObject      = 9  // NFTA_SET_ELEM_OBJREF
	elementKeyEnd      = 10 // NFTA_SET_ELEM_KEY_END
	elementExpressions = 11 // NFTA_SET_ELEM_EXPRESSIONS
)

// hashElement writes an element without what it has counted.
func hashElement(h hash.Hash, v []byte) error {
	return rtnl.Attributes(v, func(attribute uint16, v []byte) error {
		switch attribute {
		case unix.NFTA_SET_ELEM_KEY, elementKeyEnd, unix.NFTA_SET_ELEM_DATA, unix.NFTA_SET_ELEM_FLAGS, unix.NFTA_SET_ELEM_USERDATA, elementObject:
			h.Write([]byte{byte(attribute)})
			writeText(h, v)
		case unix.NFTA_SET_ELEM_EXPR:
			return hashExpression(h, v, nil)
		case elementExpressions:
			return rtnl.Attributes(v, func(_ uint16, v []byte) error { return hashExpression(h, v, nil) })
		}
		return nil
	})
}

// An ownSet names a set that a rule has of its own, in the rule set that is being read.
type ownSet struct {
	place Place
	set   string
}

// A declaration is that of such a set.
type declaration struct {
	ownSet
	handle uint64
	hash   uint64 // of its types
	moves  bool   // packets add elements, or these expire
}

// name is what its elements are asked for by.
func (d *declaration) name() []byte {
	text := func(attribute uint16, s string) []byte {
		return nl.NewRtAttr(int(attribute), append([]byte(s), 0)).Serialize()
	}
	return append(text(unix.NFTA_SET_ELEM_LIST_TABLE, d.place.Table), text(unix.NFTA_SET_ELEM_LIST_SET, d.set)...)
}

// A reader adds up what the dumps list.
type reader struct {
	tables map[Place]*Table
	own    []declaration
	sums   map[ownSet]uint64 // hashes of them, with their elements

	// Of the chain whose rules are being listed.
	place Place
	name  string
	chain hash.Hash
	rules int
}

func newReader() *reader {
	return &reader{tables: map[Place]*Table{}, sums: map[ownSet]uint64{}, chain: sha256.New()}
}

func (r *reader) table(m *Message) *Table { return r.tables[Place{m.Family, string(m.Table)}] }

func (r *reader) addTable(m *Message, attributes []byte) error {
	t := &Table{}
	r.tables[Place{m.Family, string(m.Table)}] = t
	return rtnl.Attributes(attributes, func(attribute uint16, v []byte) (err error) {
		if attribute == tableHandle {
			t.handle, err = uint64Of(v)
		}
		return err
	})
}

// Attributes that unix does not have.
const (
	tableHandle = 4  // NFTA_TABLE_HANDLE
	setHandle   = 16 // NFTA_SET_HANDLE
)

func (r *reader) addSet(m *Message, attributes []byte) error {
	t := r.table(m)
	if t == nil {
		return nil
	}
	t.Sets++
	d := declaration{ownSet: ownSet{Place{m.Family, string(m.Table)}, string(m.Name)}}
	var flags uint32
	h := sha256.New()
	err := rtnl.Attributes(attributes, func(attribute uint16, v []byte) (err error) {
		switch attribute {
		case unix.NFTA_SET_FLAGS:
			flags, err = uint32Of(v)
			fallthrough
		case unix.NFTA_SET_KEY_TYPE, unix.NFTA_SET_KEY_LEN, unix.NFTA_SET_DATA_TYPE, unix.NFTA_SET_DATA_LEN, unix.NFTA_SET_OBJ_TYPE:
			h.Write([]byte{byte(attribute)})
			writeText(h, v)
		case setHandle:
			d.handle, err = uint64Of(v)
		}
		return err
	})
	if flags&unix.NFT_SET_ANONYMOUS != 0 {
		var b [sha256.Size]byte
		d.hash = binary.BigEndian.Uint64(h.Sum(b[:0]))
		d.moves = flags&(unix.NFT_SET_EVAL|unix.NFT_SET_TIMEOUT) != 0
		r.own = append(r.own, d)
	}
	return err
}

func (r *reader) addChain(m *Message, attributes []byte) error {
	t := r.table(m)
	if t == nil {
		return nil
	}
	t.Chains++
	b, hooked, err := parseBaseChain(attributes)
	if hooked {
		b.Name = string(m.Name)
		t.Base = append(t.Base, b)
	}
	return err
}

// parseBaseChain decodes what a base chain has and others have not.
func parseBaseChain(attributes []byte) (b BaseChain, hooked bool, err error) {
	err = rtnl.Attributes(attributes, func(attribute uint16, v []byte) (err error) {
		switch attribute {
		case unix.NFTA_CHAIN_HOOK:
			hooked = true
			err = rtnl.Attributes(v, func(attribute uint16, v []byte) (err error) {
				switch attribute {
				case unix.NFTA_HOOK_HOOKNUM:
					b.Hook, err = uint32Of(v)
				case unix.NFTA_HOOK_PRIORITY:
					var n uint32
					n, err = uint32Of(v)
					b.Priority = int32(n)
				}
				return err
			})
		case unix.NFTA_CHAIN_POLICY:
			b.Policy, err = uint32Of(v)
			b.Accepts = b.Policy == 1 // NF_ACCEPT; NF_DROP is 0
		case unix.NFTA_CHAIN_TYPE:
			var text []byte
			text, err = rtnl.TextOf(v)
			b.Type = string(text)
		}
		return err
	})
	return b, hooked, err
}

// addRule adds a rule. The kernel lists the rules of a chain one after the other.
func (r *reader) addRule(m *Message, attributes []byte) error {
	place := Place{m.Family, string(m.Table)}
	if r.rules > 0 && (place != r.place || string(m.Name) != r.name) {
		r.endChain()
	}
	if r.rules == 0 {
		r.place, r.name = place, string(m.Name)
		writeText(r.chain, m.Name)
	}
	r.rules++
	return hashRule(r.chain, attributes, func(set []byte) (uint64, bool) {
		sum, own := r.sums[ownSet{place, string(set)}]
		return sum, own
	})
}

// endChain adds the hash of the chain to that of its table, whatever the order of the chains.
func (r *reader) endChain() {
	if t := r.tables[r.place]; t != nil && r.rules > 0 {
		t.Rules += r.rules
		var sum [sha256.Size]byte
		t.Hash += binary.BigEndian.Uint64(r.chain.Sum(sum[:0]))
	}
	r.chain.Reset()
	r.rules = 0
}

// writeText writes a text so that it cannot run into what follows.
func writeText(h hash.Hash, text []byte) {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(text)))
	h.Write(size[:])
	h.Write(text)
}

// Attributes of an expression of a rule, and of those that count.
const (
	expressionName = 1 // NFTA_EXPR_NAME
	expressionData = 2 // NFTA_EXPR_DATA
	quotaBytes     = 1 // NFTA_QUOTA_BYTES
)

// ownSums has the hash of a set, if it is one that the rule has of its own.
type ownSums func(set []byte) (uint64, bool)

// setNameOf is the number of the attribute with the name of a set, by the expression that uses one.
var setNameOf = map[string]uint16{
	"lookup": unix.NFTA_LOOKUP_SET,
	"dynset": unix.NFTA_DYNSET_SET_NAME,
	"objref": 4, // NFTA_OBJREF_SET_NAME
}

// hashRule writes what a rule says, without its place and what it has counted.
func hashRule(h hash.Hash, attributes []byte, sums ownSums) error {
	err := rtnl.Attributes(attributes, func(attribute uint16, v []byte) error {
		switch attribute {
		case unix.NFTA_RULE_EXPRESSIONS:
			return rtnl.Attributes(v, func(_ uint16, v []byte) error { return hashExpression(h, v, sums) })
		case unix.NFTA_RULE_USERDATA: // the comment
			writeText(h, v)
		}
		return nil
	})
	h.Write([]byte{0xff, 0xff, 0xff, 0xff}) // no text is that long: here the rule ends
	return err
}

func hashExpression(h hash.Hash, v []byte, sums ownSums) error {
	var name []byte
	return rtnl.Attributes(v, func(attribute uint16, v []byte) (err error) {
		switch attribute {
		case expressionName:
			if name, err = rtnl.TextOf(v); err == nil {
				writeText(h, name)
			}
		case expressionData:
			switch string(name) {
			case "counter", "last":
			case "quota":
				err = rtnl.Attributes(v, func(attribute uint16, v []byte) error {
					if attribute == quotaBytes {
						writeText(h, v)
					}
					return nil
				})
			default:
				if set := setNameOf[string(name)]; set == 0 || sums == nil || !hashWithSet(h, v, set, sums) {
					writeText(h, v)
				}
			}
		}
		return err
	})
}

// hashWithSet writes the data of an expression with the hash of a set in place of its name, if it is one that the rule has of its own. The
// kernel numbers these (__set0) as they come.
func hashWithSet(h hash.Hash, data []byte, name uint16, sums ownSums) (own bool) {
	var sum uint64
	err := rtnl.Attributes(data, func(attribute uint16, v []byte) (err error) {
		if attribute == name {
			var set []byte
			if set, err = rtnl.TextOf(v); err == nil {
				sum, own = sums(set)
			}
		}
		return err
	})
	if !own || err != nil {
		return false
	}
	rtnl.Attributes(data, func(attribute uint16, v []byte) error {
		h.Write([]byte{byte(attribute)})
		if attribute != name {
			writeText(h, v)
			return nil
		}
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], sum)
		writeText(h, b[:])
		return nil
	})
	return true
}

// hookNames are by family and NF_*: what nft calls the hooks.
func hookName(family uint8, hook uint32) string {
	names := []string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}
	switch family {
	case unix.NFPROTO_ARP:
		names = []string{"input", "output", "forward"}
	case unix.NFPROTO_NETDEV:
		names = []string{"ingress", "egress"}
	}
	if int(hook) < len(names) {
		return names[hook]
	}
	return fmt.Sprint(hook)
}

// baseChainsMost is how many base chains BaseChains names.
const baseChainsMost = 20

// BaseChains are the base chains of a table in words, by their names.
func (t *Table) BaseChains(family uint8) string {
	slices.SortFunc(t.Base, func(a, b BaseChain) int { return strings.Compare(a.Name, b.Name) })
	var words []string
	for i, b := range t.Base {
		if i == baseChainsMost {
			words = append(words, fmt.Sprintf("and %d more", len(t.Base)-i))
			break
		}
		policy := "drop"
		if b.Accepts {
			policy = "accept"
		}
		words = append(words, fmt.Sprintf("%s %s hook %s priority %d policy %s", b.Name, b.Type, hookName(family, b.Hook), b.Priority, policy))
	}
	return strings.Join(words, "; ")
}
