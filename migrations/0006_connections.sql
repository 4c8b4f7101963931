-- Connections: when they ended, where that is not when the kernel gave them up; how many processes may own them; and of how many
-- nothing is known.

ALTER TABLE socket_tuple ADD COLUMN ended REAL;
ALTER TABLE socket_tuple ADD COLUMN owner_candidates INTEGER;

ALTER TABLE close ADD COLUMN owner_candidates INTEGER;
ALTER TABLE close ADD COLUMN ended REAL;
ALTER TABLE close ADD COLUMN late_ms INTEGER;
ALTER TABLE close ADD COLUMN incomplete INTEGER;

ALTER TABLE close_count ADD COLUMN owner_candidates INTEGER;
ALTER TABLE close_count ADD COLUMN unknown INTEGER;

-- traffic

ALTER TABLE traffic_sum_span ADD COLUMN closed_unknown INTEGER;
ALTER TABLE traffic_sum_open ADD COLUMN closed_unknown INTEGER;
ALTER TABLE traffic_rate_1m ADD COLUMN closed_unknown INTEGER;
ALTER TABLE traffic_rate_1m ADD COLUMN closed_unknown_min INTEGER;
ALTER TABLE traffic_rate_1m ADD COLUMN closed_unknown_max INTEGER;
ALTER TABLE traffic_rate_1h ADD COLUMN closed_unknown INTEGER;
ALTER TABLE traffic_rate_1h ADD COLUMN closed_unknown_min INTEGER;
ALTER TABLE traffic_rate_1h ADD COLUMN closed_unknown_max INTEGER;
ALTER TABLE traffic_rate_1d ADD COLUMN closed_unknown INTEGER;
ALTER TABLE traffic_rate_1d ADD COLUMN closed_unknown_min INTEGER;
ALTER TABLE traffic_rate_1d ADD COLUMN closed_unknown_max INTEGER;

-- How late the time of an event may be, where it is not known to a millisecond.

ALTER TABLE interface_event ADD COLUMN late_ms INTEGER;
ALTER TABLE address_event ADD COLUMN late_ms INTEGER;
ALTER TABLE neighbor_event ADD COLUMN late_ms INTEGER;
ALTER TABLE route_event ADD COLUMN late_ms INTEGER;
ALTER TABLE rule_event ADD COLUMN late_ms INTEGER;

-- Processes, and what is counted for each of them: one that holds no socket for a while is still there, and goes on as the same row. These
-- indexes find what may come back, every row of one process, and the processes that ended in a time.

CREATE INDEX process_resting ON process (last_sample) WHERE gone_sample IS NULL AND last_sample IS NOT NULL;
CREATE INDEX socket_count_resting ON socket_count (last_sample) WHERE gone_sample IS NULL AND last_sample IS NOT NULL;
CREATE INDEX socket_trend_resting ON socket_trend (last_sample) WHERE gone_sample IS NULL AND last_sample IS NOT NULL;
CREATE INDEX traffic_sum_resting ON traffic_sum (last_sample) WHERE gone_sample IS NULL AND last_sample IS NOT NULL;
CREATE INDEX process_life ON process (pid, started);
CREATE INDEX process_gone ON process (gone_sample) WHERE gone_sample IS NOT NULL;
