package store

// FirewallText is what the rules of a table say.
type FirewallText struct {
	Text  string `col:"text,rare" doc:"The table as nft -s -t list ruleset prints it, all lines: chains, rules, and sets without their elements, but for those written in a rule; without counters. NULL where it is not known: note says why."`
	Bytes Int    `col:"bytes,rare" unit:"bytes" doc:"Length of that text, also where it is too long to be recorded; NULL where it is not known."`
	Note  string `col:"note,rare" doc:"Why there is no text, or that something in it was escaped; NULL where there is nothing to say."`
}
