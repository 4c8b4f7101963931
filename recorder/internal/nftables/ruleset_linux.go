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
	// Hash is the same for the same rules in the same chains. Rules count in their order, chains do not; handles, counters and
	// the elements of sets do not either.
	Hash uint64
}

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
	err = c.ask(ctx, buf, unix.NFT_MSG_GETGEN, unix.NLM_F_ACK, func(kind uint16, msg []byte) error {
		m, err := Parse(kind, msg)
		generation = m.Generation
		return err
	})
	if err != nil {
		err = fmt.Errorf("ask for the generation of the rule set: %w", err)
	}
	return generation, err
}

// ask calls each with the messages of the answer.
func (c *Conn) ask(ctx context.Context, buf []byte, request, flags int, each func(kind uint16, msg []byte) error) (err error) {
	if c.socket == nil {
		if c.socket, err = sockdiag.Subscribe(unix.NETLINK_NETFILTER); err != nil {
			return err
		}
	}
	d := sockdiag.Conn{Log: c.Log, Socket: c.socket, Buf: buf}
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|request, flags)
	req.AddRawData([]byte{unix.NFPROTO_UNSPEC, unix.NFNETLINK_V0, 0, 0})
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
	for _, dump := range []struct {
		request int
		what    string
		add     func(m *Message, msg []byte) error
	}{
		{unix.NFT_MSG_GETTABLE, "tables", r.addTable},
		{unix.NFT_MSG_GETCHAIN, "chains", r.addChain},
		{unix.NFT_MSG_GETRULE, "rules", r.addRule},
		{unix.NFT_MSG_GETSET, "sets", r.addSet},
	} {
		err := c.ask(ctx, buf, dump.request, unix.NLM_F_DUMP, func(kind uint16, msg []byte) error {
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

// A reader adds up what the dumps list.
type reader struct {
	tables map[Place]*Table

	// Of the chain whose rules are being listed.
	place Place
	name  string
	chain hash.Hash
	rules int
}

func newReader() *reader { return &reader{tables: map[Place]*Table{}, chain: sha256.New()} }

func (r *reader) table(m *Message) *Table { return r.tables[Place{m.Family, string(m.Table)}] }

func (r *reader) addTable(m *Message, _ []byte) error {
	r.tables[Place{m.Family, string(m.Table)}] = &Table{}
	return nil
}

func (r *reader) addSet(m *Message, _ []byte) error {
	if t := r.table(m); t != nil {
		t.Sets++
	}
	return nil
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
	return hashRule(r.chain, attributes)
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

// hashRule writes what a rule says, without its place and what it has counted.
func hashRule(h hash.Hash, attributes []byte) error {
	err := rtnl.Attributes(attributes, func(attribute uint16, v []byte) error {
		switch attribute {
		case unix.NFTA_RULE_EXPRESSIONS:
			return rtnl.Attributes(v, func(_ uint16, v []byte) error { return hashExpression(h, v) })
		case unix.NFTA_RULE_USERDATA: // the comment
			writeText(h, v)
		}
		return nil
	})
	h.Write([]byte{0xff, 0xff, 0xff, 0xff}) // no text is that long: here the rule ends
	return err
}

func hashExpression(h hash.Hash, v []byte) error {
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
				writeText(h, v)
			}
		}
		return err
	})
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
