// Package recorder samples the network of a Linux machine into a recording.
//
// # What it does
//
// Run takes a sample every interval. It asks each source (tcp4, unix, owners, routes, interfaces …) what the kernel says now,
// and package store remembers what changed, in one transaction a sample. Each source has a file of its own, named by what it
// reads: list the folder and you know what is recorded. The list of those that run is explicit, in sources of run_linux.go.
// Config.Without switches sources off.
//
// # Where the parts are
//
//	run_linux.go, networks_linux.go   the loop, and the network namespaces that come and go
//	sockets*, closes*, traffic, ways  sockets, from the dump to the row
//	interfaces, routes, rules …       one file for each other source
//	changes, monitor, trigger         what happens between samples
//	trace                             who opened and closed each TCP connection, and how it ended
//	drops                             why the kernel threw packets away
//	internal/sockdiag                 sockets as the kernel tells them (sock_diag)
//	internal/ctnetlink                the flows of connection tracking
//	internal/nftables                 tables of the firewall as the kernel tells them (nf_tables)
//	internal/rtnl                     links, qdiscs, addresses, neighbours, nexthops, routes and rules as the kernel tells them (rtnetlink)
//	internal/tracepoint               tracepoints of the kernel, through perf_event_open
//	internal/owners                   which processes hold which sockets
//	internal/kernel, internal/debuglog, internal/kerneltest, internal/crowd
//	                                  the clock and capabilities, NETSQL_DEBUG, help for tests, and sockets to measure with
//	bench                             what recording costs; nothing of it runs while recording
//
// # Between samples
//
// One goroutine, the monitor, receives what the kernel sends unasked: closes (every TCP and UDP socket that is given up) and
// changes (links, addresses, neighbours, nexthops, routes and rules as they change). Both are put into the recording with the next sample,
// each with its own time. A change triggers an early sample, within a budget. Events are checked against the dumps, and the
// dumps have the last word.
//
// Where there are more than 10,000 routes, they are not dumped in every sample. They are dumped after an event that concerns
// them, after events were lost, and once a minute; see routes.
//
// # Network namespaces
//
// Each namespace that is recorded has sources of its own. Namespaces other than the recorder's are read on one thread, nsThread.
// It goes from one to the next and is never lent out. The sockets of all namespaces are read first. Then their owners are
// searched once, in all of /proc.
//
// # How much is kept
//
// After each sample, and in the pauses between, the store works out roll-ups and deletes what is beyond Config.Limits, a few
// milliseconds at a time. A sample that is due waits for one such step at most.
//
// # How a source is built
//
// It reads through a store.Source. An error, or a panic in a parser, costs the source its rows of that sample and a row of gaps,
// and nothing else. Reading is apart from parsing. Parsers take bytes, never trust the kernel's text or lengths, and are fuzzed.
// What may not be read without privileges is said once, in words, with what to grant.
//
// A command line may never come: the kernel does not give that of a frozen process. So it is read with a time limit. Samples
// that take longer than the interval do not pile up, and the gaps say that they were late.
//
// # What it never does
//
// It does not decide what changed, write SQL, or answer questions. It sends nothing to the network and reads no environment
// variable. It runs no other program, but for nft with Config.Firewall. Only Linux can be recorded: elsewhere Run returns ErrUnsupported.
package recorder

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"netsql/recorder/internal/debuglog"
	"netsql/store"
)

// ErrUnsupported is returned by Run where there is nothing to record from.
var ErrUnsupported = errors.New("recording needs Linux: copy a recording here and open it with netsql FILE")

// The bounds of Config.Interval.
const (
	MinInterval     = 100 * time.Millisecond
	MaxInterval     = time.Hour
	DefaultInterval = 5 * time.Second
)

// The bounds of Config.CloseBudget.
const (
	MinCloseBudget     = 100
	MaxCloseBudget     = 1_000_000
	DefaultCloseBudget = 2000
)

// DefaultLimits are how much netsql record keeps when nothing is said.
var DefaultLimits = store.Limits{
	Keep: 30 * day, MaxSize: 2 << 30,
	Minutes: 90 * day, Hours: 2 * 365 * day, Days: 10 * 365 * day,
}

const day = 24 * time.Hour

// The least that Config.Limits may say.
const (
	MinKeep    = time.Minute
	MinMaxSize = store.MinMaxSize
)

// A Notice is a sentence that a person should read.
type Notice = store.Notice

// A Priority is how much it matters, as in syslog(3).
type Priority = store.Priority

// The priorities of notices.
const (
	PriorityErr     = store.PriorityErr
	PriorityWarning = store.PriorityWarning
	PriorityNotice  = store.PriorityNotice
	PriorityInfo    = store.PriorityInfo
)

