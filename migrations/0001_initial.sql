-- The schema of a recording. The tables of spans are what store's catalogue declares:
-- for each table its subjects, its interned tuples, its closed spans and its open ones.

CREATE TABLE recording (
    id                   INTEGER PRIMARY KEY CHECK (id = 1),
    uuid                 TEXT NOT NULL,
    created              REAL NOT NULL,
    views                TEXT             -- which views the file holds
) STRICT;

-- One run of the kernel.
CREATE TABLE boot (
    id                   INTEGER PRIMARY KEY,
    boot_id              TEXT NOT NULL UNIQUE,
    host                 TEXT,
    machine_id           TEXT,
    kernel               TEXT,
    started              REAL
) STRICT;

-- One run of the recorder. It was closed as it should when stopped is set.
CREATE TABLE run (
    id                   INTEGER PRIMARY KEY,
    boot                 INTEGER NOT NULL,
    started              REAL NOT NULL,
    stopped              REAL,
    pid                  INTEGER NOT NULL,
    version              TEXT,
    interval_s           REAL NOT NULL,
    uid                  INTEGER
) STRICT;

CREATE TABLE sample (
    id                   INTEGER PRIMARY KEY,
    ts                   REAL NOT NULL UNIQUE,
    run                  INTEGER NOT NULL,
    uptime_s             REAL NOT NULL,
    wall                 REAL,            -- only when the wall clock was behind ts
    duration_ms          REAL,
    cpu_s                REAL,
    rss_bytes            INTEGER
) STRICT;

CREATE TABLE gap (
    id                   INTEGER PRIMARY KEY,
    since                REAL NOT NULL,
    until                REAL,            -- NULL while it goes on
    source               TEXT,            -- NULL: nobody looked at anything
    kind                 TEXT NOT NULL,
    detail               TEXT
) STRICT;

-- Recorded tables

-- processes

CREATE TABLE process (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    pid                  INTEGER,
    started              REAL,
    comm                 TEXT,
    exe                  TEXT,
    cmdline              TEXT
) STRICT;
CREATE INDEX process_last ON process (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE process_tuple (
    id                   INTEGER PRIMARY KEY,
    ppid                 INTEGER,
    uid                  INTEGER,
    user                 TEXT,
    cgroup               TEXT,
    container_id         TEXT,
    unit                 TEXT,
    fd_limit             INTEGER
) STRICT;
CREATE TABLE process_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    fds                  INTEGER
) STRICT;
CREATE TABLE process_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    fds                  INTEGER
) STRICT;

-- sockets

CREATE TABLE socket (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    proto                TEXT,
    family               INTEGER,
    type                 TEXT,
    local_addr           TEXT,
    local_port           INTEGER,
    remote_addr          TEXT,
    remote_port          INTEGER,
    path                 TEXT,
    peer_inode           INTEGER,
    ifindex              INTEGER,
    inode                INTEGER,
    cookie               INTEGER
) STRICT;
CREATE INDEX socket_last ON socket (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE socket_tuple (
    id                   INTEGER PRIMARY KEY,
    state                TEXT,
    process              INTEGER,
    uid                  INTEGER,
    user                 TEXT,
    cgroup               TEXT,
    mark                 INTEGER,
    timer                TEXT,
    congestion           TEXT,
    mss                  INTEGER,
    pmtu                 INTEGER,
    retransmits          INTEGER,
    drops                INTEGER
) STRICT;
CREATE TABLE socket_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    recv_q               INTEGER,
    send_q               INTEGER,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    segs_out             INTEGER,
    segs_in              INTEGER,
    rtt_us               INTEGER,
    rttvar_us            INTEGER,
    cwnd                 INTEGER
) STRICT;
CREATE TABLE socket_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    recv_q               INTEGER,
    send_q               INTEGER,
    bytes_sent           INTEGER,
    bytes_received       INTEGER,
    segs_out             INTEGER,
    segs_in              INTEGER,
    rtt_us               INTEGER,
    rttvar_us            INTEGER,
    cwnd                 INTEGER
) STRICT;

-- socket_owners

