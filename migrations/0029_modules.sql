-- Kernel modules that are loaded.

CREATE TABLE module (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    name                 TEXT,
    since                REAL
) STRICT;
CREATE INDEX module_last ON module (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE module_tuple (
    id                   INTEGER PRIMARY KEY,
    state                TEXT,
    size                 INTEGER,
    taints               TEXT
) STRICT;
CREATE TABLE module_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE module_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
