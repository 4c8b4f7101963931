// Package crowd makes sockets to measure the recorder with: processes that hold TCP connections to themselves, over loopback.
//
// Gather starts them in the network namespace of the calling thread, and they end with it. They obey lines on their standard
// input: send a byte over a fifth of the connections, replace some, open and close many. Each process is this program itself,
// run again as "netsql bench-part hold PAIRS", which must call Hold.
//
// Nothing of it runs while recording.
package crowd
