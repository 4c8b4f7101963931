package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The law of a connection's events: opened, then its states, then closed and, where its process kept it longer, released;
// each once, none before it is known to have happened, and exact only where the close says so.
//
// The histories are random: connections live between samples or across them, leave FIN_WAIT2 or TIME_WAIT behind or
// nothing, and are reset by the other end with the descriptor kept. What must be told is worked out here from the history
// alone.
func TestEventsLaw(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(6, 12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			eventsLaw(t, rand.New(rand.NewPCG(seed, 5)))
		})
	}
}

const never = 1e9

// A connHistory is what happened to a connection, in seconds since the begin of the recording.
type connHistory struct {
	port         int
	opened       float64
	states       []turn  // while it lived, by rising time; the first is at opened
	ended        float64 // it was over: reset, or in TIME_WAIT,
	released     float64 // and its descriptor closed: then, or later
	remains      []turn  // what it left in the dumps after released; the last ends it
	silent       bool    // the kernel's word was lost
	lived        int     // ms that tcp_info tells of
	late         int     // ms by which that word may be late
	closeAt      float64 // its ts
	subject      Ref
	seen, closed bool
	endedAt      float64 // the sample that saw that it had ended; 0: none
	first        float64 // the sample that saw it first
	gone         float64 // the sample that saw it no more
}

type turn struct {
	at    float64
	state string // "": it is gone
}

// at is the state at that moment, "" if it is in no dump.
func stateAt(turns []turn, at float64) (state string) {
	for _, u := range turns {
		if u.at <= at {
			state = u.state
		}
	}
	return state
}

func randomHistory(r *rand.Rand, port int, from float64) *connHistory {
	some := func(most float64) float64 { return 0.01 + r.Float64()*most }
	h := &connHistory{port: port, opened: from, states: []turn{{from, "ESTABLISHED"}}}
	at := from + some(6)
	switch r.IntN(5) {
	case 0: // the other end closes first
		h.states = append(h.states, turn{at, "CLOSE_WAIT"})
		at += some(3)
		if r.IntN(2) == 0 {
			h.states = append(h.states, turn{at, "LAST_ACK"})
			at += some(1)
		}
		h.ended, h.released, h.remains = at, at, []turn{{at, ""}}
	case 1: // this one does, and the other never: FIN_WAIT2 stays in the dumps
		if r.IntN(2) == 0 {
			h.states = append(h.states, turn{at, "FIN_WAIT1"})
			at += some(1)
		}
		h.ended, h.released = at, at
		h.remains = []turn{{at, "FIN_WAIT2"}}
		at += some(6)
		if r.IntN(2) == 0 {
			h.remains = append(h.remains, turn{at, "TIME_WAIT"})
			at += some(6)
		}
		h.remains = append(h.remains, turn{at, ""})
	case 2: // both
		h.ended, h.released = at, at
		h.remains = []turn{{at, "TIME_WAIT"}, {at + some(6), ""}}
	default: // it is reset, or goes into TIME_WAIT, and the descriptor is kept
		h.ended = at
		if r.IntN(2) == 0 {
			h.states = append(h.states, turn{at, "TIME_WAIT"})
			at += some(4)
		}
		h.states = append(h.states, turn{at, "CLOSE"})
		h.released = at + some(6)
		h.remains = []turn{{h.released, ""}}
	}
	h.silent = r.IntN(8) == 0
	if r.IntN(2) == 0 {
		h.late = 2 + r.IntN(50)
	}
	if r.IntN(2) == 0 {
		h.lived = int((h.released - h.opened) * 1000 * r.Float64())
	}
	return h
}

