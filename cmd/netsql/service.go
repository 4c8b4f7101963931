package main

import (
	"context"
	"fmt"

	"netsql/cmd/netsql/service"
	"netsql/query"
)

// runService is netsql service.
func runService(f *flags) runner {
	var ofUser, purge bool
	f.BoolVar(&ofUser, "user", false, "a recorder of your own, that sees what you may see, without root")
	f.BoolVar(&purge, "purge", false, "with uninstall: remove the recording too, and the user netsql")
	f.completeWords(oneOf("install", "status", "uninstall"))
	return func(ctx context.Context, words []string, std stdio) error {
		if len(words) != 1 {
			return usagef("service does one of these: netsql service install, status or uninstall")
		}
		if purge && words[0] != "uninstall" {
			return usagef("--purge belongs to netsql service uninstall")
		}
		s := service.Service{User: ofUser, Recording: systemRecording, Say: func(line string) { fmt.Fprintln(std.out, query.Safe(line)) }}
		switch words[0] {
		case "install":
			return s.Install(ctx)
		case "uninstall":
			return s.Uninstall(ctx, purge)
		case "status":
			state, err := s.State(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(std.out, "service     %s\n", query.Safe(state))
			path := systemRecording
			if ofUser {
				if path, _, err = f.path(); err != nil {
					return err
				}
			}
			return statusOf(ctx, path, std, func(s query.Status, _ *query.Recording) error { return s.Write(std.out) })
		}
		return usagef("service has no %q: netsql service install, status or uninstall", words[0])
	}
}
