// Package owners finds out which processes hold which sockets, by reading where the descriptors of every process lead.
//
// # What it does
//
// The recorder embeds a Held in each of its sockets and says which sockets have appeared and vanished. Once a sample, Look
// brings the holders of all sockets up to date and reports the processes. What is read, and in which order, see Owners: it reads
// little in a sample and still finds what changed. ListProcesses, ReadStat and the like read /proc for others too: network
// namespaces are found by them.
//
// # What it hides
//
// Threads with tables of descriptors of their own, files registered with io_uring, subflows of one MPTCP connection, descriptors
// of sockets that no dump shows (Stray), command lines that the kernel does not give, passwords in those it gives (mask), control groups, and names of users.
//
// # What it never does
//
// It asks no netlink socket: whether a socket is closed by now, the recorder tells it (Owners.Gone). It never waits for a
// process, never trusts the text of /proc (the parsers are fuzzed), and says nothing of a process it may not read but what to
// grant. Fields that are exported beside the methods are for the recorder's tests, which shorten times and budgets.
package owners
