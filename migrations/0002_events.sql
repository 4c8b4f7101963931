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

-- What the kernel told between samples. A row with a subject is the last of it before the sample: it stands for what the spans show.

CREATE TABLE interface_event (
    ts                   REAL NOT NULL,
    sample               INTEGER NOT NULL,
    change               TEXT,
    learnt               TEXT,
    was                  TEXT,
    now                  TEXT,
    interface            INTEGER,
    netns                INTEGER,
    ifindex              INTEGER,
    name                 TEXT,
    type                 TEXT,
    mac                  TEXT,
    mtu                  INTEGER,
    operstate            TEXT,
    carrier              INTEGER,
    flags                TEXT,
    speed_mbps           INTEGER,
    duplex               TEXT,
    master               TEXT,
    qdisc                TEXT,
    txqlen               INTEGER,
    alias                TEXT,
    link_ifindex         INTEGER,
    promiscuity          INTEGER,
    carrier_changes      INTEGER,
    PRIMARY KEY (ts, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX interface_event_subject ON interface_event (interface, sample) WHERE interface IS NOT NULL;
CREATE TABLE address_event (
    ts                   REAL NOT NULL,
    sample               INTEGER NOT NULL,
    change               TEXT,
    learnt               TEXT,
    was                  TEXT,
    now                  TEXT,
    address              INTEGER,
    netns                INTEGER,
    dev                  TEXT,
    ifindex              INTEGER,
    family               INTEGER,
    addr                 TEXT,
    prefix_len           INTEGER,
    peer                 TEXT,
    scope                TEXT,
    flags                TEXT,
    label                TEXT,
    broadcast            TEXT,
    PRIMARY KEY (ts, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX address_event_subject ON address_event (address, sample) WHERE address IS NOT NULL;
CREATE TABLE neighbor_event (
    ts                   REAL NOT NULL,
    sample               INTEGER NOT NULL,
    change               TEXT,
    learnt               TEXT,
    was                  TEXT,
    now                  TEXT,
    neighbor             INTEGER,
    netns                INTEGER,
    dev                  TEXT,
    ifindex              INTEGER,
    family               INTEGER,
    addr                 TEXT,
    proxy                INTEGER,
    mac                  TEXT,
    state                TEXT,
    flags                TEXT,
    PRIMARY KEY (ts, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX neighbor_event_subject ON neighbor_event (neighbor, sample) WHERE neighbor IS NOT NULL;
CREATE TABLE route_event (
    ts                   REAL NOT NULL,
    sample               INTEGER NOT NULL,
    change               TEXT,
    learnt               TEXT,
    was                  TEXT,
    now                  TEXT,
    route                INTEGER,
    netns                INTEGER,
    family               INTEGER,
    table_id             INTEGER,
    dst                  TEXT,
    src_net              TEXT,
    tos                  INTEGER,
    metric               INTEGER,
    dev                  TEXT,
    nth                  INTEGER,
    table_name           TEXT,
    gateway              TEXT,
    src                  TEXT,
    protocol             TEXT,
    scope                TEXT,
    type                 TEXT,
    flags                TEXT,
    mtu                  INTEGER,
    window               INTEGER,
    irtt_ms              INTEGER,
    nexthops             TEXT,
    PRIMARY KEY (ts, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX route_event_subject ON route_event (route, sample) WHERE route IS NOT NULL;
CREATE TABLE rule_event (
    ts                   REAL NOT NULL,
    sample               INTEGER NOT NULL,
    change               TEXT,
    learnt               TEXT,
    was                  TEXT,
    now                  TEXT,
    rule                 INTEGER,
    netns                INTEGER,
    family               INTEGER,
    priority             INTEGER,
    nth                  INTEGER,
    src                  TEXT,
    dst                  TEXT,
    iif                  TEXT,
    oif                  TEXT,
    fwmark               TEXT,
    tos                  INTEGER,
    ipproto              INTEGER,
    sport                TEXT,
    dport                TEXT,
    uid_range            TEXT,
    action               TEXT,
    table_id             INTEGER,
    table_name           TEXT,
    goto_priority        INTEGER,
    invert               INTEGER,
    suppress_prefix_len  INTEGER,
    protocol             TEXT,
    PRIMARY KEY (ts, sample)
) STRICT, WITHOUT ROWID;
CREATE INDEX rule_event_subject ON rule_event (rule, sample) WHERE rule IS NOT NULL;