// Config says what to record where.
type Config struct {
	// Path is the recording. It is made, with its folder, when it is not there. That it cannot be made or written at the
	// start is an error: a full disk or a read-only file system too, for a person, or the system's service manager, is there
	// to see to it. Later it is not. What cannot be written then waits in memory (store.DefaultHold bytes of it at most), and
	// when the file at Path was deleted or replaced, what Path names is opened or made as at a start.
	Path string

	Interval time.Duration // between samples, from MinInterval to MaxInterval
	For      time.Duration // how long to record; 0: until the context ends
	Once     bool          // take one sample and end
	Version  string        // of the program, for the recording's runs

	// Limits say how much is kept: each 0 for all, or at least MinKeep and MinMaxSize. They are held in small steps
	// between samples.
	Limits store.Limits

	// CloseBudget is how many closes of sockets that no sample saw are kept one by one in each sample, from
	// MinCloseBudget to MaxCloseBudget; beyond it they are summed up. 0: DefaultCloseBudget.
	CloseBudget int

	// NetNS says which network namespaces to record. The zero value is every one that has a process or a name, if
	// the recorder may enter others (CAP_SYS_ADMIN), else its own.
	NetNS NetNS

	// Without names sources that are not to be read: see SourceNames. The recording says for as long that they were switched
	// off; what they would have told is unknown.
	Without []string

	// Confined has the process give up all privileges that the recorder does not need, for good and in all threads.
	Confined bool

	// Conntrack has the flows of connection tracking recorded (conntrack_flows). Of new ones no more in a sample than CloseBudget.
	Conntrack bool

	// Firewall has the text of the firewall's rules recorded (firewall_text), as nft prints it: a program that is run after each change.
	Firewall bool

	// NoMask has command lines recorded as they are. Otherwise passwords, keys and tokens in them are replaced by ***.
	NoMask bool

	// Debug names topics of what is written to DebugTo, parted by commas: netlink, what the kernel is asked and tells; owners,
	// how the processes that hold sockets are found, and why not; store, what becomes of samples. "" is nothing, and costs
	// nothing.
	Debug   string
	DebugTo io.Writer

	// Notice, if set, is told what a person should know: what could not be seen and what to grant, that a recording of an older format is
	// brought up to date, that the recording cannot be written. Each trouble is told once when it begins, and once when it is over: when it
	// has not come back for a minute, or longer if it often did.
	Notice func(Notice)
	// Sampled, if set, is called after each sample that was written.
	Sampled func()

	// Alive, if set, is called that often for as long as the recorder does not hang, whether or not a sample can be written.
	Alive      func()
	AliveEvery time.Duration
}

// SourceNames are the sources that can be switched off with Config.Without. "sockets" is all of tcp, udp, raw, udplite, packet, unix, netlink,
// vsock, xdp, mptcp, sctp and ping, and with them owners and traffic; "owners" is which processes hold the sockets, "closes" what the kernel tells of closed sockets, "trace" who opened and closed
// connections, and how they ended, "drops" why the kernel threw packets away, "symptoms" what a fault would show, and
// "changes" what it tells of links, addresses, neighbours, nexthops, routes and rules between samples. Which network namespaces are
// recorded, Config.NetNS says.
var SourceNames = []string{
	"addresses", "changes", "closes", "conntrack", "drops", "firewall", "interfaces", "modules", "mptcp", "multicast_groups", "neighbors", "netlink", "nexthops", "nic_counters", "owners", "packet", "ping", "protocol_counters", "qdiscs", "raw", "routes",
	"rules", "sctp", "settings", "sockets", "softnet", "symptoms", "tcp", "trace", "traffic", "udp", "udplite", "unix", "vsock", "xdp",
}

func (c Config) check() error {
	for _, name := range c.Without {
		if !slices.Contains(SourceNames, name) {
			return fmt.Errorf("there is no source %q to record without: the sources are %s", name, strings.Join(SourceNames, ", "))
		}
	}
	if c.Interval < MinInterval || c.Interval > MaxInterval {
		return fmt.Errorf("interval %v: it must be from 100ms to 1h, such as 5s", c.Interval)
	}
	if c.CloseBudget < MinCloseBudget || c.CloseBudget > MaxCloseBudget {
		return fmt.Errorf("close budget %d: it must be from %d to %d", c.CloseBudget, MinCloseBudget, MaxCloseBudget)
	}
	if _, err := debuglog.Parse(c.Debug, nil); err != nil {
		return err
	}
	l := c.Limits
	for _, keep := range []time.Duration{l.Keep, l.Minutes, l.Hours, l.Days} {
		if keep != 0 && keep < MinKeep {
			return fmt.Errorf("keep %v: it must be 0, for all, or at least %v", keep, MinKeep)
		}
	}
	if l.MaxSize != 0 && l.MaxSize < MinMaxSize {
		return fmt.Errorf("size %d: it must be 0, for no limit, or at least %d bytes", l.MaxSize, MinMaxSize)
	}
	if c.For < 0 {
		return fmt.Errorf("for %v: a time to record must not be negative", c.For)
	}
	return nil
}

// A NetNS says which network namespaces to record.
type NetNS struct {
	all, own bool
	names    []string // under /run/netns
	inodes   []uint64
	pids     []int32
}

// ParseNetNS reads words parted by commas: all; self, the one that the recorder runs in; a name under /run/netns; an
// inode number, as readlink /proc/PID/ns/net shows it; or pid:N, that of a process. One that is not there yet is
// recorded when it comes.
func ParseNetNS(words string) (NetNS, error) {
	var n NetNS
	for word := range strings.SplitSeq(words, ",") {
		word = strings.TrimSpace(word)
		number, isPID := strings.CutPrefix(word, "pid:")
		inode, err := strconv.ParseUint(word, 10, 64)
		switch {
		case word == "all":
			n.all = true
		case word == "self":
			n.own = true
		case isPID:
			pid, err := strconv.ParseInt(number, 10, 32)
			if err != nil || pid <= 0 {
				return NetNS{}, fmt.Errorf("%q names no process: such as pid:4711", word)
			}
			n.pids = append(n.pids, int32(pid))
		case err == nil:
			n.inodes = append(n.inodes, inode)
		case word == "" || word == "." || word == ".." || len(word) > 255 || strings.ContainsAny(word, "/\x00"):
			return NetNS{}, fmt.Errorf("%q: it must be all, self, or network namespaces parted by commas, each a name of ip netns, an inode number or pid:N", word)
		default:
			n.names = append(n.names, word)
		}
	}
	return n, nil
}

func (n NetNS) isZero() bool {
	return !n.all && !n.own && len(n.names)+len(n.inodes)+len(n.pids) == 0
}
