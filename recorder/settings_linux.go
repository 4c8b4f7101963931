package recorder

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// settings records the sysctls that explain the rest. Nobody tells of most changes, so they are read every few seconds,
// and at once when the kernel tells of one. In samples between, they are kept unread. Those of net are of the namespace of
// who reads them.
type settings struct {
	source   *store.Source
	ns       namespace
	netlink  *rtnl.Conn
	set      *store.Set[store.SettingID, store.Setting]
	told     func() bool   // the kernel told of a change since the last sample; nil: nobody listens
	interval time.Duration // between readings
	sampling time.Duration // between samples
	due      time.Time
	file     *procFile
	paths    []string // of settingNames
	subjects []*store.Subject[store.SettingID, store.Setting]
	links    map[string]*settingsOfLink
	reading  uint32 // grows with each
}

// settingsOfLink are what was read of a link: most of them stay as they are for ever.
type settingsOfLink struct {
	names    [5]string // of linkSettings
	values   [5]store.Int
	subjects [5]*store.Subject[store.SettingID, store.Setting]
	reading  uint32 // the last in which it was there
}

const (
	// settingsInterval is the longest that settings are kept: 160 files are read in one or two milliseconds, as measured.
	settingsInterval = 5 * time.Second
	// settingsShare is what part of the time reading may take on a machine with thousands of interfaces, where it takes long.
	settingsShare = 500
)

func newSettings(w *store.Writer, ns namespace) source {
	s := &settings{
		source: w.SourceIn(ns.id, "settings"), ns: ns, netlink: ns.rtnetlink(), file: ns.procFile(),
		interval: settingsInterval, sampling: w.Interval(), links: map[string]*settingsOfLink{},
	}
	s.set = store.NewSet(s.source, store.Settings)
	for _, name := range settingNames {
		s.paths = append(s.paths, "/proc/sys/"+strings.ReplaceAll(name, ".", "/"))
	}
	return s
}

func (s *settings) read(ctx context.Context) {
	s.source.Read(func() error {
		now := time.Now()
		told := s.told != nil && s.told()
		if inTime := !now.Add(s.sampling).After(s.due); inTime && !told && s.keep() { // the next sample is in time
			return store.ErrKept
		}
		before := len(s.subjects)
		err := s.record(ctx)
		s.due = now.Add(max(s.interval, settingsShare*time.Since(now)))
		if len(s.subjects) < before {
			// Should this sample not be written, those that went would be kept for ever.
			s.due = now
		}
		return err
	})
}

// readNext has the next sample read them.
func (s *settings) readNext() { s.due = time.Time{} }

// keep reports whether the recording has every setting that was read last: it lacks them
// after a sample that could not be written.
func (s *settings) keep() bool {
	for _, subject := range s.subjects {
		if !s.set.Keep(subject) {
			return false
		}
	}
	return len(s.subjects) > 0
}

func (s *settings) record(ctx context.Context) error {
	s.subjects = s.subjects[:0]
	var refused []string
	for i, name := range settingNames {
		text, err := s.file.sysctl(s.paths[i])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// of another kernel, of a module that is not loaded, or not of this namespace
		case errors.Is(err, fs.ErrPermission):
			refused = append(refused, name)
		case err != nil:
			return fmt.Errorf("read %s: %w", name, err)
		default:
			s.put(name, settingText(text))
		}
	}
	if err := s.recordLinks(ctx); err != nil {
		return err
	}
	if refused != nil {
		return &store.PartialError{Missing: "no permission to read " + strings.Join(refused, ", ")}
	}
	return nil
}

func (s *settings) put(name, value string) *store.Subject[store.SettingID, store.Setting] {
	subject := s.set.Put(store.SettingID{NetNS: s.ns.id, Name: name}, store.Setting{Value: value})
	s.subjects = append(s.subjects, subject)
	return subject
}

// settingText parts several numbers by one blank each, where the kernel writes tabs.
func settingText(text []byte) string {
	return string(bytes.Join(bytes.Fields(text), []byte{' '}))
}

