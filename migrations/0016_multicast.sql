-- Multicast groups that the interfaces have joined.

CREATE TABLE multicast_group (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    dev                  TEXT,
    ifindex              INTEGER,
    family               INTEGER,
    addr                 TEXT,
    since                REAL
) STRICT;
CREATE INDEX multicast_group_last ON multicast_group (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE multicast_group_tuple (
    id                   INTEGER PRIMARY KEY,
    users                INTEGER
) STRICT;
CREATE TABLE multicast_group_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE multicast_group_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
