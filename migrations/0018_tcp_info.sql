-- Who holds a TCP connection back: this end, the other, or the path. Rows from before have none of it.

ALTER TABLE socket_span ADD COLUMN busy INTEGER;
ALTER TABLE socket_open ADD COLUMN busy INTEGER;
ALTER TABLE socket_tuple ADD COLUMN sndbuf_limited_ms INTEGER;
ALTER TABLE socket_tuple ADD COLUMN notsent INTEGER;
ALTER TABLE socket_tuple ADD COLUMN min_rtt_us INTEGER;
ALTER TABLE socket_tuple ADD COLUMN lost INTEGER;
ALTER TABLE socket_tuple ADD COLUMN reordered INTEGER;
ALTER TABLE socket_tuple ADD COLUMN ssthresh INTEGER;
ALTER TABLE socket_tuple ADD COLUMN rto_ms INTEGER;
ALTER TABLE socket_tuple ADD COLUMN tries INTEGER;
ALTER TABLE socket_tuple ADD COLUMN backoff INTEGER;
ALTER TABLE socket_tuple ADD COLUMN timer_ends REAL;
ALTER TABLE socket_tuple ADD COLUMN snd_wnd INTEGER;
ALTER TABLE socket_tuple ADD COLUMN rcv_wnd INTEGER;
ALTER TABLE socket_tuple ADD COLUMN rcvbuf INTEGER;
ALTER TABLE socket_tuple ADD COLUMN sndbuf INTEGER;
ALTER TABLE socket_tuple ADD COLUMN last_sent REAL;
ALTER TABLE socket_tuple ADD COLUMN last_received REAL;
ALTER TABLE socket_tuple ADD COLUMN options TEXT;
ALTER TABLE socket_tuple ADD COLUMN tos INTEGER;
ALTER TABLE socket_tuple ADD COLUMN v6only INTEGER;
ALTER TABLE socket_tuple ADD COLUMN shutdown TEXT;
ALTER TABLE socket_tuple ADD COLUMN ulp TEXT;
ALTER TABLE socket_tuple ADD COLUMN direction TEXT;
