-- Statistics of the drivers, and what the driver says of an interface. Rows from before have none of it.

CREATE TABLE nic_counter (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    ifindex              INTEGER,
    interface            TEXT,
    name                 TEXT,
    since                REAL
) STRICT;
CREATE INDEX nic_counter_last ON nic_counter (last_sample) WHERE last_sample IS NOT NULL;
CREATE TABLE nic_counter_tuple (
    id                   INTEGER PRIMARY KEY,
    from_zero            INTEGER
) STRICT;
CREATE TABLE nic_counter_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    value                INTEGER
) STRICT;
CREATE TABLE nic_counter_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    tuple                INTEGER NOT NULL,
    value                INTEGER
) STRICT;
ALTER TABLE interface_tuple ADD COLUMN driver TEXT;
ALTER TABLE interface_tuple ADD COLUMN driver_version TEXT;
ALTER TABLE interface_tuple ADD COLUMN firmware TEXT;
ALTER TABLE interface_tuple ADD COLUMN bus TEXT;
ALTER TABLE interface_tuple ADD COLUMN autoneg TEXT;
ALTER TABLE interface_tuple ADD COLUMN rx_ring INTEGER;
ALTER TABLE interface_tuple ADD COLUMN rx_ring_max INTEGER;
ALTER TABLE interface_tuple ADD COLUMN tx_ring INTEGER;
ALTER TABLE interface_tuple ADD COLUMN tx_ring_max INTEGER;
ALTER TABLE interface_tuple ADD COLUMN channels INTEGER;
ALTER TABLE interface_event ADD COLUMN driver TEXT;
ALTER TABLE interface_event ADD COLUMN driver_version TEXT;
ALTER TABLE interface_event ADD COLUMN firmware TEXT;
ALTER TABLE interface_event ADD COLUMN bus TEXT;
ALTER TABLE interface_event ADD COLUMN autoneg TEXT;
ALTER TABLE interface_event ADD COLUMN rx_ring INTEGER;
ALTER TABLE interface_event ADD COLUMN rx_ring_max INTEGER;
ALTER TABLE interface_event ADD COLUMN tx_ring INTEGER;
ALTER TABLE interface_event ADD COLUMN tx_ring_max INTEGER;
ALTER TABLE interface_event ADD COLUMN channels INTEGER;
