package query

// Colour says whether results are coloured, for a terminal that can.
type Colour bool

// The colours have a meaning: what is not known is dim, what goes is red, what comes is green, what may be a sign of trouble is yellow.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// meanings are the values of columns that have one.
var meanings = map[string]map[string]string{
	"state":     {"CLOSE_WAIT": yellow, "SYN_SENT": yellow, "LAST_ACK": yellow, "FAILED": red, "INCOMPLETE": yellow},
	"operstate": {"DOWN": red, "LOWERLAYERDOWN": red, "NOTPRESENT": red, "UP": green},
	"change":    {"added": green, "removed": red, "changed": yellow},
	"event":     {"added": green, "removed": red, "changed": yellow, "up": green, "down": red, "opened": green, "began": yellow, "gone": red},
	"outcome":   {"failed": red, "incomplete": yellow, "off": dim},
	"kind":      {"crashed": red, "failed": red, "lost": red, "damaged": red, "off": dim},
}

func (c Colour) header() string {
	if !c {
		return ""
	}
	return bold
}

// of is the colour of a value; "": none.
func (c Colour) of(column string, v any) string {
	if !c {
		return ""
	}
	switch v := v.(type) {
	case nil:
		return dim
	case string:
		return meanings[column][v]
	}
	return ""
}

func painted(text, colour string) string {
	if colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[m"
}
