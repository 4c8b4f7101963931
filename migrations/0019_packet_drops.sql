-- Why the kernel threw packets away.

CREATE TABLE packet_drop (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    reason               TEXT,
    protocol             TEXT,
    since                REAL
) STRICT;
CREATE INDEX packet_drop_last ON packet_drop (last_sample) WHERE last_sample IS NOT NULL;
CREATE INDEX packet_drop_resting ON packet_drop (last_sample) WHERE gone_sample IS NULL AND last_sample IS NOT NULL;
CREATE TABLE packet_drop_tuple (
    id                   INTEGER PRIMARY KEY,
    description          TEXT
) STRICT;
CREATE TABLE packet_drop_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    packets              INTEGER,
    estimated            INTEGER
) STRICT;
CREATE TABLE packet_drop_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    packets              INTEGER,
    estimated            INTEGER
) STRICT;
CREATE TABLE packet_drop_rate_group (
    id                   INTEGER PRIMARY KEY,
    last_1m              INTEGER NOT NULL DEFAULT 0,
    last_1h              INTEGER NOT NULL DEFAULT 0,
    last_1d              INTEGER NOT NULL DEFAULT 0,
    reason               TEXT,
    protocol             TEXT
) STRICT;
CREATE INDEX packet_drop_rate_group_by ON packet_drop_rate_group (reason, protocol);
CREATE TABLE packet_drop_rate_1m (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    packets              INTEGER,
    packets_min          INTEGER,
    packets_max          INTEGER,
    estimated            INTEGER,
    estimated_min        INTEGER,
    estimated_max        INTEGER
) STRICT;
CREATE TABLE packet_drop_rate_1h (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    packets              INTEGER,
    packets_min          INTEGER,
    packets_max          INTEGER,
    estimated            INTEGER,
    estimated_min        INTEGER,
    estimated_max        INTEGER
) STRICT;
CREATE TABLE packet_drop_rate_1d (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    packets              INTEGER,
    packets_min          INTEGER,
    packets_max          INTEGER,
    estimated            INTEGER,
    estimated_min        INTEGER,
    estimated_max        INTEGER
) STRICT;
