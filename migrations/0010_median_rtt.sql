-- The middle one of the round-trip times of closes that are not kept one by one. Rows from before have none.

ALTER TABLE close_count ADD COLUMN median_rtt_us INTEGER;
