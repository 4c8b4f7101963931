// Package kernel is what every reader of the kernel needs: the clock that dates samples and events, and the text of the kernel
// made safe to print and to store.
//
// It knows nothing of sockets, routes or processes, and keeps no state.
package kernel
