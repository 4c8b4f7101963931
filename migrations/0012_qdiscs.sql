-- Queueing disciplines: what each sent, holds back and dropped.

CREATE TABLE qdisc (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    dev                  TEXT,
    ifindex              INTEGER,
    handle               TEXT,
    parent               TEXT,
    since                REAL
) STRICT;
CREATE INDEX qdisc_last ON qdisc (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE qdisc_tuple (
    id                   INTEGER PRIMARY KEY,
    kind                 TEXT
) STRICT;
CREATE TABLE qdisc_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    bytes_sent           INTEGER,
    packets_sent         INTEGER,
    dropped              INTEGER,
    overlimits           INTEGER,
    requeues             INTEGER,
    backlog_bytes        INTEGER,
    qlen                 INTEGER
) STRICT;
CREATE TABLE qdisc_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    bytes_sent           INTEGER,
    packets_sent         INTEGER,
    dropped              INTEGER,
    overlimits           INTEGER,
    requeues             INTEGER,
    backlog_bytes        INTEGER,
    qlen                 INTEGER
) STRICT;
CREATE TABLE qdisc_rate_group (
    id                   INTEGER PRIMARY KEY,
    last_1m              INTEGER NOT NULL DEFAULT 0,
    last_1h              INTEGER NOT NULL DEFAULT 0,
    last_1d              INTEGER NOT NULL DEFAULT 0,
    netns                INTEGER,
    dev                  TEXT,
    parent               TEXT
) STRICT;
CREATE INDEX qdisc_rate_group_by ON qdisc_rate_group (netns, dev, parent);
CREATE TABLE qdisc_rate_1m (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_sent_min       INTEGER,
    bytes_sent_max       INTEGER,
    packets_sent         INTEGER,
    packets_sent_min     INTEGER,
    packets_sent_max     INTEGER,
    dropped              INTEGER,
    dropped_min          INTEGER,
    dropped_max          INTEGER
) STRICT;
CREATE TABLE qdisc_rate_1h (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_sent_min       INTEGER,
    bytes_sent_max       INTEGER,
    packets_sent         INTEGER,
    packets_sent_min     INTEGER,
    packets_sent_max     INTEGER,
    dropped              INTEGER,
    dropped_min          INTEGER,
    dropped_max          INTEGER
) STRICT;
CREATE TABLE qdisc_rate_1d (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    bytes_sent           INTEGER,
    bytes_sent_min       INTEGER,
    bytes_sent_max       INTEGER,
    packets_sent         INTEGER,
    packets_sent_min     INTEGER,
    packets_sent_max     INTEGER,
    dropped              INTEGER,
    dropped_min          INTEGER,
    dropped_max          INTEGER
) STRICT;
