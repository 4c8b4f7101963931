-- What tells two routes, rules or links apart; when addresses and routes end, and the nexthop objects that routes go by.

CREATE TABLE nexthop (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    nhid                 INTEGER,
    since                REAL
) STRICT;
CREATE INDEX nexthop_last ON nexthop (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE nexthop_tuple (
    id                   INTEGER PRIMARY KEY,
    type                 TEXT,
    family               INTEGER,
    gateway              TEXT,
    dev                  TEXT,
    members              TEXT,
    encap                TEXT,
    scope                TEXT,
    protocol             TEXT,
    flags                TEXT
) STRICT;
CREATE TABLE nexthop_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE nexthop_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE nexthop_event (
    ts                   REAL NOT NULL,
    sample               INTEGER NOT NULL,
    change               TEXT,
    learnt               TEXT,
    was                  TEXT,
    now                  TEXT,
    nexthop              INTEGER,
    netns                INTEGER,
    nhid                 INTEGER,
    type                 TEXT,
    family               INTEGER,
    gateway              TEXT,
    dev                  TEXT,
    members              TEXT,
    encap                TEXT,
    scope                TEXT,
    protocol             TEXT,
    flags                TEXT,
    late_ms              INTEGER,
    PRIMARY KEY (ts, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX nexthop_event_subject ON nexthop_event (nexthop, sample) WHERE nexthop IS NOT NULL;

ALTER TABLE route_tuple ADD COLUMN weight INTEGER;
ALTER TABLE route_tuple ADD COLUMN nhid INTEGER;
ALTER TABLE route_tuple ADD COLUMN encap TEXT;
ALTER TABLE route_tuple ADD COLUMN realm TEXT;
ALTER TABLE route_tuple ADD COLUMN pref TEXT;
ALTER TABLE route_tuple ADD COLUMN locked TEXT;
ALTER TABLE route_tuple ADD COLUMN advmss INTEGER;
ALTER TABLE route_tuple ADD COLUMN hoplimit INTEGER;
ALTER TABLE route_tuple ADD COLUMN initcwnd INTEGER;
ALTER TABLE route_tuple ADD COLUMN initrwnd INTEGER;
ALTER TABLE route_tuple ADD COLUMN rto_min_ms INTEGER;
ALTER TABLE route_tuple ADD COLUMN quickack INTEGER;
ALTER TABLE route_tuple ADD COLUMN congestion TEXT;
ALTER TABLE route_tuple ADD COLUMN metrics TEXT;
ALTER TABLE route_span ADD COLUMN expires REAL;
ALTER TABLE route_open ADD COLUMN expires REAL;
ALTER TABLE route_event ADD COLUMN weight INTEGER;
ALTER TABLE route_event ADD COLUMN nhid INTEGER;
ALTER TABLE route_event ADD COLUMN encap TEXT;
ALTER TABLE route_event ADD COLUMN realm TEXT;
ALTER TABLE route_event ADD COLUMN pref TEXT;
ALTER TABLE route_event ADD COLUMN locked TEXT;
ALTER TABLE route_event ADD COLUMN advmss INTEGER;
ALTER TABLE route_event ADD COLUMN hoplimit INTEGER;
ALTER TABLE route_event ADD COLUMN initcwnd INTEGER;
ALTER TABLE route_event ADD COLUMN initrwnd INTEGER;
ALTER TABLE route_event ADD COLUMN rto_min_ms INTEGER;
ALTER TABLE route_event ADD COLUMN quickack INTEGER;
ALTER TABLE route_event ADD COLUMN congestion TEXT;
ALTER TABLE route_event ADD COLUMN metrics TEXT;
ALTER TABLE route_event ADD COLUMN expires REAL;
ALTER TABLE rule_tuple ADD COLUMN tun_id INTEGER;
ALTER TABLE rule_tuple ADD COLUMN suppress_ifgroup INTEGER;
ALTER TABLE rule_tuple ADD COLUMN realms TEXT;
ALTER TABLE rule_tuple ADD COLUMN flags TEXT;
ALTER TABLE rule_tuple ADD COLUMN other TEXT;
ALTER TABLE rule_event ADD COLUMN tun_id INTEGER;
ALTER TABLE rule_event ADD COLUMN suppress_ifgroup INTEGER;
ALTER TABLE rule_event ADD COLUMN realms TEXT;
ALTER TABLE rule_event ADD COLUMN flags TEXT;
ALTER TABLE rule_event ADD COLUMN other TEXT;
ALTER TABLE interface_tuple ADD COLUMN altnames TEXT;
ALTER TABLE interface_event ADD COLUMN altnames TEXT;
ALTER TABLE address_span ADD COLUMN valid_until REAL;
ALTER TABLE address_open ADD COLUMN valid_until REAL;
ALTER TABLE address_span ADD COLUMN preferred_until REAL;
ALTER TABLE address_open ADD COLUMN preferred_until REAL;
ALTER TABLE address_event ADD COLUMN valid_until REAL;
ALTER TABLE address_event ADD COLUMN preferred_until REAL;
