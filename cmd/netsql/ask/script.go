package ask

import (
	"fmt"
	"strings"
)

// quoted is a text as one word of sh. Nothing means anything between single quotes.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// quotedAll are words of sh.
func quotedAll(words []string) string {
	var all []string
	for _, word := range words {
		all = append(all, quoted(word))
	}
	return strings.Join(all, " ")
}

// freshness asks how new the recording is, on the clock over there.
func freshness(mark string) string {
	return fmt.Sprintf(`SELECT (SELECT max(ts) FROM samples) AS "%s newest", (julianday('now') - 2440587.5) * 86400.0 AS now,
 (SELECT interval_s FROM runs ORDER BY run DESC LIMIT 1) AS "interval"`, mark)
}

// script is what sh does over there. A brace is read to its end before anything in it runs, so that half a script does nothing.
//
// The first attempt has flags of this version. A netsql that does not know one of them ends with exit code 2 before it has done anything, and is
// asked again as older ones want it: they would begin to record where there is no recording, which the second looks for itself, and the oldest have
// no --mode quote.
func (c Config) script(mark string) string {
	places := c.Places
	if places == nil {
		places = usualPlaces
	}
	// The settings of the netsql over there are for its own users: those that would change the form of the answer are overruled.
	flags := append([]string{"--mode", "quote", "--no-header=false", "--separator", ","}, c.Flags...)
	if c.Wait > 0 {
		flags = append(flags, "--timeout", c.Wait.String())
	}
	var recording, oldest []string
	if c.Recording != "" {
		recording = []string{"--db=" + c.Recording}
	}
	for i := 0; i+1 < len(c.Flags); i += 2 {
		if c.Flags[i] == "--at" || c.Flags[i] == "--since" || c.Flags[i] == "--until" {
			oldest = append(oldest, c.Flags[i], c.Flags[i+1])
		}
	}
	return strings.NewReplacer(
		"MARK", quoted(mark), "ZONE", quoted(c.Zone), "PLACES", `"`+strings.Join(places, ":")+`"`, "STATEMENT", quoted(c.Statement), "FRESHNESS", quoted(freshness(mark)),
		"RECORDING", quotedAll(recording), "OLDEST", quotedAll(oldest), "FLAGS", quotedAll(flags),
	).Replace(theScript)
}

const theScript = `{
m=MARK
TZ=ZONE; export TZ
say() { printf '%s %s\n' "$m" "$*"; }
begin() { say "$1"; say "$1" >&2; }
printf '\n'; printf '\n' >&2
begin start
PATH=$PATH:PLACES; export PATH
p=$(command -v netsql 2>/dev/null)
if [ -z "$p" ]; then say none; exit 0; fi
v=$("$p" version 2>/dev/null </dev/null)
say version; printf '%s\n' "$v"; say
[ -r "/usr/share/zoneinfo/$TZ" ] || [ -r "/etc/zoneinfo/$TZ" ] || say zone
q=STATEMENT
f=FRESHNESS
begin quote
printf '%s' "$q" | "$p" RECORDING --no-record FLAGS -c "$f" -f -
c=$?
if [ $c = 2 ]; then
  set -- RECORDING
  if [ $# = 0 ] && ! grep -qs -e --db /etc/netsql.conf "${NETSQL_CONFIG:-${XDG_CONFIG_HOME:-$HOME/.config}/netsql.conf}"; then
    for r in "$NETSQL_DB" "${XDG_STATE_HOME:-$HOME/.local/state}/netsql/netsql.db" /var/lib/netsql/netsql.db; do
      if [ -e "$r" ]; then set -- --db "$r"; break; fi
    done
    if [ $# = 0 ]; then say unrecorded; exit 0; fi
  fi
  begin older
  printf '%s' "$q" | "$p" "$@" FLAGS -c "$f" -f -
  c=$?
  if [ $c = 2 ]; then
    begin oldest
    printf '%s' "$q" | "$p" "$@" --mode jsonl OLDEST
    c=$?
  fi
fi
say end $c
exit 0
}
`
