// Package rtnl asks the kernel for links, addresses, neighbours, routes and rules (rtnetlink(7)) and decodes what it answers.
//
// # What it does
//
// Conn.Dump returns the messages of one dump; ParseLink, ParseAddress, ParseNeighbor, ParseRoute and ParseRule decode a message,
// of a dump or of a change. LinkNames gives the interfaces that they speak of their names, and Digest tells whether a message
// says anything new.
//
// # What it hides
//
// Dumps that a change interrupted are begun again. All messages of a dump stand close together in memory: a million routes would
// take half a gigabyte otherwise. It decodes by hand, because the netlink library drops what it has no field for.
//
// # What it never does
//
// It remembers nothing from one dump to the next, makes no rows and finds no words: those are the recorder's. It changes nothing
// in the kernel and never trusts a length; the parsers are fuzzed. A Conn belongs to the network namespace in which it is first
// used.
package rtnl
