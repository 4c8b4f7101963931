-- Tables of the firewall: what is in each, and who changed what.

CREATE TABLE firewall_table (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    backend              TEXT,
    family               TEXT,
    table_name           TEXT,
    since                REAL
) STRICT;
CREATE INDEX firewall_table_last ON firewall_table (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE firewall_table_tuple (
    id                   INTEGER PRIMARY KEY,
    chains               INTEGER,
    rules                INTEGER,
    sets                 INTEGER,
    base_chains          TEXT,
    rules_hash           TEXT
) STRICT;
CREATE TABLE firewall_table_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE firewall_table_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE firewall_table_event (
    ts                   REAL NOT NULL,
    sample               INTEGER NOT NULL,
    change               TEXT,
    learnt               TEXT,
    was                  TEXT,
    now                  TEXT,
    firewall_table       INTEGER,
    netns                INTEGER,
    backend              TEXT,
    family               TEXT,
    table_name           TEXT,
    chains               INTEGER,
    rules                INTEGER,
    sets                 INTEGER,
    base_chains          TEXT,
    rules_hash           TEXT,
    pid                  INTEGER,
    comm                 TEXT,
    detail               TEXT,
    generation           INTEGER,
    late_ms              INTEGER,
    PRIMARY KEY (ts, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX firewall_table_event_subject ON firewall_table_event (firewall_table, sample) WHERE firewall_table IS NOT NULL;
