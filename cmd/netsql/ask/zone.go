package ask

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Zone is the name of the time zone that this program goes by, for the netsql of another host. ok is false where the zone has no name: the one that
// is returned then has the same offset now, or is UTC.
//
// A netsql there reads TZ as this one does (package time): names and files, and no POSIX rules such as CET-1CEST. A TZ that it cannot read is UTC to it.
func Zone(now time.Time) (name string, ok bool) { return zone("/etc/localtime", zoneinfo, now) }

// zoneinfo is where systems keep their time zones.
const zoneinfo = "/usr/share/zoneinfo"

func zone(localtime, folder string, now time.Time) (string, bool) {
	file := localtime
	if tz, set := os.LookupEnv("TZ"); set {
		tz = strings.TrimPrefix(tz, ":")
		if !filepath.IsAbs(tz) {
			if _, err := time.LoadLocation(tz); tz == "" || tz == "Local" || err != nil {
				return "UTC", true
			}
			return tz, true
		}
		file = tz
	}
	if target, err := filepath.EvalSymlinks(file); err == nil {
		if _, name, is := strings.Cut(filepath.ToSlash(target), "/zoneinfo/"); is {
			if _, err := time.LoadLocation(name); err == nil {
				return name, true
			}
		}
		if name := sameZone(target, folder); name != "" {
			return name, true
		}
	}
	_, offset := now.Zone()
	if offset%3600 != 0 {
		return "UTC", false
	}
	if offset == 0 {
		return "UTC", true
	}
	return fmt.Sprintf("Etc/GMT%+d", -offset/3600), false // POSIX counts to the west
}

// sameZone is the name of a time zone with the rules of a file, which is a copy of it.
func sameZone(file, folder string) string {
	rules, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(rules, []byte("TZif")) {
		return ""
	}
	var names []string
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.IsDir() && slices.Contains([]string{"right", "posix"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(len(rules)) {
			return nil
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return nil
		}
		if text, err := os.ReadFile(path); err == nil && bytes.Equal(text, rules) {
			if _, err := time.LoadLocation(filepath.ToSlash(name)); err == nil {
				names = append(names, filepath.ToSlash(name))
			}
		}
		return nil
	})
	// Europe/Berlin rather than localtime, which is there on some systems.
	slices.SortFunc(names, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, name := range names {
		if strings.Contains(name, "/") || name == "UTC" {
			return name
		}
	}
	return ""
}
