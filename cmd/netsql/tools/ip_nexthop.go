package tools

import (
	"cmp"
	"fmt"
	"strings"
)

type ipNextHop struct {
	ID       int64  `col:"nhid"`
	Type     string `col:"type"`
	Family   int64  `col:"coalesce(family, 0)"`
	Gateway  string `col:"gateway"`
	Dev      string `col:"dev"`
	Members  string `col:"members"`
	Encap    string `col:"encap"`
	Scope    string `col:"scope"`
	Protocol string `col:"protocol"`
	Flags    string `col:"flags"`
}

func (o *ipOut) nextHops(words []string) error {
	command, words, err := o.shown("nexthop", "nexthop_changes", words, "get", "bucket")
	if err != nil {
		return err
	}
	if command == "bucket" {
		return &UnknownOptionError{Tool: "ip", Option: "nexthop bucket", Instead: "the buckets of resilient groups are not recorded"}
	}
	var id, dev, master string
	var groups bool
	w := ipWords{"nexthop", words}
	for {
		word, ok := w.next()
		if !ok {
			break
		}
		switch word {
		case "id":
			id, err = w.after(word)
			w.left = nil // ip asks for that one at once
		case "dev":
			dev, err = w.after(word)
		case "master", "vrf":
			master, err = w.after(word)
		case "groups":
			groups = true
		case "fdb":
			// The kernel takes none away for it (nh_dump_filtered of net/ipv4/nexthop.c).
		default:
			return &UnknownOptionError{Tool: "ip", Option: "nexthop show " + word, Instead: "netsql ip nexthop shows them all, and SELECT * FROM nexthops_now WHERE … some"}
		}
		if err != nil {
			return err
		}
	}
	rows, err := here[ipNextHop](o.ctx, o.m, "nexthops", "ORDER BY nhid")
	if err != nil {
		return err
	}
	members, err := o.membersOf(master)
	if err != nil {
		return err
	}
	for _, n := range rows {
		if id != "" && id != fmt.Sprint(n.ID) || id == "" && (dev != "" && n.Dev != dev || master != "" && !members[n.Dev] || groups && n.Members == "" ||
			(o.four || o.six) && !o.wants(n.Family)) {
			continue
		}
		o.open("", '{')
		o.nextHop(&n)
		o.text("\n")
		o.close('}')
	}
	return nil
}

// nextHopObjects are those that -d prints with the routes by them; without it none.
func (o *ipOut) nextHopObjects() (map[int64]ipNextHop, error) {
	if !o.details {
		return nil, nil
	}
	rows, err := here[ipNextHop](o.ctx, o.m, "nexthops", "")
	objects := map[int64]ipNextHop{}
	for _, n := range rows {
		objects[n.ID] = n
	}
	return objects, err
}

func (o *ipOut) nextHop(n *ipNextHop) {
	o.put("id", "id %d ", n.ID)
	if n.Members != "" {
		o.text("group ")
		o.open("group", '[')
		for i, member := range strings.Split(n.Members, ",") {
			var id, weight int64
			if _, err := fmt.Sscanf(member, "%d*%d", &id, &weight); err != nil {
				continue
			}
			if i > 0 {
				o.text("/")
			}
			o.open("", '{')
			o.put("id", "%d", id)
			if weight != 1 {
				o.put("weight", ",%d", weight)
			}
			o.close('}')
		}
		o.close(']')
		o.text(" ")
	}
	o.some("encap", " encap %s ", n.Encap)
	if n.Gateway != "" {
		o.via(n.Family, n.Gateway)
	}
	o.some("dev", "dev %s ", n.Dev)
	if scope := cmp.Or(n.Scope, "global"); scope != "global" || o.details {
		o.put("scope", "scope %s ", o.number(scopeNumbers, scope))
	}
	if n.Type == "blackhole" {
		o.text("blackhole ")
		o.value("blackhole", nil)
	}
	if n.Protocol != "unspec" || o.details {
		o.some("protocol", "proto %s ", o.number(protocolNumbers, n.Protocol))
	}
	o.flags(strings.Split(n.Flags, ","))
	if strings.HasPrefix(n.Type, "fdb") {
		o.text("fdb ")
		o.value("fdb", nil)
	}
}
