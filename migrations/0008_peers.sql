-- Peers: who talked to whom, in each hour and each day, for years.

CREATE TABLE peer_group (
    id                   INTEGER PRIMARY KEY,
    last_1h              INTEGER NOT NULL DEFAULT 0,
    last_1d              INTEGER NOT NULL DEFAULT 0,
    remote_addr          TEXT,
    port                 INTEGER,
    direction            TEXT,
    proto                TEXT,
    family               INTEGER,
    comm                 TEXT,
    exe                  TEXT,
    user                 TEXT,
    netns                INTEGER
) STRICT;
CREATE INDEX peer_group_by ON peer_group (remote_addr, port);
CREATE TABLE peer_1h (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    carried              INTEGER,
    found                INTEGER,
    opened               INTEGER,
    failed               INTEGER,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    retransmits          INTEGER,
    first_ms             INTEGER,
    last_ms              INTEGER
) STRICT;
CREATE TABLE peer_1d (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    carried              INTEGER,
    found                INTEGER,
    opened               INTEGER,
    failed               INTEGER,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    retransmits          INTEGER,
    first_ms             INTEGER,
    last_ms              INTEGER
) STRICT;

-- How far they are summed up: samples, and days.
CREATE TABLE peer_upto (id INTEGER PRIMARY KEY CHECK (id = 1), sample INTEGER NOT NULL, day INTEGER NOT NULL) STRICT;
INSERT INTO peer_upto VALUES (1, 0, 0);

-- Of the closes that are not kept one by one, the connections that never came about.
ALTER TABLE close_count ADD COLUMN failed INTEGER;
