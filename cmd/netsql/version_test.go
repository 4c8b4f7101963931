package main

import (
	"runtime/debug"
	"testing"
)

func TestVersionText(t *testing.T) {
	const commit, date = "0123abcd", "2026-11-23T03:14:05Z"
	for _, test := range []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{"released", debug.BuildInfo{GoVersion: "go1.26.0", Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: commit}, {Key: "vcs.time", Value: date}, {Key: "vcs.modified", Value: "false"}}},
			version + "\ncommit: 0123abcd\ndate:   " + date + "\ngo:     go1.26.0"},
		{"changed", debug.BuildInfo{GoVersion: "go1.26.0", Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: commit}, {Key: "vcs.time", Value: date}, {Key: "vcs.modified", Value: "true"}}},
			version + "\ncommit: 0123abcd, with changes that were not committed\ndate:   " + date + "\ngo:     go1.26.0"},
		{"buildvcs=false", debug.BuildInfo{GoVersion: "go1.26.0"},
			version + "\ncommit: not noted by this build\ndate:   not noted by this build\ngo:     go1.26.0"},
	} {
		if got := versionText(&test.info); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