CREATE TABLE socket_owner (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    socket               INTEGER,
    process              INTEGER
) STRICT;
CREATE INDEX socket_owner_last ON socket_owner (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE socket_owner_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    fd                   INTEGER
) STRICT;
CREATE TABLE socket_owner_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    fd                   INTEGER
) STRICT;

-- socket_counts

CREATE TABLE socket_count (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    process              INTEGER,
    proto                TEXT,
    family               INTEGER,
    state                TEXT
) STRICT;
CREATE INDEX socket_count_last ON socket_count (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE socket_count_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    count                INTEGER,
    recv_q               INTEGER,
    send_q               INTEGER,
    oldest               INTEGER
) STRICT;
CREATE TABLE socket_count_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    count                INTEGER,
    recv_q               INTEGER,
    send_q               INTEGER,
    oldest               INTEGER
) STRICT;

-- socket_trends

CREATE TABLE socket_trend (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    process              INTEGER,
    proto                TEXT,
    family               INTEGER,
    state                TEXT
) STRICT;
CREATE INDEX socket_trend_last ON socket_trend (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE socket_trend_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    count                INTEGER
) STRICT;
CREATE TABLE socket_trend_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    count                INTEGER
) STRICT;

-- interfaces

CREATE TABLE interface (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    ifindex              INTEGER,
    name                 TEXT
) STRICT;
CREATE INDEX interface_last ON interface (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE interface_tuple (
    id                   INTEGER PRIMARY KEY,
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
    carrier_changes      INTEGER
) STRICT;
CREATE TABLE interface_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE interface_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;

-- interface_counters

CREATE TABLE interface_counter (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    ifindex              INTEGER,
    name                 TEXT
) STRICT;
CREATE INDEX interface_counter_last ON interface_counter (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE interface_counter_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    rx_bytes             INTEGER,
    tx_bytes             INTEGER,
    rx_packets           INTEGER,
    tx_packets           INTEGER,
    rx_errors            INTEGER,
    tx_errors            INTEGER,
    rx_dropped           INTEGER,
    tx_dropped           INTEGER,
    multicast            INTEGER,
    collisions           INTEGER,
    rx_length_errors     INTEGER,
    rx_over_errors       INTEGER,
    rx_crc_errors        INTEGER,
    rx_frame_errors      INTEGER,
    rx_fifo_errors       INTEGER,
    rx_missed_errors     INTEGER,
    tx_aborted_errors    INTEGER,
    tx_carrier_errors    INTEGER,
    tx_fifo_errors       INTEGER,
    tx_heartbeat_errors  INTEGER,
    tx_window_errors     INTEGER,
    rx_compressed        INTEGER,
    tx_compressed        INTEGER,
    rx_nohandler         INTEGER,
    rx_otherhost_dropped INTEGER
) STRICT;
CREATE TABLE interface_counter_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    rx_bytes             INTEGER,
    tx_bytes             INTEGER,
    rx_packets           INTEGER,
    tx_packets           INTEGER,
    rx_errors            INTEGER,
    tx_errors            INTEGER,
    rx_dropped           INTEGER,
    tx_dropped           INTEGER,
    multicast            INTEGER,
    collisions           INTEGER,
    rx_length_errors     INTEGER,
    rx_over_errors       INTEGER,
    rx_crc_errors        INTEGER,
    rx_frame_errors      INTEGER,
    rx_fifo_errors       INTEGER,
    rx_missed_errors     INTEGER,
    tx_aborted_errors    INTEGER,
    tx_carrier_errors    INTEGER,
    tx_fifo_errors       INTEGER,
    tx_heartbeat_errors  INTEGER,
    tx_window_errors     INTEGER,
    rx_compressed        INTEGER,
    tx_compressed        INTEGER,
    rx_nohandler         INTEGER,
    rx_otherhost_dropped INTEGER
) STRICT;

-- addresses

