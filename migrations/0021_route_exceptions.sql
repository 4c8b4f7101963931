-- Exceptions to routes that the kernel learnt: path MTUs and redirects.

CREATE TABLE route_exception (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    family               INTEGER,
    table_id             INTEGER,
    dst                  TEXT,
    gateway              TEXT,
    dev                  TEXT,
    since                REAL
) STRICT;
CREATE INDEX route_exception_last ON route_exception (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE route_exception_tuple (
    id                   INTEGER PRIMARY KEY,
    mtu                  INTEGER,
    locked               INTEGER
) STRICT;
CREATE TABLE route_exception_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    expires              REAL
) STRICT;
CREATE TABLE route_exception_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    expires              REAL
) STRICT;