func eventsLaw(t *testing.T, r *rand.Rand) {
	p := &play{t: t, path: filepath.Join(t.TempDir(), "law.db")}
	p.open("one")
	var all []*connHistory
	for i := range 60 {
		all = append(all, randomHistory(r, 1000+i, 1.2+r.Float64()*18))
	}
	last := 0.0
	const samples = 30
	for n := range samples {
		ts := float64(n + 1)
		p.sample(func() {
			for _, h := range all {
				id := SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(443), RemoteAddr: "10.0.7.9", RemotePort: Of(h.port), Cookie: Of(h.port)}
				state := stateAt(append(slices.Clone(h.states), h.remains...), ts)
				if h.opened > ts {
					state = ""
				}
				// A process that keeps the descriptor of what no dump had seen alive is not known.
				kept := h.ended < h.released && ts >= h.ended && ts < h.released
				if kept && !h.seen {
					state = ""
				}
				if kept && h.seen && h.endedAt == 0 {
					h.endedAt = ts
				}
				switch {
				case state != "":
					v := Socket{State: state}
					if kept {
						v.Ended = float64(playStart.Unix()) + h.endedAt
					}
					h.subject = p.socks.Put(id, v).Ref()
					if !h.seen {
						h.seen, h.first = true, ts
					}
				case h.seen && h.gone == 0:
					h.gone = ts
				}
				if h.released <= ts && !h.closed && !h.silent {
					h.closed = true
					h.closeAt = h.released
					if h.late > 0 {
						h.closeAt = max(h.released, min(h.released+float64(h.late)/1000, ts))
					}
					c := Close{Lived: NonZero(int64(h.lived))}
					if h.late > 0 {
						c.Late = Of(h.late)
					}
					if h.seen {
						c.Socket = h.subject
					} else {
						c.NetNS, c.Proto, c.Family, c.LocalAddr, c.LocalPort, c.RemoteAddr, c.RemotePort, c.Cookie = id.NetNS, id.Proto, id.Family, id.LocalAddr, id.LocalPort, id.RemoteAddr, id.RemotePort, id.Cookie
						h.lived = min(h.lived, int((h.closeAt-last)*1000))
						c.Lived, c.OwnerHow = NonZero(int64(h.lived)), "none"
					}
					if h.endedAt > 0 {
						c.Ended = float64(playStart.Unix()) + h.endedAt
					}
					p.closes.Add(time.Duration(h.closeAt*float64(time.Second)), c)
				}
			}
		})
		last = ts
	}
	if err := p.w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}

	for _, from := range []float64{0, 7, 12.5} {
		until := samples - from/4
		got := map[int][]string{}
		for _, line := range lawEvents(t, p.path, from, until) {
			var port int
			var rest string
			fmt.Sscanf(line, "%d %s", &port, &rest)
			got[port] = append(got[port], rest)
		}
		for _, h := range all {
			var want []string
			for _, e := range h.told() {
				if e.at >= from && e.at <= until {
					want = append(want, e.String())
				}
			}
			if diff := cmp.Diff(want, got[h.port]); diff != "" {
				t.Errorf("from %v, %+v (-want +got):\n%s", from, *h, diff)
			}
		}
	}
}

type toldOf struct {
	at    float64
	exact bool
	what  string
}

func (e toldOf) String() string {
	mark := ""
	if e.exact {
		mark = "!"
	}
	return fmt.Sprintf("%.3f%s|%s", e.at, mark, e.what)
}

// told is what events must say of it.
func (h *connHistory) told() (all []toldOf) {
	if !h.seen && !h.closed {
		return nil
	}
	opened := h.first
	if back := h.closeAt - float64(h.lived)/1000; h.closed && (!h.seen || back < opened) {
		opened = back
	}
	// The end: the kernel's word, or the sample that saw that it was over.
	end, exact, now := never, false, ""
	lives := ""
	if h.closed && h.endedAt == 0 {
		end, exact = h.closeAt, h.late == 0
	}
	told := func(at float64, exact bool, what string) { all = append(all, toldOf{at, exact, what}) }
	var states []toldOf
	first := ""
	if h.seen {
		for ts := h.first; ts < h.gone || h.gone == 0 && ts <= 30; ts++ {
			state := stateAt(append(slices.Clone(h.states), h.remains...), ts)
			over := state == "TIME_WAIT" || h.endedAt > 0 && ts >= h.endedAt || state == "FIN_WAIT2" && end <= ts
			if over && end == never {
				end, now = ts, state
			}
			if over {
				break
			}
			if ts == h.first {
				first = state
			} else if state != lives {
				states = append(states, toldOf{ts, false, "state:" + lives + ">" + state})
			}
			lives = state
		}
		if end == never && h.gone > 0 {
			end = h.gone
		}
	}
	told(opened, false, "opened:>"+first)
	all = append(all, states...)
	if end != never {
		told(end, exact, "closed:"+lives+">"+now)
	}
	if h.endedAt > 0 {
		switch {
		case h.closed:
			told(h.closeAt, h.late == 0, "released:>")
		case h.gone > 0:
			told(h.gone, false, "released:>")
		}
	}
	return all
}

// lawEvents are the events of the window in their order, each with the port of its connection.
func lawEvents(t *testing.T, path string, from, until float64) []string {
	t.Helper()
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, view := range Views() {
		body := view.Body
		switch view.Name {
		case "events":
		case "window":
			body = fmt.Sprintf("SELECT %f AS since, %f AS until", float64(playStart.Unix())+from, float64(playStart.Unix())+until)
		default:
			continue
		}
		if _, err := db.Exec("CREATE TEMP VIEW \"" + view.Name + "\" AS " + body); err != nil {
			t.Fatal(err)
		}
	}
	return texts(t, db, fmt.Sprintf(`SELECT substr(what, length('tcp 10.0.0.5:443 ↔ 10.0.7.9:') + 1) || ' ' || printf('%%.3f', ts - %d) || iif(exact, '!', '') || '|' ||
		event || ':' || coalesce(was, '') || '>' || coalesce(now, '') FROM events WHERE object = 'socket'`, playStart.Unix()))
}
