package recorder

import "os"

// little is few, or many with NETSQL_LONG, as .ci/run has it.
func little(few, many int) int {
	if os.Getenv("NETSQL_LONG") == "" {
		return few
	}
	return many
}
