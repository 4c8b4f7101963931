package store

// coreViews are the views of what the recorder says about itself and its time.
func coreViews() []View {
	text := func(name, unit, doc string) Column { return Column{Name: name, Unit: unit, Doc: doc, Role: Value} }
	moment := func(name, doc string) Column {
		return Column{Name: name, Unit: "unix s", Doc: doc, Role: Value, kind: kindTime}
	}
	return []View{
		{
			Name: "samples",
			Doc:  "Every sample that is kept, and what taking it cost.",
			Columns: []Column{
				tsColumn,
				text("sample", "", "Number of the sample."),
				text("run", "", "Number of the recorder's run; see runs."),
				text("boot", "", "Number of the boot; see boots."),
				text("uptime_s", "s", "Time since boot, suspension included."),
				moment("wall", "What the wall clock said, when it was behind ts because it had been set back; else NULL."),
				text("duration_ms", "ms", "How long reading the kernel took."),
				text("cpu_s", "s", "CPU time that the recorder had used by then."),
				text("rss_bytes", "bytes", "Resident memory of the recorder."),
				text("why", "", "What made the recorder take it: interval (it was due), change (the kernel told of one), symptom (it looks each second for a minute, because it saw one), last (it was about to stop); NULL before format 27."),
			},
			Body: `SELECT m.ts AS ts, m.id AS sample, m.run AS run, u.boot AS boot, m.uptime_s AS uptime_s, m.wall AS wall,
       m.duration_ms AS duration_ms, m.cpu_s AS cpu_s, m.rss_bytes AS rss_bytes, m.why AS why
  FROM sample m LEFT JOIN run u ON u.id = m.run
 WHERE m.back IS NOT 0`,
		},
		{
			Name: "boots",
			Doc:  "Every boot of the machine that the recording has seen.",
			Columns: []Column{
				text("boot", "", "Number of the boot in this recording."),
				text("boot_id", "", "The kernel's boot id (/proc/sys/kernel/random/boot_id)."),
				moment("started", "When the machine was started."),
				text("host", "", "Host name."),
				text("machine_id", "", "Machine id (machine-id(5))."),
				text("kernel", "", "Kernel release, as uname -r prints it."),
				text("recording", "", "UUID of this recording."),
			},
			Body: `SELECT b.id AS boot, b.boot_id AS boot_id, b.started AS started, b.host AS host, b.machine_id AS machine_id, b.kernel AS kernel,
       (SELECT uuid FROM recording) AS recording
  FROM boot b`,
		},
		{
			Name: "runs",
			Doc:  "Every run of the recorder.",
			Columns: []Column{
				text("run", "", "Number of the run."),
				text("boot", "", "Number of the boot; see boots."),
				moment("started", "When the recorder was started."),
				moment("stopped", "When it was stopped; NULL while it runs, or when it was killed."),
				text("pid", "", "Its process id."),
				text("version", "", "Version of netsql."),
				text("interval_s", "s", "Time between samples."),
				text("uid", "", "User id it ran as."),
				text("keep_s", "s", "How long it kept samples; NULL: for ever."),
				text("max_bytes", "bytes", "How large it let the recording grow; NULL: without limit."),
			},
			Body: `SELECT id AS run, boot, started, stopped, pid, version, interval_s, uid, keep_s, max_bytes FROM run`,
		},
		{
			Name: "capabilities",
			Doc:  "What the kernel and the privileges of each run of the recorder allowed it to see.",
			Columns: []Column{
				text("run", "", "Number of the run; see runs."),
				text("boot", "", "Number of the boot; see boots."),
				text("name", "", "What it is about: destroy groups, cookies, raw diagnostics and so on."),
				text("available", "", "1 where it is there, 0 where it is missing."),
				text("detail", "", "What it gives; where it is missing, what is lost and what to do."),
			},
			Body: `SELECT c.run, u.boot, c.name, c.available, c.detail FROM capability c LEFT JOIN run u ON u.id = c.run`,
		},
		{
			Name: "notes",
			Doc:  "What people wrote into the recording with netsql note.",
			Columns: []Column{
				moment("ts", "The moment it is about."),
				text("text", "", "What they wrote."),
				text("user", "", "Who wrote it."),
				moment("written", "When it was written."),
			},
			Body: `SELECT ts, text, user, written FROM note`,
		},
		{
			Name: "gaps",
			Doc:  "When nobody looked, or not at everything, and what is not kept any more: pauses, crashes, failed sources, sources that are switched off, missing privileges, thinning.",
			Columns: []Column{
				moment("since", "Last good sample before."),
				moment("until", "First good sample after; NULL while it goes on."),
				text("source", "", "Source that is missing; samples where they were taken and are not kept any more; NULL when nothing was recorded at all."),
				text("kind", "", "stopped, crashed, reboot, suspended, late, unwritten, clock, failed, incomplete, off (a source is switched off), lost, thinned or damaged (see netsql recover)."),
				text("detail", "", "What happened, and what to do."),
				text("netns", "", "Network namespace of the source; NULL for what is of the whole machine."),
			},
			Body: `SELECT since, until, source, kind, detail, netns FROM gap`,
		},
		{
			Name: "gap_spans",
			Doc:  "When did nobody look, or not at everything, in the window? The rows of gaps, as the other intervals are named.",
			Columns: []Column{
				{Name: "ts", Unit: "unix s", kind: kindTime, Doc: "Last good sample before."},
				moment("until", "First good sample after; NULL while it goes on."),
				text("source", "", "Source that is missing; samples where they were taken and are not kept any more; NULL when nothing was recorded at all."),
				text("kind", "", "Kind of the gap, see gaps."),
				text("detail", "", "What happened, and what to do."),
				text("netns", "", "Network namespace of the source; NULL for what is of the whole machine."),
			},
			Body: `SELECT g.since AS ts, g.until AS until, source, kind, detail, netns FROM "window" w CROSS JOIN gap g ON g.since <= w.until AND coalesce(g.until, 1e12) >= w.since`,
		},
	}
}
