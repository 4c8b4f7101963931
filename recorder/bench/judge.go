package bench

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	storebench "netsql/store/bench"
)

// The sections of a report.
const (
	sectionSample  = "CPU a sample takes, everything included; and of one core, with one every 10 s"
	sectionMemory  = "Resident memory"
	sectionWritten = "What a sample writes"
	sectionKept    = "What is kept"
	sectionReplay  = "CPU that netsql takes to print as another tool, of a past moment"
)

const (
	ms = "ms"
	mb = "MB"
)

// judge makes the lines from what was measured.
func (r *Report) judge() {
	for _, l := range r.Loads {
		r.judgeSample(l)
	}
	r.judgeGrowth()
	for _, l := range r.Loads {
		r.judgeMemory(l)
	}
	for _, l := range r.Loads {
		r.judgeWritten(l)
	}
	for _, l := range r.Loads {
		r.judgeReplays(l)
	}
	if r.Recording != nil {
		r.judgeRecording(r.Recording)
	}
}

func (r *Report) add(l Line) {
	if l.Theirs > 0 {
		l.Ratio = l.Figure / l.Theirs
	}
	if l.Target > 0 {
		reached := l.Figure <= l.Target
		l.Reached = &reached
	}
	r.Lines = append(r.Lines, l)
}

// cpuTarget is how many milliseconds a sample may take: of a core with a sample every ten seconds, 0.1 % with 1,000 sockets,
// and with 20,000 0.5 %, or 1 % if a fifth of them moves.
func cpuTarget(l Load) float64 {
	switch {
	case l.Load == loadChurn:
		return 0
	case l.Sockets == 1000:
		return 10
	case l.Sockets == 20_000 && l.Load == loadIdle:
		return 50
	case l.Sockets == 20_000:
		return 100
	}
	return 0
}

// What a crowd does.
const (
	loadIdle  = "idle"
	loadFifth = "fifth"
	loadChurn = "churn"
)

func (l Load) words() string {
	switch l.Load {
	case loadFifth:
		return thousands(l.Sockets) + " sockets, a fifth active"
	case loadChurn:
		return fmt.Sprintf("%s sockets, %s new/s", thousands(l.Sockets), thousands(int(math.Round(l.Rate))))
	}
	return thousands(l.Sockets) + " sockets, idle"
}

func (r *Report) judgeSample(l Load) {
	line := Line{Section: sectionSample, What: l.words(), Figure: l.CPUms, Unit: ms, Note: fmt.Sprintf("%.2g %%", l.Percent), Target: cpuTarget(l)}
	for i, p := range l.Peers {
		if i > 0 {
			line.Target = 0
		}
		line.Peer, line.Theirs = p.Name, p.CPUms
		r.add(line)
		if p.Missing != "" {
			r.LeftOut = append(r.LeftOut, fmt.Sprintf("%s with %s: %s", p.Name, l.words(), p.Missing))
		}
	}
	if len(l.Peers) == 0 {
		r.add(line)
	}
}

// judgeGrowth compares each load with the same of fewer sockets.
func (r *Report) judgeGrowth() {
	last := map[string]Load{}
	for _, l := range r.Loads {
		before, ok := last[l.Load]
		if last[l.Load] = l; !ok || l.Load == loadChurn || before.Sockets >= l.Sockets {
			continue
		}
		times := float64(l.Sockets) / float64(before.Sockets)
		r.add(Line{
			Section: sectionSample, What: fmt.Sprintf("%g times the sockets, %s", times, strings.TrimPrefix(l.words(), thousands(l.Sockets)+" sockets, ")),
			Figure: l.CPUms / before.CPUms, Unit: "x", Target: times,
		})
	}
}

func (r *Report) judgeMemory(l Load) {
	line := Line{Section: sectionMemory, What: l.words(), Figure: l.RSS / 1e6, Unit: mb, Note: fmt.Sprintf("peak %.1f", l.Peak/1e6)}
	switch {
	case l.Load == loadChurn:
	case l.Sockets == 1000:
		line.Target = 25
	case l.Sockets == 20_000:
		line.Target = 40
	}
	for _, p := range l.Peers {
		if p.RSS > 0 && l.Load == loadIdle {
			line.Peer, line.Theirs = p.Name, p.RSS/1e6
			r.add(line)
			line.Target = 0
		}
	}
	if line.Peer == "" {
		r.add(line)
	}
}

func (r *Report) judgeWritten(l Load) {
	line := Line{Section: sectionWritten, What: l.words(), Figure: l.Written / 1e3, Unit: "kB", Note: fmt.Sprintf("kept %.1f", l.Kept/1e3)}
	for _, p := range l.Peers {
		if p.Written > 0 {
			line.Peer, line.Theirs = p.Name, p.Written/1e3
			r.add(line)
		}
	}
	if line.Peer == "" {
		r.add(line)
	}
}

