package store

// A Priority is how much a notice matters, as in syslog(3).
type Priority int

const (
	PriorityErr     Priority = 3 // nothing is recorded, or it cannot be written
	PriorityWarning Priority = 4 // something is missing
	PriorityNotice  Priority = 5 // what a person should know, and what is over
	PriorityInfo    Priority = 6
)

func (p Priority) String() string {
	return map[Priority]string{PriorityErr: "error", PriorityWarning: "warning", PriorityNotice: "notice", PriorityInfo: "info"}[p]
}

// A Notice is a sentence that a person should read.
type Notice struct {
	Priority Priority
	Text     string
	About    string // what is in trouble; "": nothing that goes on
	Over     bool   // that trouble is over
}

// aboutRecording is the trouble of a file that cannot be written.
const aboutRecording = "recording"
