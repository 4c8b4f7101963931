// Package sockdiag asks the kernel for sockets (sock_diag(7)) and decodes what it answers.
//
// # What it does
//
// A Conn sends a request, such as TCPRequest, and hands over each message of the answer. DecodeInet, DecodeUnix, DecodeNetlink and
// so on make a Record of a message: what the kernel says of one socket, as plain numbers, with Has for the fields that it gave.
// Where a kernel has no dump of raw, packet or netlink sockets, ParseProcRaw and the like read /proc/net.
//
// # What it hides
//
// The attributes and sizes of every kernel since Linux 3.10: older ones send a shorter tcp_info and fewer attributes. One buffer
// serves a whole dump. The FIN of the other end, which the kernel counts as a byte received, is left out.
//
// # What it never does
//
// It remembers nothing from one dump to the next, writes nothing, and knows neither processes nor the recording. It never trusts
// a length: the decoders are fuzzed. It does not enter a network namespace: a Conn belongs to the one in which it is first used.
package sockdiag
