// Package nftables is the wire format of nf_tables, the firewall of nft and iptables-nft: messages of nfnetlink about tables, chains,
// rules and sets. It counts what stands in each table, hashes the rules, and decodes what the kernel tells of a transaction.
//
// It never writes to the kernel, and it does not decode what a rule says.
package nftables
