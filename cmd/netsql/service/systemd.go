package service

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed netsql.service
var systemUnit string

//go:embed netsql-user.service
var userUnit string

// A package of netsql has the program and the unit here.
const packagedProgram = "/usr/bin/netsql"

var packagedUnits = []string{"/usr/lib/systemd/system/netsql.service", "/lib/systemd/system/netsql.service"}

// systemd runs the recorder of the machine, or, as that of a user, one user's.
type systemd struct{ *Service }

func (s systemd) unit() string {
	if !s.User {
		return "/etc/systemd/system/" + name + ".service"
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = ".config"
	}
	return filepath.Join(dir, "systemd", "user", name+".service")
}

func (s systemd) packaged() string {
	for _, unit := range packagedUnits {
		if _, err := os.Stat(unit); err == nil && !s.User {
			return unit
		}
	}
	return ""
}

func (s systemd) describe() (text string, mode os.FileMode) {
	if s.User {
		return userUnit, 0o644
	}
	return systemUnit, 0o644
}

// makeUser is by sysusers.d(5).
func (s systemd) makeUser(ctx context.Context, home string) error {
	return run(ctx, "systemd-sysusers", "--inline", fmt.Sprintf(`u %s - "netsql recorder" %s`, name, home))
}

func (s systemd) start(ctx context.Context) error {
	for _, words := range [][]string{{"daemon-reload"}, {"enable", name}, {"restart", name}} {
		if _, err := s.systemctl(ctx, words...); err != nil {
			if words[0] == "restart" {
				return fmt.Errorf("%w: %s says why", err, s.journal())
			}
			return err
		}
	}
	return nil
}

func (s systemd) stop(ctx context.Context) error {
	_, err := s.systemctl(ctx, "disable", "--now", name)
	return err
}

func (s systemd) forget(ctx context.Context) error {
	_, err := s.systemctl(ctx, "daemon-reload")
	return err
}

func (s systemd) leaves() []string { return nil }

func (s systemd) state(ctx context.Context) (string, error) {
	text, err := s.systemctl(ctx, "show", name, "--property=LoadState,ActiveState,SubState,UnitFileState,StatusText,Result,FragmentPath")
	if err != nil {
		return "", err
	}
	of := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		of[key] = value
	}
	if of["LoadState"] == "not-found" {
		return notInstalled, nil
	}
	words := []string{of["ActiveState"] + " (" + of["SubState"] + ")", of["UnitFileState"]}
	if !s.User && slices.Contains(packagedUnits, of["FragmentPath"]) {
		words = append(words, "of the package")
	}
	if result := of["Result"]; result != "" && result != "success" {
		words = append(words, "the last run ended with "+result)
	}
	if of["StatusText"] != "" {
		words = append(words, of["StatusText"])
	}
	return strings.Join(words, ", "), nil
}

func (s *Service) systemctl(ctx context.Context, words ...string) (string, error) {
	if s.User {
		words = append([]string{"--user"}, words...)
	}
	return output(ctx, "systemctl", words...)
}

// journal is the command that shows what the service said.
func (s systemd) journal() string {
	if s.User {
		return "journalctl --user -u " + name
	}
	return "journalctl -u " + name
}
