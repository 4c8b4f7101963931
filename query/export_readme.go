package query

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"netsql/store"
)

// gapsTold is how many gaps the README of an export puts into words; gaps.csv has them all.
const gapsTold = 40

// readme explains the export to someone who has only the folder.
func (e *exporter) readme(ctx context.Context, views []store.View) (string, error) {
	var b strings.Builder
	title := "What the network looked like"
	about, host, err := e.about(ctx)
	if err != nil {
		return "", err
	}
	if host != "" {
		title = "What the network of " + host + " looked like"
	}
	fmt.Fprintf(&b, "# %s\n\nAn export of a netsql recording: one file for each table.\n\n", title)
	for _, line := range about {
		fmt.Fprintf(&b, "* %s: %s\n", line[0], line[1])
	}
	switch e.format {
	case "csv":
		b.WriteString("\nThe files are CSV (RFC 4180) in UTF-8 with the names of the columns in the first line. A value that is not known is\nempty, while a text without letters is `\"\"`. ")
		if e.safe {
			b.WriteString("A text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return has `'` before it,\nso that no spreadsheet runs it as a formula: a name of a process is whatever somebody chose. ")
		}
	default:
		b.WriteString("\nThe files are JSON, an object on each line. A value that is not known is null. ")
	}
	if e.gzip {
		b.WriteString("They are compressed: `gzip -dc sockets." + e.format + ".gz` shows one. ")
	}
	b.WriteString("Times are local with their offset from UTC, as RFC 3339 has them. All\ntables share the times of the samples, `ts`, so they can be joined on it.\n")
	if err := e.gapsSection(ctx, &b); err != nil {
		return "", err
	}
	b.WriteString("\n## Files\n")
	for i, v := range views {
		f := e.result.Files[i]
		v.Columns = slices.Clone(v.Columns)
		for i, c := range v.Columns {
			if c.Time() {
				v.Columns[i].Unit = "time" // no longer unix seconds
			}
		}
		b.WriteString("\n")
		writeMarkdown(&b, fmt.Sprintf("### %s: %s", f.Name, plural(f.Rows, "row")), v)
	}
	return b.String(), nil
}

// about are the facts of the recording and of the window, as label and text.
func (e *exporter) about(ctx context.Context) (lines [][2]string, host string, err error) {
	add := func(label, text string) { lines = append(lines, [2]string{label, text}) }
	path := e.r.Path
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	add("recording", "`"+escapeControls(path)+"`")
	var uuid string
	if err := e.r.ask(ctx, "SELECT uuid FROM main.recording", &uuid); err != nil {
		return nil, "", err
	}
	add("recording's UUID", uuid)
	rows, err := e.r.conn.QueryContext(ctx, `SELECT coalesce(host, ''), coalesce(kernel, ''), boot_id, started FROM boots
		WHERE boot IN (SELECT boot FROM samples WHERE ts BETWEEN ? AND ?) ORDER BY boot`, e.since, e.until)
	if err != nil {
		return nil, "", err
	}
	defer rows.Close()
	for rows.Next() {
		var kernel, boot string
		var started float64
		if err := rows.Scan(&host, &kernel, &boot, &started); err != nil {
			return nil, "", err
		}
		host = markdownText(escapeControls(host))
		add("host", fmt.Sprintf("%s, kernel %s, started at %s, boot id %s", host, markdownText(escapeControls(kernel)),
			localTime(unixTime(started).Truncate(time.Second)), markdownText(escapeControls(boot))))
	}
	if err := rows.Err(); err != nil {
		return nil, "", err
	}
	add("window", zoned(e.result.Since)+" to "+zoned(e.result.Until))
	add("samples", count(int64(e.result.Samples)))
	return lines, host, nil
}

// zoned is a time that means the same to a reader elsewhere.
func zoned(t time.Time) string { return localTime(t) + t.Format(" -07:00 (MST)") }

func (e *exporter) gapsSection(ctx context.Context, b *strings.Builder) error {
	const within = "FROM gaps WHERE since <= ? AND (until IS NULL OR until >= ?)"
	var n int64
	if err := e.r.conn.QueryRowContext(ctx, "SELECT count(*) "+within, e.until, e.since).Scan(&n); err != nil {
		return err
	}
	b.WriteString("\n## When nobody looked, or not at everything\n\n")
	if n == 0 {
		b.WriteString("Never in this window: every sample was taken, and every source gave all there is.\n")
		return nil
	}
	gaps, err := e.r.gaps(ctx, "SELECT since, until, source, kind, detail "+within+" ORDER BY since LIMIT ?", e.until, e.since, gapsTold)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		fmt.Fprintf(b, "* %s\n", markdownText(g.String()))
	}
	if n > int64(len(gaps)) {
		fmt.Fprintf(b, "* and %s more: see %s\n", count(n-int64(len(gaps))), e.nameOf("gaps"))
	}
	return nil
}

func plural(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return count(n) + " " + what + "s"
}
