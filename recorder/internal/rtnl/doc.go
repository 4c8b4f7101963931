// Package rtnl asks the kernel for links, addresses, neighbours, nexthop objects, routes and rules (rtnetlink(7)) and decodes what it answers.
//
// # What it does
//
// Conn.Dump returns the messages of one dump; ParseLink, ParseAddress, ParseNeighbor, ParseNextHop, ParseRoute and ParseRule decode a message,
// of a dump or of a change. LinkNames gives the interfaces that they speak of their names, and Digest tells whether a message
// says anything new. Lookup asks which route a connection takes.
//
// # What it hides
//
// Dumps that a change interrupted are begun again. All messages of a dump stand close together in memory: a million routes would
// take half a gigabyte otherwise. It decodes by hand, because the netlink library drops what it has no field for.
//
// # What is an error
//
// What the message does not say is unknown, or what its absence means to the kernel: a route without RTA_PRIORITY has metric 0.
// What it says and cannot be read is an error of the whole message, never 0 and never left out: a number, a struct or an address
// that is too short, a text without its final zero, a network with a length and no address, bytes after the last attribute. A
// number or a struct that is longer than known is read as far as it is known, as libnl does. Missing padding after the last
// attribute is no error, nor what stands in attributes that nobody asks for, nor an address of a family that is neither IPv4 nor
// IPv6, which stays invalid.
//
// # What it never does
//
// It remembers nothing from one dump to the next, makes no rows and finds no words: those are the recorder's. It changes nothing
// in the kernel and never trusts a length; the parsers are fuzzed. A Conn belongs to the network namespace in which it is first
// used.
package rtnl
