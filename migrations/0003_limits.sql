-- How much is kept, what each process moved over TCP, and roll-ups, which outlive the samples.

-- Limits of a run of the recorder; NULL: none.
ALTER TABLE run ADD COLUMN keep_s REAL;
ALTER TABLE run ADD COLUMN max_bytes INTEGER;

-- When it was first seen, of one that outlives that sample.
ALTER TABLE process ADD COLUMN since REAL;
ALTER TABLE socket ADD COLUMN since REAL;
ALTER TABLE socket_owner ADD COLUMN since REAL;
ALTER TABLE socket_count ADD COLUMN since REAL;
ALTER TABLE socket_trend ADD COLUMN since REAL;
ALTER TABLE namespace ADD COLUMN since REAL;
ALTER TABLE interface ADD COLUMN since REAL;
ALTER TABLE interface_counter ADD COLUMN since REAL;
ALTER TABLE address ADD COLUMN since REAL;
ALTER TABLE neighbor ADD COLUMN since REAL;
ALTER TABLE route ADD COLUMN since REAL;
ALTER TABLE rule ADD COLUMN since REAL;
ALTER TABLE protocol_counter ADD COLUMN since REAL;
ALTER TABLE softnet_cpu ADD COLUMN since REAL;
ALTER TABLE conntrack_table ADD COLUMN since REAL;
ALTER TABLE setting ADD COLUMN since REAL;
ALTER TABLE source ADD COLUMN since REAL;

-- Up to these numbers no span that ends with that sample or later holds a tuple.
CREATE TABLE tuple_mark (
    name                 TEXT NOT NULL,
    sample               INTEGER NOT NULL,
    upto                 INTEGER NOT NULL,
    PRIMARY KEY (name, sample)
) STRICT, WITHOUT ROWID;

-- traffic

CREATE TABLE traffic_sum (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    process              INTEGER,
    since                REAL
) STRICT;
CREATE INDEX traffic_sum_last ON traffic_sum (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE traffic_sum_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    retransmits          INTEGER,
    closed               INTEGER
) STRICT;
CREATE TABLE traffic_sum_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    retransmits          INTEGER,
    closed               INTEGER
) STRICT;

-- Roll-ups

CREATE TABLE period_1m (id INTEGER PRIMARY KEY, ts REAL NOT NULL UNIQUE, samples INTEGER NOT NULL, watched_ms INTEGER NOT NULL, covered_ms INTEGER NOT NULL) STRICT;
CREATE TABLE period_1h (id INTEGER PRIMARY KEY, ts REAL NOT NULL UNIQUE, samples INTEGER NOT NULL, watched_ms INTEGER NOT NULL, covered_ms INTEGER NOT NULL) STRICT;
CREATE TABLE period_1d (id INTEGER PRIMARY KEY, ts REAL NOT NULL UNIQUE, samples INTEGER NOT NULL, watched_ms INTEGER NOT NULL, covered_ms INTEGER NOT NULL) STRICT;

-- socket_counts

CREATE TABLE socket_count_group (
    id                   INTEGER PRIMARY KEY,
    last_1m              INTEGER NOT NULL DEFAULT 0,
    last_1h              INTEGER NOT NULL DEFAULT 0,
    last_1d              INTEGER NOT NULL DEFAULT 0,
    netns                INTEGER,
    comm                 TEXT,
    exe                  TEXT,
    proto                TEXT,
    family               INTEGER,
    state                TEXT
) STRICT;
CREATE INDEX socket_count_group_by ON socket_count_group (netns, comm, exe, proto, family, state);
CREATE TABLE socket_count_1m (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    count_avg            INTEGER,
    count_min            INTEGER,
    count_max            INTEGER
) STRICT;
CREATE TABLE socket_count_1h (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    count_avg            INTEGER,
    count_min            INTEGER,
    count_max            INTEGER
) STRICT;
CREATE TABLE socket_count_1d (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    count_avg            INTEGER,
    count_min            INTEGER,
    count_max            INTEGER
) STRICT;

-- interface_rates