func (r *Report) judgeReplays(l Load) {
	for _, p := range l.Replays {
		if missing := cmp.Or(p.Missing, p.Real.Missing); missing != "" {
			r.LeftOut = append(r.LeftOut, fmt.Sprintf("%s with %s: %s", p.Name, l.words(), missing))
			continue
		}
		line := Line{Section: sectionReplay, What: p.Name + ", " + thousands(l.Sockets) + " sockets", Figure: p.CPUms, Unit: ms, Peer: p.Real.Name, Theirs: p.Real.CPUms}
		if l.Sockets >= 20_000 { // of fewer, most is to open the recording
			line.Target = p.Target * p.Real.CPUms
		}
		r.add(line)
	}
}

func (r *Report) judgeRecording(b *storebench.Result) {
	days := float64(b.Samples) * targetInterval.Hours() / 24
	section := fmt.Sprintf("What asking %.3g days of %s sockets takes: the worst of %d moments", days, thousands(b.Sockets), moments)
	const plain = "naive"
	perDay := func(bytes int64, samples int) float64 {
		return float64(bytes) / float64(samples) * 24 * float64(time.Hour/targetInterval) / 1e6
	}
	target := 8.0
	if days < 1 {
		target = 0 // what a file takes at all counts by the hour
	}
	r.add(Line{Section: sectionKept, What: "an observation of a socket", Figure: b.PerObservation(), Unit: "bytes", Peer: plain, Theirs: b.NaivePerObservation(), Target: target})
	r.add(Line{
		Section: sectionKept, What: "a day of " + thousands(b.Sockets) + " sockets", Figure: perDay(b.SocketBytes, b.Samples), Unit: mb,
		Peer: plain, Theirs: perDay(b.NaiveBytes, b.NaiveSamples), Target: float64(b.Sockets) * target * 24 * float64(time.Hour/targetInterval) / 1e6,
	})
	r.add(Line{Section: sectionKept, What: "a day, with 300 groups counted", Figure: perDay(b.Bytes, b.Samples), Unit: mb})
	r.add(Line{Section: sectionKept, What: "writing a sample", Figure: milliseconds(b.Write), Unit: ms, Peer: plain, Theirs: milliseconds(b.NaiveWrite)})
	for _, a := range b.Asked {
		target := map[string]float64{"all sockets at T": 20, "who held a port at T": 10}[a.Question]
		if a.Recorded > 0 {
			target = 200
		}
		line := Line{
			Section: section, What: a.Question, Figure: milliseconds(a.Worst), Unit: ms,
			Note: "median " + threeDigits(milliseconds(a.Median)), Peer: plain, Theirs: milliseconds(a.NaiveMedian), Target: target,
		}
		if a.NaivePart > 0 && a.NaivePart < 1 {
			line.Peer = fmt.Sprintf("1/%.0f of naive", 1/a.NaivePart)
		}
		r.add(line)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// thousands writes 20000 as 20,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// Write writes the report for people, no wider than 110 columns.
func (r *Report) Write(w io.Writer) error {
	const row = "  %-36s %13s  %-13s %-13s %8s %7s  %s"
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Machine)
	section, what := "", ""
	for _, l := range r.Lines {
		if l.Section != section {
			section, what = l.Section, ""
			fmt.Fprintf(&b, "\n%s\n", section)
			fmt.Fprintf(&b, row+"\n", "", "netsql", "", "beside", "", "ratio", "target")
		}
		name, figure, note := l.What, threeDigits(l.Figure)+" "+l.Unit, l.Note
		if name == what {
			name, figure, note = "", "", ""
		}
		what = l.What
		theirs, ratio, target := "", "", ""
		if l.Theirs > 0 {
			theirs, ratio = threeDigits(l.Theirs), threeDigits(l.Ratio)
		}
		if l.Reached != nil {
			target = threeDigits(l.Target) + " " + map[bool]string{true: "reached", false: "missed"}[*l.Reached]
		}
		fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf(row, name, figure, note, l.Peer, theirs, ratio, target), " "))
	}
	b.WriteString("\n" + strings.Join(r.notes(), "\n") + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// notes say what the lines cannot.
func (r *Report) notes() []string {
	notes := []string{
		"ss is ss -tanpieom, netstat is netstat -tanp, each to /dev/null; atop is atop -w and sadc is sadc -S ALL, each with a",
		"sample a second, of processes and of the machine. A bare dump asks the kernel for all TCP sockets and throws the answer",
		"away. naive is a row of text for each socket and sample in SQLite.",
	}
	if len(r.Loads) > 0 && r.IntervalS != targetInterval.Seconds() {
		notes = append(notes, fmt.Sprintf("Sampled every %gs: what is done once in so many seconds counts for too little in a sample.", r.IntervalS))
	}
	for _, reason := range r.LeftOut {
		notes = append(notes, "Left out: "+reason)
	}
	return notes
}

// threeDigits has three digits that matter.
func threeDigits(n float64) string {
	switch a := math.Abs(n); {
	case a >= 100:
		return fmt.Sprintf("%.0f", n)
	case a >= 10:
		return fmt.Sprintf("%.1f", n)
	case a >= 1:
		return fmt.Sprintf("%.2f", n)
	}
	return fmt.Sprintf("%.3f", n)
}
