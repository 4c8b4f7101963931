-- How a connection ended, how long it lived, and how long it took to connect, from tracepoints of the kernel. Rows from before have none of it.

ALTER TABLE close ADD COLUMN outcome TEXT;
ALTER TABLE close ADD COLUMN lived_us INTEGER;
ALTER TABLE close ADD COLUMN connect_us INTEGER;
ALTER TABLE close_tuple ADD COLUMN outcome TEXT;
