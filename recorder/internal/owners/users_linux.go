package owners

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"netsql/recorder/internal/kernel"
)

// Users turns user ids into names: those of /etc/passwd, read again when the file changes,
// and the rest (LDAP, systemd's dynamic users) by way of the system, asked once per
// userPatience whether it knows them or not.
type Users struct {
	path   string
	stamp  fileStamp
	names  map[uint32]string
	others map[uint32]string // "" for those the system does not know either
	asked  time.Time         // when others was last emptied
	lookup func(uid string) (*user.User, error)
}

const userPatience = 10 * time.Minute

type fileStamp struct {
	modified time.Time
	size     int64
}

func NewUsers() *Users {
	return &Users{path: "/etc/passwd", others: map[uint32]string{}, lookup: user.LookupId}
}

// Refresh reads the file again if it has changed; once per sample is enough.
func (u *Users) Refresh() {
	if time.Since(u.asked) > userPatience {
		clear(u.others)
		u.asked = time.Now()
	}
	info, err := os.Stat(u.path)
	if err != nil {
		return // no file, no names; and a file that is being replaced comes back
	}
	stamp := fileStamp{info.ModTime(), info.Size()}
	if stamp == u.stamp {
		return
	}
	f, err := os.Open(u.path)
	if err != nil {
		return
	}
	defer f.Close()
	u.names, u.stamp = parsePasswd(f), stamp
	clear(u.others)
}

// Name is the user's name, "" when nobody knows it.
func (u *Users) Name(uid uint32) string {
	if name, ok := u.names[uid]; ok {
		return name
	}
	name, ok := u.others[uid]
	if !ok {
		if found, err := u.lookup(strconv.FormatUint(uint64(uid), 10)); err == nil {
			name = kernel.Printable([]byte(found.Username))
		}
		u.others[uid] = name
	}
	return name
}

// parsePasswd reads passwd(5); of several names of one uid the first counts, as in ls.
func parsePasswd(r io.Reader) map[uint32]string {
	names := map[uint32]string{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		line := lines.Bytes()
		if bytes.HasPrefix(line, []byte("#")) {
			continue
		}
		f := strings.SplitN(string(line), ":", 4)
		if len(f) < 4 || f[0] == "" {
			continue
		}
		uid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			continue
		}
		if _, ok := names[uint32(uid)]; !ok {
			names[uint32(uid)] = kernel.Printable([]byte(f[0]))
		}
	}
	return names
}
