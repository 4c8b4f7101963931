package recorder

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"
)

const (
	// maxCalm is how long a trouble that comes and goes must have been away at most, before it is over.
	maxCalm = 24 * time.Hour
	// maxTroubles is how many troubles of one source are told apart.
	maxTroubles = 8
	// maxSentences is how many sentences a trouble has.
	maxSentences = 3
)

// notices tells each trouble once when it begins and once when it is over. It is over when it has not come back for some time: the longer, the
// more often it did.
type notices struct {
	tell     func(Notice) // nil: nobody listens
	calm     time.Duration
	troubles map[string]*trouble
}

type trouble struct {
	about       string
	said        []string // without figures
	text        string   // the first of them, as it was said
	since, last time.Time
	times       int
	lasts       bool          // until somebody says that it is over
	once        bool          // it was over when it was said
	after       Notice        // said when it is over; its zero value: text once more
	over        bool          // and said so
	calm        time.Duration // how long it must have been away
}

func newNotices(tell func(Notice), interval time.Duration) *notices {
	return &notices{tell, max(3*interval, min(12*interval, time.Minute)), map[string]*trouble{}}
}

func (n *notices) say(notice Notice) {
	if n.tell != nil {
		n.tell(notice)
	}
}

// told takes what the store has to say, at the moment when it says so.
func (n *notices) told(notice Notice) { n.take(notice, time.Now()) }

func (n *notices) take(notice Notice, now time.Time) {
	if notice.About == "" {
		n.say(notice)
		return
	}
	t := n.troubles[notice.About]
	switch {
	case !notice.Over:
		n.begin(notice.About, notice, now).lasts = true
	case t != nil && !t.over: // which is said when it has been over for long enough
		if !t.lasts {
			t.times++
		}
		t.lasts, t.last, t.after = false, now, notice
	default:
		n.begin(notice.About, notice, now).once = true
	}
}

// seen takes what is in trouble in a sample.
func (n *notices) seen(all []Notice, now time.Time) {
	for _, notice := range all {
		n.begin(withoutFigures(notice.Text), notice, now)
	}
}

// begin says that a trouble is there, unless that was said. The key tells which one it is.
func (n *notices) begin(key string, notice Notice, now time.Time) *trouble {
	t := n.troubles[key]
	if t == nil {
		if t = n.oldest(notice.About); t == nil {
			t = &trouble{about: notice.About, over: true}
			n.troubles[key] = t
		}
	}
	sentence := withoutFigures(notice.Text)
	switch {
	case t.over: // it is new, or it is back
		*t = trouble{about: t.about, said: []string{sentence}, text: notice.Text, since: now, calm: min(max(n.calm, 2*t.calm), maxCalm)}
		n.say(Notice{Priority: notice.Priority, Text: notice.Text})
	case key == t.about && len(t.said) < maxSentences && !slices.Contains(t.said, sentence):
		t.said = append(t.said, sentence)
		n.say(Notice{Priority: notice.Priority, Text: notice.Text})
	}
	if !t.lasts {
		t.times++
	}
	t.last = now
	return t
}

// oldest is a trouble of that source which stands for a new one as well, when there are many. There may be one in each sample that names another process.
func (n *notices) oldest(about string) (oldest *trouble) {
	count := 0
	for _, t := range n.troubles {
		if t.about == about {
			count++
			if oldest == nil || t.last.Before(oldest.last) {
				oldest = t
			}
		}
	}
	if count < maxTroubles {
		return nil
	}
	return oldest
}

// look says which troubles are over. It is called after each sample.
func (n *notices) look(now time.Time) {
	var over []*trouble
	for key, t := range n.troubles {
		away := now.Sub(t.last)
		switch {
		case t.lasts:
		case !t.over && away >= t.calm:
			t.over = true
			over = append(over, t)
		case t.over && away > maxCalm:
			delete(n.troubles, key)
		}
	}
	slices.SortFunc(over, func(a, b *trouble) int { return cmp.Or(a.last.Compare(b.last), cmp.Compare(a.text, b.text)) })
	for _, t := range over {
		switch after := t.after; {
		case after.Text == "" && t.once:
		case after.Text == "":
			n.say(Notice{Priority: PriorityNotice, Text: fmt.Sprintf("over: %s (in %s, the last at %s)", t.text, samplesText(t.times), t.last.Format(time.TimeOnly))})
		case t.times > 1:
			n.say(Notice{Priority: after.Priority, Text: fmt.Sprintf("%s (%d times since %s)", after.Text, t.times, t.since.Format(time.TimeOnly))})
		default:
			n.say(Notice{Priority: after.Priority, Text: after.Text})
		}
	}
}

func samplesText(n int) string {
	if n == 1 {
		return "1 sample"
	}
	return fmt.Sprintf("%d samples", n)
}

var figures = regexp.MustCompile(`[0-9]+`)

// withoutFigures is a sentence by which a trouble is known: counts and processes in it change.
func withoutFigures(sentence string) string { return figures.ReplaceAllString(sentence, "#") }
