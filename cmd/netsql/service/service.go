// Package service has the recorder run as a service of systemd or OpenRC: for the whole machine, by a user of its own with few privileges, or, by
// systemd, for one user.
package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
)

// written begins every unit and script that Install wrote: no other is overwritten or removed.
const written = "# Written by netsql service install."

// name is that of the unit, and of the user and group that the recorder runs as.
const name = "netsql"

// notInstalled is the state of what is not there.
const notInstalled = "not installed: netsql service install does it"

// A manager starts the services of a machine.
type manager interface {
	unit() string                                        // the file that describes the service
	packaged() string                                    // the one that a package of netsql has brought; "": there is none
	describe() (text string, mode os.FileMode)           // what is in it, as a template
	makeUser(ctx context.Context, home string) error     // that the recorder runs as
	start(ctx context.Context) error                     // now, and with the machine from now on; it returns after the first sample
	stop(ctx context.Context) error                      // now, and for good
	forget(ctx context.Context) error                    // the file, which is removed
	leaves() []string                                    // files that are not of the recording
	state(ctx context.Context) (words string, err error) // of the service
}

// A Service is the recorder as systemd or OpenRC runs it.
type Service struct {
	User      bool              // of one user, and of that user's own systemd
	Recording string            // of the machine's service; that of a user goes by its own default
	Say       func(line string) // is told what was done

	Ready func(context.Context) bool // reports whether a recorder has written a sample of its own
}

// Install writes the unit, makes what it needs, and starts it. What is there already stays, or is brought up to date. The program is copied to
// /usr/local/bin where it stands in a place that the service may not see.
func (s *Service) Install(ctx context.Context) error {
	m, err := s.possible("install")
	if err != nil {
		return err
	}
	if !s.User {
		if err := s.makeUser(ctx, m); err != nil {
			return err
		}
		if err := s.makeFolder(); err != nil {
			return err
		}
	}
	if packaged := m.packaged(); packaged != "" {
		if err := s.giveWay(ctx, m); err != nil {
			return err
		}
	} else {
		program, err := s.program()
		if err != nil {
			return err
		}
		if err := s.writeUnit(m, program); err != nil {
			return err
		}
	}
	if err := m.start(ctx); err != nil {
		return err
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
	m, err := s.possible("uninstall")
	if err != nil {
		return err
	}
	unit, packaged := m.unit(), m.packaged()
	switch is, err := isOurs(unit); {
	case errors.Is(err, fs.ErrNotExist) && packaged != "":
		if err := m.stop(ctx); err != nil {
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
		if err := m.stop(ctx); err != nil {
			return err
		}
		if err := os.Remove(unit); err != nil {
			return err
		}
		if err := m.forget(ctx); err != nil {
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
	for _, file := range append(s.files(), m.leaves()...) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	s.Say("the recording is removed: " + s.Recording)
	if err := os.Remove(filepath.Dir(s.Recording)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Say(filepath.Dir(s.Recording) + " has other files in it, and stays")
	}
	if _, err := user.Lookup(name); err == nil {
		command := "userdel"
		if _, err := exec.LookPath(command); err != nil {
			command = "deluser" // of busybox
		}
		if err := run(ctx, command, name); err != nil {
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

// State is what systemd or OpenRC says of the service, in words.
func (s *Service) State(ctx context.Context) (string, error) {
	m, err := s.manager()
	if err != nil {
		return "", err
	}
	return m.state(ctx)
}

// possible says what is missing for a change.
func (s *Service) possible(what string) (manager, error) {
	m, err := s.manager()
	if err != nil {
		return nil, err
	}
	switch root := os.Geteuid() == 0; {
	case !root && !s.User:
		return nil, fmt.Errorf("service %s changes the machine: run it as root, or with --user for a recorder of your own", what)
	case root && s.User:
		return nil, fmt.Errorf("--user is for a user's own recorder: leave it out as root")
	}
	return m, nil
}

// manager is what starts the services here: systemd (sd_booted(3)), or OpenRC.
func (s *Service) manager() (manager, error) {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return systemd{s}, nil
	}
	for _, file := range []string{"/sbin/openrc-run", "/run/openrc"} {
		if _, err := os.Stat(file); err != nil {
			return nil, errors.New("neither systemd nor OpenRC runs here: netsql record --daemon starts a recorder, " +
				"and @reboot netsql record --daemon in a crontab starts one with the machine")
		}
	}
	if s.User {
		return nil, errors.New("--user needs systemd, and OpenRC runs here: @reboot netsql record --daemon in your crontab starts a recorder of your own")
	}
	return openRC{s}, nil
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

// makeUser makes the user and group that the recorder runs as.
func (s *Service) makeUser(ctx context.Context, m manager) error {
	if _, err := user.Lookup(name); err == nil {
		return nil
	}
	if err := m.makeUser(ctx, filepath.Dir(s.Recording)); err != nil {
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

// giveWay removes a unit that Install wrote before there was the package: it would stand before that of the package.
func (s *Service) giveWay(ctx context.Context, m manager) error {
	s.Say("the service is that of the package: " + m.packaged() + ", which runs " + packagedProgram)
	unit := m.unit()
	switch is, err := isOurs(unit); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !is:
		return fmt.Errorf("%s stands before it, and was not written by netsql service install: remove it first", unit)
	}
	if err := m.stop(ctx); err != nil {
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
	text, err := s.filled(systemUnit, packagedProgram)
	return "# Of the package netsql: what you change with systemctl edit netsql stays." + strings.TrimPrefix(text, written), err
}

func isOurs(unit string) (bool, error) {
	text, err := os.ReadFile(unit)
	if _, rest, isScript := strings.Cut(string(text), "\n"); isScript && strings.HasPrefix(string(text), "#!") {
		return strings.HasPrefix(rest, written), err
	}
	return strings.HasPrefix(string(text), written), err
}

func (s *Service) writeUnit(m manager, program string) error {
	unit := m.unit()
	text, mode := m.describe()
	if is, err := isOurs(unit); err == nil && !is {
		return fmt.Errorf("%s was not written by netsql service install: remove it first", unit)
	}
	text, err := s.filled(text, program)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(unit), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(unit, []byte(text), mode); err != nil {
		return err
	}
	s.Say("the service is described in " + unit)
	return nil
}

// filled is a template with its places filled.
func (s *Service) filled(text, program string) (string, error) {
	var b strings.Builder
	err := template.Must(template.New(name).Parse(text)).Execute(&b, map[string]string{
		"Program": program, "Recording": s.Recording, "Folder": filepath.Dir(s.Recording), "Log": openRCLog,
	})
	return b.String(), err
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
		said := strings.TrimSpace(complaint.String())
		if _, after, is := strings.Cut(said, " * ERROR: "); is { // of OpenRC, behind warnings
			said = after
		}
		said, _, _ = strings.Cut(said, "\n")
		if said == "" {
			said = err.Error()
		}
		return "", fmt.Errorf("%s %s: %s", command, strings.Join(words, " "), said)
	}
	return out.String(), nil
}
