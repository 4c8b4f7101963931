// Package tracepoint reads tracepoints of the kernel through perf_event_open(2): no module, no eBPF, no packet capture. The kernel writes each event
// into a ring of the CPU that it happens on, and wakes the reader when a ring is half full.
//
// It needs CAP_PERFMON (Linux 5.8) or CAP_SYS_ADMIN, and the number of each event, which stands in tracefs.
package tracepoint
