package store

import (
	"strings"
	"sync"
)

// Weight says how much a column tells people, from 0 to 9: where a screen has no room for all, those of the least weight
// are left out first. It goes by the name, which means the same in every table. What no table has, such as count(*), was
// asked for by itself, and has the most.
func Weight(column string) int {
	w, ok := weights()[strings.ToLower(column)]
	if !ok {
		return 9
	}
	return w
}

// told are the columns that tell more or less than most, by their weight.
var told = map[int]string{
	8: `host ts interface since began opened first_seen name comm what event change dst addr source kind state proto local_port count last_count text value action priority
		table_id entries boot run last_avg`,
	7: `pid remote_addr remote_port local_addr object until closed last_seen gateway dev now was recv_q send_q bytes_sent bytes_received rx_bytes tx_bytes per_hour
		per_day detail outcome operstate available avg_count processed dropped`,
	6: `retransmits rtt_ms drops rx_dropped tx_dropped rx_errors tx_errors oldest oldest_s duration_s goes_on netns metric prefix_len mac fds path backlog failed
		error open max_count`,
	5: `user unit container_id rx_packets tx_packets after first_count table_name src mtu description remote remote_count limit_name limit_used median_rtt_ms max_rtt_ms
		master member_state speed_mbps carrier processes own`,
	3: `driver autoneg exe cmdline family scope protocol elapsed_s exact learnt owner_how cwnd segs_out segs_in samples`,
	2: `uid type flags ifindex closed_unknown cgroup started ppid owner_candidates first nth tos watched_s first_avg hours r2 opened_after seen_by
		driver_version firmware bus rx_ring rx_ring_max tx_ring tx_ring_max channels from_zero`,
	1: `inode cookie rttvar_ms min_rtt_ms mss pmtu mark timer congestion peer_inode link_ifindex txqlen netns_cookie released machine_id boot_id recording`,
}

// weights are those of all columns that there are.
var weights = sync.OnceValue(func() map[string]int {
	all, listed := map[string]int{}, map[string]int{}
	for weight, names := range told {
		for name := range strings.FieldsSeq(names) {
			listed[name] = weight
		}
	}
	of := func(name string) int {
		if w, ok := listed[name]; ok {
			return w
		}
		return 4
	}
	for _, v := range Views() {
		for _, c := range v.Columns {
			name, less := c.Name, 0
			if base, ok := strings.CutSuffix(name, "_per_s"); ok && listed[name] == 0 {
				name = base
				for prefix, by := range map[string]int{"avg_": 0, "max_": 1, "min_": 4} { // of a roll-up
					if of, ok := strings.CutPrefix(base, prefix); ok {
						name, less = of, by
					}
				}
			}
			all[c.Name] = max(0, of(name)-less)
		}
	}
	return all
})
