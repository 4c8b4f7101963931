-- What a process, and a program, moved over TCP, by user and interface. Rows from before do not tell these apart: NULL.

ALTER TABLE traffic_sum ADD COLUMN uid INTEGER;
ALTER TABLE traffic_sum ADD COLUMN user TEXT;
ALTER TABLE traffic_sum ADD COLUMN interface TEXT;
ALTER TABLE traffic_rate_group ADD COLUMN uid INTEGER;
ALTER TABLE traffic_rate_group ADD COLUMN user TEXT;
ALTER TABLE traffic_rate_group ADD COLUMN interface TEXT;