// A linkSetting is a sysctl that every interface has, by its place among the numbers that a
// dump of the links gives (linux/ip.h and linux/ipv6.h). Four thousand interfaces have
// twenty thousand files, but one dump.
type linkSetting struct {
	family uint16
	place  int
	name   string
}

var linkSettings = []linkSetting{
	{unix.AF_INET, 0, "forwarding"},     // IPV4_DEVCONF_FORWARDING - 1
	{unix.AF_INET, 7, "rp_filter"},      // IPV4_DEVCONF_RP_FILTER - 1
	{unix.AF_INET6, 0, "forwarding"},    // DEVCONF_FORWARDING
	{unix.AF_INET6, 3, "accept_ra"},     // DEVCONF_ACCEPT_RA
	{unix.AF_INET6, 26, "disable_ipv6"}, // DEVCONF_DISABLE_IPV6
}

func (s *settings) recordLinks(ctx context.Context) error {
	messages, err := s.netlink.Dump(ctx, unix.RTM_GETLINK, unix.RTM_NEWLINK, linksWithoutStats())
	if err != nil {
		return fmt.Errorf("dump links: %w", err)
	}
	s.reading++
	for _, msg := range messages {
		name, values, err := parseLinkSettings(msg)
		if err != nil {
			return fmt.Errorf("read settings of a link: %w", err)
		}
		link := s.links[string(name)]
		if link == nil {
			link = &settingsOfLink{}
			for i, setting := range linkSettings {
				link.names[i] = setting.sysctl(string(name))
			}
			s.links[string(name)] = link
		}
		link.reading = s.reading
		for i, value := range values {
			v, ok := value.Get()
			switch {
			case !ok:
			case link.subjects[i] != nil && link.values[i] == value && s.set.Keep(link.subjects[i]):
				s.subjects = append(s.subjects, link.subjects[i])
			default:
				link.values[i], link.subjects[i] = value, s.put(link.names[i], strconv.FormatInt(v, 10))
			}
		}
	}
	for name, link := range s.links {
		if link.reading != s.reading {
			delete(s.links, name)
		}
	}
	return nil
}

// linksWithoutStats asks for the links without their counters.
func linksWithoutStats() []byte {
	request := make([]byte, unix.SizeofIfInfomsg, unix.SizeofIfInfomsg+8)
	request = binary.NativeEndian.AppendUint16(request, 8)
	request = binary.NativeEndian.AppendUint16(request, unix.IFLA_EXT_MASK)
	return binary.NativeEndian.AppendUint32(request, rtextFilterSkipStats)
}

const rtextFilterSkipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h, Linux 4.4

// sysctl is the setting's name for the interface: as sysctl(8) does, a dot in the
// interface's name becomes a slash.
func (l linkSetting) sysctl(link string) string {
	family := "ipv4"
	if l.family == unix.AF_INET6 {
		family = "ipv6"
	}
	return "net." + family + ".conf." + strings.ReplaceAll(link, ".", "/") + "." + l.name
}

// parseLinkSettings decodes IFLA_AF_SPEC of an RTM_NEWLINK message: the values of
// linkSettings. The name is a part of the message.
func parseLinkSettings(msg []byte) (name []byte, values [5]store.Int, err error) {
	if len(msg) < unix.SizeofIfInfomsg {
		return nil, values, rtnl.ErrShort
	}
	var spec []byte
	err = rtnl.Attributes(msg[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) error {
		switch kind {
		case unix.IFLA_IFNAME:
			name, err = rtnl.TextOf(v)
			return err
		case unix.IFLA_AF_SPEC:
			spec = v
		}
		return nil
	})
	if err != nil {
		return name, values, err
	}
	err = rtnl.Attributes(spec, func(family uint16, v []byte) error {
		conf := uint16(unix.IFLA_INET_CONF)
		if family == unix.AF_INET6 {
			conf = unix.IFLA_INET6_CONF
		}
		return rtnl.Attributes(v, func(kind uint16, v []byte) error {
			for i, setting := range linkSettings {
				if at := 4 * setting.place; kind == conf && family == setting.family && len(v) >= at+4 {
					values[i] = store.Of(int32(binary.NativeEndian.Uint32(v[at:])))
				}
			}
			return nil
		})
	})
	return name, values, err
}
