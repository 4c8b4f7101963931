-- What happens between samples, network namespaces, how an owner is known.

ALTER TABLE socket_tuple ADD COLUMN owner_how TEXT;
ALTER TABLE process_tuple ADD COLUMN netns INTEGER;
ALTER TABLE source ADD COLUMN netns INTEGER;
ALTER TABLE gap ADD COLUMN netns INTEGER;

-- A person's remark, at a time of their choice.
CREATE TABLE note (
    id                   INTEGER PRIMARY KEY,
    ts                   REAL NOT NULL,
    text                 TEXT NOT NULL,
    user                 TEXT,
    written              REAL NOT NULL
) STRICT;
CREATE INDEX note_ts ON note (ts);

-- What the kernel and the privileges of a run of the recorder allowed it to see.
CREATE TABLE capability (
    run                  INTEGER NOT NULL,
    name                 TEXT NOT NULL,
    available            INTEGER NOT NULL,
    detail               TEXT,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

-- namespaces

CREATE TABLE namespace (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    netns_cookie         INTEGER
) STRICT;
CREATE INDEX namespace_last ON namespace (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE namespace_tuple (
    id                   INTEGER PRIMARY KEY,
    name                 TEXT,
    own                  INTEGER,
    container_id         TEXT,
    unit                 TEXT,
    process              INTEGER
) STRICT;
CREATE TABLE namespace_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    processes            INTEGER
) STRICT;
CREATE TABLE namespace_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    processes            INTEGER
) STRICT;

-- The logs

CREATE TABLE close (
    ts                   REAL NOT NULL,
    sample               INTEGER NOT NULL,
    socket               INTEGER,
    netns                INTEGER,
    proto                TEXT,
    family               INTEGER,
    local_addr           TEXT,
    local_port           INTEGER,
    remote_addr          TEXT,
    remote_port          INTEGER,
    cookie               INTEGER,
    process              INTEGER,
    owner_how            TEXT,
    lived_ms             INTEGER,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    segs_out             INTEGER,
    segs_in              INTEGER,
    retransmits          INTEGER,
    rtt_us               INTEGER,
    rttvar_us            INTEGER,
    min_rtt_us           INTEGER,
    cwnd                 INTEGER,
    mss                  INTEGER,
    pmtu                 INTEGER,
    PRIMARY KEY (ts, sample)
) STRICT, WITHOUT ROWID;
CREATE TABLE close_count (
    ts                   REAL NOT NULL,
    sample               INTEGER NOT NULL,
    netns                INTEGER,
    proto                TEXT,
    family               INTEGER,
    local_addr           TEXT,
    local_port           INTEGER,
    remote_addr          TEXT,
    remote_port          INTEGER,
    process              INTEGER,
    owner_how            TEXT,
    first                REAL,
    count                INTEGER,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    segs_out             INTEGER,
    segs_in              INTEGER,
    retransmits          INTEGER,
    rtt_us               INTEGER,
    max_rtt_us           INTEGER,
    PRIMARY KEY (ts, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX close_socket ON close (socket) WHERE socket IS NOT NULL;
