// Package ctnetlink asks the kernel for the flows that it tracks (conntrack, nf_conntrack_netlink), and decodes its answers by hand: a router tracks
// hundreds of thousands, and a library makes several objects of each.
package ctnetlink
