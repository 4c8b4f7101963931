package tools

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"netsql/query"
)

type ssOwner struct {
	inode   int64
	pid, fd int64
	comm    string
}

func (s *ssPrinter) readOwners() error {
	s.comms = map[int64]string{}
	from := fmt.Sprintf("FROM socket_owners WHERE ts = at() AND netns = %d", s.m.NetNS)
	err := s.m.recording.Each(s.ctx, []string{"inode", "pid", "fd", "comm"}, from, func(v []query.Value) error {
		o := ssOwner{inode: v[0].Int(), pid: v[1].Int(), fd: -1}
		if v[2].Known() {
			o.fd = v[2].Int()
		}
		if comm, ok := s.comms[o.pid]; !ok || comm != v[3].Text() {
			s.comms[o.pid] = v[3].Text()
		}
		o.comm = s.comms[o.pid]
		s.owners = append(s.owners, o)
		return nil
	})
	slices.SortFunc(s.owners, func(a, b ssOwner) int {
		return cmp.Or(cmp.Compare(a.inode, b.inode), cmp.Compare(b.pid, a.pid), cmp.Compare(b.fd, a.fd))
	})
	return err
}

// ownersOf are the processes that have a socket.
func (s *ssPrinter) ownersOf(inode int64) []ssOwner {
	from, ok := slices.BinarySearchFunc(s.owners, inode, func(o ssOwner, inode int64) int { return cmp.Compare(o.inode, inode) })
	if !ok {
		return nil
	}
	upTo := from + 1
	for upTo < len(s.owners) && s.owners[upTo].inode == inode {
		upTo++
	}
	return s.owners[from:upTo]
}

// users prints who has the socket, the youngest process first. Of several descriptors of a process the lowest is recorded.
func (s *ssPrinter) users() {
	if !s.processes {
		return
	}
	owners := s.owners // of a closed socket
	if !s.events {
		inode := s.row.number(ssInode)
		if inode == 0 || s.row.text(ssState) == "TIME_WAIT" {
			return
		}
		owners = s.ownersOf(inode)
	}
	if len(owners) == 0 {
		return
	}
	t := s.t
	t.text(" users:(")
	for i, o := range owners {
		if i > 0 {
			t.b = append(t.b, ',')
		}
		comm, _, _ := strings.Cut(o.comm, ")")
		t.text(`("`)
		t.text(comm)
		t.text(`",pid=`)
		t.b = strconv.AppendInt(t.b, o.pid, 10)
		t.text(",fd=")
		if o.fd < 0 {
			t.b = append(t.b, '-')
		} else {
			t.b = strconv.AppendInt(t.b, o.fd, 10)
		}
		t.b = append(t.b, ')')
	}
	t.b = append(t.b, ')')
}
