-- Thinning: where room is wanting, one sample in a minute is kept, later one in an hour. The others stand here still, for their time, but show nothing.

-- How many samples before it the last one is that is kept; NULL: 1. 0: it is not kept itself.
ALTER TABLE sample ADD COLUMN back INTEGER;

-- Closes that are not kept one by one.

ALTER TABLE close_count ADD COLUMN least_rtt_us INTEGER;
