// Package store is the recording: one SQLite file that remembers from when to when each
// thing on the network was as it was.
//
// # What it does
//
// A recording is written by one Writer, a sample at a time: Begin, then every Source Puts
// what the kernel says now into its Sets, then Commit, one transaction. The tables that are
// recorded are declared in tables.go; each declaration is a struct whose tags say where a
// column is kept (identity, rare, value), its unit and its sentence. All else about a table is
// derived from that: its schema, its rows, its views and its reference.
//
// # Spans
//
// A naive recorder writes every socket in every sample. This one writes a row only when
// something changed, and keeps every look-up bounded:
//
//   - A subject is a thing with an identity. Its identity columns are written once, in a table
//     of their own (socket), with the sample that saw it first, the last that saw it, and the
//     first that saw it gone.
//   - A span says: these values held at every sample from one to another. Spans that have ended
//     stand in socket_span, whose rowid is the last sample shifted by 32 bits, plus the subject: rows
//     are only ever appended. Spans that still hold stand in socket_open. The memory has only
//     a hash of each, which tells whether anything changed.
//   - Columns that rarely change are interned together in socket_tuple. Two columns that are nearly always 0 are packed
//     into one; see half.
//   - No span is longer than K samples: a span that would be is cut and goes on as another. Subjects that share a page of
//     the file are cut at the same sample, other subjects at another, so that the work is spread. Hence all spans that hold
//     at sample m ended in [m, m+K): one short range of the rowid, whatever the age of the recording. A span that ends by
//     itself before, as most do where something moves, is never cut.
//
// So the view that a user asks is plain SQL, without any function of ours: see views.go for
// the histories, newest samples, deltas, rates and changes that are derived from the
// declarations, views/ for those written by hand, and faults/ for the rules of findings. Only the words of the glossary stand in a table of their
// own; see glossaryView.
// A history is one SELECT, no UNION ALL of the spans that have ended and those that hold, so that SQLite flattens it into a
// join, and any list of moments drives it.
//
// # Logs
//
// What happened between samples stands in logs, in the order of its exact time: each socket that was closed, each change of
// a route or a link. There may be hundreds of closes a second: what many of them have in common stands in tuples that they
// share, see tuples, and the shell reads only the closes that may be wanted, see View.OfCloses.
//
// # Copies
//
// Slice, Backup, Merge and TakeOut write files that newFile gives their name when they are whole. A merged file has the tables of each recording
// under the name of its host, and views over all; see MergedID.
//
// # What is kept
//
// Tidy, called between samples, holds the Limits in small steps: see retention. If the file is too large, the oldest
// samples are thinned: see grain. Samples are deleted, the oldest first, with all that only they showed. Roll-ups outlive
// them: see Rollup, and peers.go for the roll-ups of who talked to whom. They are worked out from what stands in the file,
// once a minute is over. So are the sums, by which leaks looks at months as fast as at hours: see Sum.
//
// # Sources, outcomes, gaps
//
// "Nothing was there" is not "nobody looked". A Source stands or falls as a whole: one that
// fails, or panics, loses its rows of that sample, its spans end, and a row of gaps says since
// when. One that is switched off has such a row too, and is no failure. Pauses of the recorder are gaps too. A commit that was canceled changes nothing: the
// memory is as it was after the last one, and the next sample goes on from there.
//
// # When the file cannot be written
//
// On a full disk, under a quota, a lock or I/O errors, the sample is written into memory instead, and counts as committed;
// see pending. Before the next sample, the samples in memory are written into the file. Then nothing is lost, and there is
// no gap. If they grow beyond Options.Hold, they are dropped: the Writer starts over where the file ends, as after a start
// (see Generation), and a gap says why.
//
// Before each sample the Writer makes sure that the path still names the files that are open. If not, it opens or makes the
// file that the path names. If that is the recording as it was left, by its uuid, run and last sample, the Writer goes on
// from memory; else it starts over in it. Options.Notice is told each trouble once when it begins and once when it is over.
//
// A recorder that is killed loses the sample under way, and the samples in memory. A power failure costs up to 30 seconds
// more, for that is how often the -wal file is synced.
//
// # What it never does
//
// It does not read the kernel and knows nothing of netlink or /proc. It writes from one goroutine only. It never edits a
// closed span, except to thin it, until it deletes it.
package store
