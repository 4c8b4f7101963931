package query

import "os"

// little is few; a third of the way to many with NETSQL_LONG=1, as .ci/run has it; many with NETSQL_LONG=2.
func little(few, many int) int {
	switch os.Getenv("NETSQL_LONG") {
	case "":
		return few
	case "1":
		return (2*few + many + 2) / 3
	}
	return many
}
