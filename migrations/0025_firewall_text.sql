-- What the rules of the firewall say.

CREATE TABLE firewall_rules (
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
CREATE INDEX firewall_rules_last ON firewall_rules (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE firewall_rules_tuple (
    id                   INTEGER PRIMARY KEY,
    text                 TEXT,
    bytes                INTEGER,
    note                 TEXT
) STRICT;
CREATE TABLE firewall_rules_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE firewall_rules_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
