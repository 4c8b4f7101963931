package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"netsql/query"
)

// A supervisor is told how the recorder is: systemd, or another that listens at $NOTIFY_SOCKET (sd_notify(3)), and the process that put the
// recorder into the background, which waits for the first sample. Where there is none, nobody is.
type supervisor struct {
	path       string
	aliveEvery time.Duration // 0: it does not ask for that
	messages   chan string
	told       chan struct{} // closed when all were sent
	starter    *os.File      // that process, until it was told
}

// supervisorOf is the supervisor of this process, which records into path. It is told from a goroutine: one that does not listen must not hold up
// the recorder.
func supervisorOf(path string) *supervisor {
	s := &supervisor{path: path, messages: make(chan string, 16), told: make(chan struct{})}
	if within, err := daemon.SdWatchdogEnabled(false); err == nil {
		s.aliveEvery = within / 3
	}
	if fd, err := strconv.Atoi(os.Getenv(readyFD)); err == nil {
		s.starter = os.NewFile(uintptr(fd), "ready")
	}
	go func() {
		defer close(s.told)
		for state := range s.messages {
			if strings.HasPrefix(state, daemon.SdNotifyReady) {
				s.tellStarter(ready)
			}
			daemon.SdNotify(false, state) // that nobody receives it is no trouble of the recording
		}
	}()
	return s
}

// tell sends a message, unless many wait already.
func (s *supervisor) tell(state string) {
	select {
	case s.messages <- state:
	default:
	}
}

// sampled is called after each sample that was written. From the first one on the recorder is ready.
func (s *supervisor) sampled() {
	s.tell(fmt.Sprintf("%s\nSTATUS=recording into %s, last at %s", daemon.SdNotifyReady, query.Safe(s.path), time.Now().Format("15:04:05")))
}

// notice is called with what a person should know.
func (s *supervisor) notice(sentence string) {
	s.tell("STATUS=" + query.Safe(sentence))
}

func (s *supervisor) alive() { s.tell(daemon.SdNotifyWatchdog) }

// tellStarter says one thing, and no more.
func (s *supervisor) tellStarter(what string) {
	if s.starter != nil {
		s.starter.WriteString(what) // that it is gone is no trouble of the recording
		s.starter.Close()
		s.starter = nil
	}
}

// stopping is the last word. err is why the recorder ends, if not because it was told to.
func (s *supervisor) stopping(err error) {
	s.tell(daemon.SdNotifyStopping)
	close(s.messages)
	select {
	case <-s.told:
	case <-time.After(time.Second):
		return
	}
	if err != nil {
		s.tellStarter(err.Error())
	}
}
