package store

// FirewallID names a table of a firewall.
type FirewallID struct {
	NetNS   Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Backend string `col:"backend" doc:"nf_tables, which nft and iptables-nft write; or legacy, what iptables-legacy writes: only that there is such a table is known."`
	Family  string `col:"family" doc:"Family of the table: ip, ip6, inet, arp, bridge or netdev."`
	Table   string `col:"table_name" doc:"Its name: filter, say."`
}

// Firewall is what stands in a table of a firewall. What a transaction left that another followed before it was read is unknown.
type Firewall struct {
	Chains     Int    `col:"chains,rare" doc:"Number of chains in the table."`
	Rules      Int    `col:"rules,rare" doc:"Number of rules in the table."`
	Sets       Int    `col:"sets,rare" doc:"Number of sets and maps in the table, with those that a rule has of its own."`
	BaseChains string `col:"base_chains,rare" doc:"Chains through which packets come into the table, with hook, priority and policy: input filter hook input priority 0 policy drop."`
	Hash       string `col:"rules_hash,rare" doc:"Hash of the rules with their order in each chain and the elements of sets written in a rule ({ 22, 80 }), and without handles, counters and the elements of named sets, which programs fill all the time; two tables with the same rules have the same."`
}

// An Actor says who made a change, where the kernel tells it with the change.
type Actor struct {
	PID        Int    `col:"pid,rare" doc:"Process that made the change, as the kernel said it; NULL where it is not known."`
	Comm       string `col:"comm,rare" doc:"Name of that process."`
	Detail     string `col:"detail,rare" doc:"What was added and removed, and where: 1 rule added in input, 2 elements removed from blocked."`
	Generation Int    `col:"generation,rare" doc:"Generation of the rule set that the change led to, as nft monitor shows it."`
}
