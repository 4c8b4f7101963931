// Package service has the recorder run as a service of systemd: for the whole machine, by a user of its own with few privileges, or for one user.
package service

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed netsql.service
var systemUnit string

//go:embed netsql-user.service
var userUnit string

// written begins every unit that Install wrote: no other is overwritten or removed.
const written = "# Written by netsql service install."

// name is that of the unit, and of the user and group that the recorder runs as.
const name = "netsql"

// A package of netsql has the program and the unit here.
const packagedProgram = "/usr/bin/netsql"

var packagedUnits = []string{"/usr/lib/systemd/system/netsql.service", "/lib/systemd/system/netsql.service"}

// A Service is the recorder as systemd runs it.
type Service struct {
	User      bool              // of one user, and of that user's own systemd
	Recording string            // of the machine's service; that of a user goes by its own default
	Say       func(line string) // is told what was done
}

// Install writes the unit, makes what it needs, and starts it. What is there already stays, or is brought up to date. The program is copied to
// /usr/local/bin where it stands in a place that the service may not see.
func (s *Service) Install(ctx context.Context) error {
	if err := s.possible("install"); err != nil {
		return err
	}
	if !s.User {
		if err := s.makeUser(ctx); err != nil {
			return err
		}
		if err := s.makeFolder(); err != nil {
			return err
		}
	}
	if packaged := s.packaged(); packaged != "" {
		if err := s.giveWay(ctx, packaged); err != nil {
			return err
		}
	} else {
		program, err := s.program()
		if err != nil {
			return err
		}
		if err := s.writeUnit(program); err != nil {
			return err
		}
	}
	for _, words := range [][]string{{"daemon-reload"}, {"enable", name}, {"restart", name}} {
		if _, err := s.systemctl(ctx, words...); err != nil {
			if words[0] == "restart" {
				return fmt.Errorf("%w: %s says why", err, s.journal())
			}
			return err
		}
	}
	when, flag := "with the machine", ""
	if s.User {
		when, flag = "when you log in (loginctl enable-linger has it run without)", " --user"
	}
	s.Say("the recorder runs, and starts " + when + ": netsql service status" + flag + " tells how it is")
	return nil
}

// Uninstall stops the recorder and removes the unit. purge removes the recording as well, and the user and group.
func (s *Service) Uninstall(ctx context.Context, purge bool) error {
	if err := s.possible("uninstall"); err != nil {
		return err
	}
	unit, packaged := s.unit(), s.packaged()
	switch is, err := isOurs(unit); {
	case errors.Is(err, fs.ErrNotExist) && packaged != "":
		if _, err := s.systemctl(ctx, "disable", "--now", name); err != nil {
			return err
		}
		s.Say("the recorder is stopped, and no longer starts with the machine; " + packaged + " belongs to the package, which your package manager removes")
	case errors.Is(err, fs.ErrNotExist):
		s.Say("no service is installed: there is no " + unit)
	case err != nil:
		return err
	case !is:
		return fmt.Errorf("%s was not written by netsql service install: it is left alone", unit)
	default:
		if _, err := s.systemctl(ctx, "disable", "--now", name); err != nil {
			return err
		}
		if err := os.Remove(unit); err != nil {
			return err
		}
		if _, err := s.systemctl(ctx, "daemon-reload"); err != nil {
			return err
		}
		s.Say("the recorder is stopped, and " + unit + " is removed")
		if packaged != "" {
			s.Say(packaged + " of the package is left: netsql service install has the recorder run by it")
		}
	}
	if !purge || s.User {
		if !s.User {
			s.Say("the recording stays in " + filepath.Dir(s.Recording) + ": netsql service uninstall --purge removes it")
		}
		return nil
	}
	for _, file := range s.files() {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	s.Say("the recording is removed: " + s.Recording)
	if err := os.Remove(filepath.Dir(s.Recording)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Say(filepath.Dir(s.Recording) + " has other files in it, and stays")
	}
	if _, err := user.Lookup(name); err == nil {
		if err := run(ctx, "userdel", name); err != nil {
			return fmt.Errorf("the user %s stays: %w", name, err)
		}
		if _, err := user.LookupGroup(name); err == nil { // it has other members
			if err := run(ctx, "groupdel", name); err != nil {
				return fmt.Errorf("the group %s stays: %w", name, err)
			}
		}
		s.Say("the user and group " + name + " are removed")
	}
	return nil
}

// State is what systemd says of the service, in words.
func (s *Service) State(ctx context.Context) (string, error) {
	if err := available(); err != nil {
		return "", err
	}
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
		return "not installed: netsql service install does it", nil
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

// possible says what is missing for a change.
func (s *Service) possible(what string) error {
	if err := available(); err != nil {
		return err
	}
	switch root := os.Geteuid() == 0; {
	case !root && !s.User:
		return fmt.Errorf("service %s changes the machine: run it as root, or with --user for a recorder of your own", what)
	case root && s.User:
		return fmt.Errorf("--user is for a user's own recorder: leave it out as root")
	}
	return nil
}

// available reports whether systemd runs here (sd_booted(3)).
func available() error {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return errors.New("no systemd runs here: have what starts your services run netsql record")
	}
	return nil
}

// program is where the service finds netsql.
func (s *Service) program() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil || s.User {
		return self, err
	}
	for _, place := range []string{"/usr/", "/opt/", "/nix/", "/gnu/"} {
		if strings.HasPrefix(self, place) {
			return self, nil
		}
	}
	const installed = "/usr/local/bin/netsql"
	if err := copyProgram(self, installed); err != nil {
		return "", err
	}
	s.Say("the program is copied to " + installed)
	return installed, nil
}