CREATE TABLE interface_rate_group (
    id                   INTEGER PRIMARY KEY,
    last_1m              INTEGER NOT NULL DEFAULT 0,
    last_1h              INTEGER NOT NULL DEFAULT 0,
    last_1d              INTEGER NOT NULL DEFAULT 0,
    netns                INTEGER,
    name                 TEXT
) STRICT;
CREATE INDEX interface_rate_group_by ON interface_rate_group (netns, name);
CREATE TABLE interface_rate_1m (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    rx_bytes             INTEGER,
    rx_bytes_min         INTEGER,
    rx_bytes_max         INTEGER,
    tx_bytes             INTEGER,
    tx_bytes_min         INTEGER,
    tx_bytes_max         INTEGER,
    rx_packets           INTEGER,
    rx_packets_min       INTEGER,
    rx_packets_max       INTEGER,
    tx_packets           INTEGER,
    tx_packets_min       INTEGER,
    tx_packets_max       INTEGER,
    rx_errors            INTEGER,
    rx_errors_min        INTEGER,
    rx_errors_max        INTEGER,
    tx_errors            INTEGER,
    tx_errors_min        INTEGER,
    tx_errors_max        INTEGER,
    rx_dropped           INTEGER,
    rx_dropped_min       INTEGER,
    rx_dropped_max       INTEGER,
    tx_dropped           INTEGER,
    tx_dropped_min       INTEGER,
    tx_dropped_max       INTEGER
) STRICT;
CREATE TABLE interface_rate_1h (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    rx_bytes             INTEGER,
    rx_bytes_min         INTEGER,
    rx_bytes_max         INTEGER,
    tx_bytes             INTEGER,
    tx_bytes_min         INTEGER,
    tx_bytes_max         INTEGER,
    rx_packets           INTEGER,
    rx_packets_min       INTEGER,
    rx_packets_max       INTEGER,
    tx_packets           INTEGER,
    tx_packets_min       INTEGER,
    tx_packets_max       INTEGER,
    rx_errors            INTEGER,
    rx_errors_min        INTEGER,
    rx_errors_max        INTEGER,
    tx_errors            INTEGER,
    tx_errors_min        INTEGER,
    tx_errors_max        INTEGER,
    rx_dropped           INTEGER,
    rx_dropped_min       INTEGER,
    rx_dropped_max       INTEGER,
    tx_dropped           INTEGER,
    tx_dropped_min       INTEGER,
    tx_dropped_max       INTEGER
) STRICT;
CREATE TABLE interface_rate_1d (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    rx_bytes             INTEGER,
    rx_bytes_min         INTEGER,
    rx_bytes_max         INTEGER,
    tx_bytes             INTEGER,
    tx_bytes_min         INTEGER,
    tx_bytes_max         INTEGER,
    rx_packets           INTEGER,
    rx_packets_min       INTEGER,
    rx_packets_max       INTEGER,
    tx_packets           INTEGER,
    tx_packets_min       INTEGER,
    tx_packets_max       INTEGER,
    rx_errors            INTEGER,
    rx_errors_min        INTEGER,
    rx_errors_max        INTEGER,
    tx_errors            INTEGER,
    tx_errors_min        INTEGER,
    tx_errors_max        INTEGER,
    rx_dropped           INTEGER,
    rx_dropped_min       INTEGER,
    rx_dropped_max       INTEGER,
    tx_dropped           INTEGER,
    tx_dropped_min       INTEGER,
    tx_dropped_max       INTEGER
) STRICT;

-- traffic_rates

CREATE TABLE traffic_rate_group (
    id                   INTEGER PRIMARY KEY,
    last_1m              INTEGER NOT NULL DEFAULT 0,
    last_1h              INTEGER NOT NULL DEFAULT 0,
    last_1d              INTEGER NOT NULL DEFAULT 0,
    netns                INTEGER,
    comm                 TEXT,
    exe                  TEXT
) STRICT;
CREATE INDEX traffic_rate_group_by ON traffic_rate_group (netns, comm, exe);
CREATE TABLE traffic_rate_1m (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_sent_min       INTEGER,
    bytes_sent_max       INTEGER,
    bytes_received       INTEGER,
    bytes_received_min   INTEGER,
    bytes_received_max   INTEGER,
    retransmits          INTEGER,
    retransmits_min      INTEGER,
    retransmits_max      INTEGER,
    closed               INTEGER,
    closed_min           INTEGER,
    closed_max           INTEGER
) STRICT;
CREATE TABLE traffic_rate_1h (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_sent_min       INTEGER,
    bytes_sent_max       INTEGER,
    bytes_received       INTEGER,
    bytes_received_min   INTEGER,
    bytes_received_max   INTEGER,
    retransmits          INTEGER,
    retransmits_min      INTEGER,
    retransmits_max      INTEGER,
    closed               INTEGER,
    closed_min           INTEGER,
    closed_max           INTEGER
) STRICT;
CREATE TABLE traffic_rate_1d (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_sent_min       INTEGER,
    bytes_sent_max       INTEGER,
    bytes_received       INTEGER,
    bytes_received_min   INTEGER,
    bytes_received_max   INTEGER,
    retransmits          INTEGER,
    retransmits_min      INTEGER,
    retransmits_max      INTEGER,
    closed               INTEGER,
    closed_min           INTEGER,
    closed_max           INTEGER
) STRICT;
