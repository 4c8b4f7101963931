-- Both queues of a socket stand in one column: recv_q in the upper 32 bits, send_q in the lower ones, 4294967295 where one of
-- them is not known, NULL where neither is. Where recv_q is 0, which it nearly always is, that is send_q as it was.

ALTER TABLE socket_span RENAME TO old_socket_span;
CREATE TABLE socket_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    queues               INTEGER,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    segs_out             INTEGER,
    segs_in              INTEGER,
    rtt_us               INTEGER,
    rttvar_us            INTEGER,
    cwnd                 INTEGER
) STRICT;
-- repeat:
INSERT INTO socket_span
SELECT id, length, tuple,
       iif(coalesce(recv_q, send_q) IS NULL, NULL,
           coalesce(min(max(recv_q, 0), 4294967294), 4294967295) << 32 | coalesce(min(max(send_q, 0), 4294967294), 4294967295)),
       bytes_sent, bytes_received, segs_out, segs_in, rtt_us, rttvar_us, cwnd
  FROM old_socket_span ORDER BY id LIMIT 20000;
DELETE FROM old_socket_span WHERE id <= (SELECT max(id) FROM socket_span);
-- until nothing is left.
DROP TABLE old_socket_span;

ALTER TABLE socket_open RENAME TO old_socket_open;
CREATE TABLE socket_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    queues               INTEGER,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    segs_out             INTEGER,
    segs_in              INTEGER,
    rtt_us               INTEGER,
    rttvar_us            INTEGER,
    cwnd                 INTEGER
) STRICT;
INSERT INTO socket_open
SELECT subject, from_sample, tuple,
       iif(coalesce(recv_q, send_q) IS NULL, NULL,
           coalesce(min(max(recv_q, 0), 4294967294), 4294967295) << 32 | coalesce(min(max(send_q, 0), 4294967294), 4294967295)),
       bytes_sent, bytes_received, segs_out, segs_in, rtt_us, rttvar_us, cwnd
  FROM old_socket_open;
DROP TABLE old_socket_open;
