package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
)

// printVersion is netsql version.
func printVersion(f *flags) runner {
	return func(_ context.Context, words []string, std stdio) error {
		if slices.Contains(words, "--help") || slices.Contains(words, "-h") {
			return writeUsage(std.out, f.made)
		}
		return writeVersion(std.out)
	}
}

// writeVersion says which program this is: its version, the commit and date that it was built from, and the Go it was built with.
func writeVersion(w io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	_, err := fmt.Fprintln(w, "netsql", versionText(info))
	return err
}

// versionText is the version with what the build noted. go build -buildvcs=false, go run and go test note no commit.
func versionText(info *debug.BuildInfo) string {
	noted := map[string]string{}
	for _, s := range info.Settings {
		noted[s.Key] = s.Value
	}
	commit, date := noted["vcs.revision"], noted["vcs.time"]
	text := version + "\ncommit: "
	switch {
	case commit == "":
		text += "not noted by this build"
	case noted["vcs.modified"] == "true":
		text += commit + ", with changes that were not committed"
	default:
		text += commit
	}
	if date == "" {
		date = "not noted by this build"
	}
	goVersion := info.GoVersion
	if goVersion == "" {
		goVersion = "not noted by this build"
	}
	return text + "\ndate:   " + date + "\ngo:     " + goVersion
}