CREATE TABLE address (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    dev                  TEXT,
    ifindex              INTEGER,
    family               INTEGER,
    addr                 TEXT,
    prefix_len           INTEGER,
    peer                 TEXT
) STRICT;
CREATE INDEX address_last ON address (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE address_tuple (
    id                   INTEGER PRIMARY KEY,
    scope                TEXT,
    flags                TEXT,
    label                TEXT,
    broadcast            TEXT
) STRICT;
CREATE TABLE address_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE address_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;

-- neighbors

CREATE TABLE neighbor (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    dev                  TEXT,
    ifindex              INTEGER,
    family               INTEGER,
    addr                 TEXT,
    proxy                INTEGER
) STRICT;
CREATE INDEX neighbor_last ON neighbor (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE neighbor_tuple (
    id                   INTEGER PRIMARY KEY,
    mac                  TEXT,
    state                TEXT,
    flags                TEXT
) STRICT;
CREATE TABLE neighbor_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE neighbor_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;

-- routes

CREATE TABLE route (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    family               INTEGER,
    table_id             INTEGER,
    dst                  TEXT,
    src_net              TEXT,
    tos                  INTEGER,
    metric               INTEGER,
    dev                  TEXT,
    nth                  INTEGER
) STRICT;
CREATE INDEX route_last ON route (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE route_tuple (
    id                   INTEGER PRIMARY KEY,
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
    nexthops             TEXT
) STRICT;
CREATE TABLE route_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE route_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;

-- rules

CREATE TABLE rule (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    family               INTEGER,
    priority             INTEGER,
    nth                  INTEGER
) STRICT;
CREATE INDEX rule_last ON rule (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE rule_tuple (
    id                   INTEGER PRIMARY KEY,
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
    protocol             TEXT
) STRICT;
CREATE TABLE rule_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE rule_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;

-- protocol_counters

CREATE TABLE protocol_counter (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    file                 TEXT,
    proto                TEXT,
    name                 TEXT
) STRICT;
CREATE INDEX protocol_counter_last ON protocol_counter (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE protocol_counter_tuple (
    id                   INTEGER PRIMARY KEY,
    kind                 TEXT,
    description          TEXT
) STRICT;
CREATE TABLE protocol_counter_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    value                INTEGER
) STRICT;
CREATE TABLE protocol_counter_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    value                INTEGER
) STRICT;

-- softnet

CREATE TABLE softnet_cpu (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    cpu                  INTEGER
) STRICT;
CREATE INDEX softnet_cpu_last ON softnet_cpu (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE softnet_cpu_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    processed            INTEGER,
    dropped              INTEGER,
    time_squeeze         INTEGER,
    received_rps         INTEGER,
    flow_limit           INTEGER,
    backlog              INTEGER
) STRICT;
CREATE TABLE softnet_cpu_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    processed            INTEGER,
    dropped              INTEGER,
    time_squeeze         INTEGER,
    received_rps         INTEGER,
    flow_limit           INTEGER,
    backlog              INTEGER
) STRICT;

-- conntrack

CREATE TABLE conntrack_table (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER
) STRICT;
CREATE INDEX conntrack_table_last ON conntrack_table (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE conntrack_table_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    entries              INTEGER,
    max_entries          INTEGER,
    drops                INTEGER,
    early_drops          INTEGER,
    insert_failed        INTEGER
) STRICT;
CREATE TABLE conntrack_table_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    entries              INTEGER,
    max_entries          INTEGER,
    drops                INTEGER,
    early_drops          INTEGER,
    insert_failed        INTEGER
) STRICT;

-- settings

CREATE TABLE setting (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    name                 TEXT
) STRICT;
CREATE INDEX setting_last ON setting (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE setting_tuple (
    id                   INTEGER PRIMARY KEY,
    value                TEXT
) STRICT;
CREATE TABLE setting_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;
CREATE TABLE setting_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL
) STRICT;

-- sources

CREATE TABLE source (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    source               TEXT
) STRICT;
CREATE INDEX source_last ON source (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE source_tuple (
    id                   INTEGER PRIMARY KEY,
    outcome              TEXT,
    error                TEXT
) STRICT;
CREATE TABLE source_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    rows                 INTEGER,
    duration_ms          INTEGER
) STRICT;
CREATE TABLE source_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    rows                 INTEGER,
    duration_ms          INTEGER
) STRICT;
