-- Since when a connection is in its state. Rows from before do not say.

ALTER TABLE socket_tuple ADD COLUMN state_since REAL;
