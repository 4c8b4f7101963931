-- Flows of connection tracking, with NAT both ways (netsql record --conntrack).

CREATE TABLE conntrack_flow (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    proto                TEXT,
    family               INTEGER,
    src_addr             TEXT,
    src_port             INTEGER,
    dst_addr             TEXT,
    dst_port             INTEGER,
    reply_src_addr       TEXT,
    reply_src_port       INTEGER,
    reply_dst_addr       TEXT,
    reply_dst_port       INTEGER,
    icmp_id              INTEGER,
    zone                 INTEGER,
    ct_id                INTEGER,
    since                REAL
) STRICT;
CREATE INDEX conntrack_flow_last ON conntrack_flow (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE conntrack_flow_tuple (
    id                   INTEGER PRIMARY KEY,
    nat                  TEXT,
    state                TEXT,
    replied              INTEGER,
    assured              INTEGER,
    offloaded            INTEGER,
    mark                 INTEGER
) STRICT;
CREATE TABLE conntrack_flow_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    packets_sent         INTEGER,
    packets_received     INTEGER
) STRICT;
CREATE TABLE conntrack_flow_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    packets_sent         INTEGER,
    packets_received     INTEGER
) STRICT;
