package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

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
		s.Ready = func(ctx context.Context) bool { return query.Sampled(ctx, systemRecording) }
		switch words[0] {
		case "ready": // start_post of the script of OpenRC
			return waitForSample(ctx, f)
		case "ended": // ExecStopPost of the unit
			return sayEnded(f)
		case "unit": // for packages
			unit, err := s.PackagedUnit()
			if err == nil {
				_, err = io.WriteString(std.out, unit)
			}
			return err
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

// waitForSample returns once the recorder that was just started has written a sample.
func waitForSample(ctx context.Context, f *flags) error {
	path, _, err := f.path()
	if err != nil {
		return err
	}
	const within, again = 30 * time.Second, 50 * time.Millisecond
	for begun := time.Now(); !query.Sampled(ctx, path); {
		if time.Since(begun) > within {
			return fmt.Errorf("the recorder has written no sample within %v", within)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(again):
		}
	}
	return nil
}

// endings are what systemd says of how a service ended ($SERVICE_RESULT of systemd.exec(5)), for the gap in the recording.
var endings = map[string]string{
	"watchdog":  "it hung, and the watchdog of systemd ended it",
	"oom-kill":  "the kernel killed it for want of memory",
	"timeout":   "it did not start or stop in time, and systemd killed it",
	"signal":    "it was killed by SIG$STATUS",
	"core-dump": "it was killed by SIG$STATUS",
	"exit-code": "it exited with $STATUS",
	"resources": "systemd could not give it what it needs",
}

// sayEnded writes what systemd knows of the end of the recorder to where the next one finds it.
func sayEnded(f *flags) error {
	why := endings[os.Getenv("SERVICE_RESULT")]
	if why == "" {
		return nil // as it should
	}
	path, _, err := f.path()
	if err != nil {
		return err
	}
	return query.SayEnded(path, strings.ReplaceAll(why, "$STATUS", os.Getenv("EXIT_STATUS")))
}