// copyProgram puts a copy in place of what may be running.
func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".netsql-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Chmod(0o755), out.Sync(), out.Close()); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}

// makeUser makes the user and group that the recorder runs as (sysusers.d(5)).
func (s *Service) makeUser(ctx context.Context) error {
	if _, err := user.Lookup(name); err == nil {
		return nil
	}
	if err := run(ctx, "systemd-sysusers", "--inline", fmt.Sprintf(`u %s - "netsql recorder" %s`, name, filepath.Dir(s.Recording))); err != nil {
		return err
	}
	s.Say("the user and group " + name + " are made: who is in the group may ask the recording, as after usermod -aG " + name + " ann")
	return nil
}

// makeFolder makes the folder of the recording, for the user to write and the group to read, and gives them a recording that is there.
func (s *Service) makeFolder() error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	dir := filepath.Dir(s.Recording)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := errors.Join(os.Lchown(dir, uid, gid), os.Chmod(dir, 0o750)); err != nil {
		return err
	}
	// The user netsql may have put a link there: none is followed out of the folder.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, file := range s.files() {
		file = filepath.Base(file)
		info, err := root.Lstat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s in %s is no plain file: it is left alone", file, dir)
		}
		if err := errors.Join(root.Lchown(file, uid, gid), root.Chmod(file, 0o640)); err != nil {
			return err
		}
	}
	return nil
}

// files are those of the recording.
func (s *Service) files() (all []string) {
	for _, end := range []string{"", "-wal", "-shm", "-recorder"} {
		all = append(all, s.Recording+end)
	}
	return all
}

// unit is the file that describes the service.
func (s *Service) unit() string {
	if !s.User {
		return "/etc/systemd/system/" + name + ".service"
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		dir = ".config"
	}
	return filepath.Join(dir, "systemd", "user", name+".service")
}

// packaged is the unit that a package of netsql has brought, and "" where there is none.
func (s *Service) packaged() string {
	for _, unit := range packagedUnits {
		if _, err := os.Stat(unit); err == nil && !s.User {
			return unit
		}
	}
	return ""
}

// giveWay removes a unit that Install wrote before there was the package: it would stand before that of the package.
func (s *Service) giveWay(ctx context.Context, packaged string) error {
	s.Say("the service is that of the package: " + packaged + ", which runs " + packagedProgram)
	unit := s.unit()
	switch is, err := isOurs(unit); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !is:
		return fmt.Errorf("%s stands before it, and was not written by netsql service install: remove it first", unit)
	}
	if _, err := s.systemctl(ctx, "disable", name); err != nil { // the link to it
		return err
	}
	if err := os.Remove(unit); err != nil {
		return err
	}
	s.Say(unit + " is removed: it would stand before it")
	return nil
}

// PackagedUnit is the unit for packages.
func (s *Service) PackagedUnit() (string, error) {
	text, err := s.describe(systemUnit, packagedProgram)
	return "# Of the package netsql: what you change with systemctl edit netsql stays." + strings.TrimPrefix(text, written), err
}

func isOurs(unit string) (bool, error) {
	text, err := os.ReadFile(unit)
	return strings.HasPrefix(string(text), written), err
}

func (s *Service) writeUnit(program string) error {
	unit, text := s.unit(), systemUnit
	if s.User {
		text = userUnit
	}
	if is, err := isOurs(unit); err == nil && !is {
		return fmt.Errorf("%s was not written by netsql service install: remove it first", unit)
	}
	text, err := s.describe(text, program)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(unit), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(unit, []byte(text), 0o644); err != nil {
		return err
	}
	s.Say("the service is described in " + unit)
	return nil
}

// describe fills in a unit.
func (s *Service) describe(unit, program string) (string, error) {
	var b strings.Builder
	err := template.Must(template.New(name).Parse(unit)).Execute(&b, map[string]string{"Program": program, "Recording": s.Recording})
	return b.String(), err
}

func (s *Service) systemctl(ctx context.Context, words ...string) (string, error) {
	if s.User {
		words = append([]string{"--user"}, words...)
	}
	return output(ctx, "systemctl", words...)
}

// journal is the command that shows what the service said.
func (s *Service) journal() string {
	if s.User {
		return "journalctl --user -u " + name
	}
	return "journalctl -u " + name
}

func run(ctx context.Context, command string, words ...string) error {
	_, err := output(ctx, command, words...)
	return err
}

// output runs a command of the machine. What it complains of is one sentence of the error.
func output(ctx context.Context, command string, words ...string) (string, error) {
	var out, complaint bytes.Buffer
	c := exec.CommandContext(ctx, command, words...)
	c.Stdout, c.Stderr = &out, &complaint
	if err := c.Run(); err != nil {
		said, _, _ := strings.Cut(strings.TrimSpace(complaint.String()), "\n")
		if said == "" {
			said = err.Error()
		}
		return "", fmt.Errorf("%s %s: %s", command, strings.Join(words, " "), said)
	}
	return out.String(), nil
}
