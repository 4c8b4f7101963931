-- What many closes have in common stands once, in a tuple that they share. Rows from before have none, and stand as they are.

CREATE TABLE close_tuple (
    id                   INTEGER PRIMARY KEY,
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
    mss                  INTEGER,
    pmtu                 INTEGER,
    owner_candidates     INTEGER
) STRICT;
ALTER TABLE close ADD COLUMN tuple INTEGER;
CREATE INDEX close_tuple_remote ON close_tuple (remote_addr) WHERE remote_addr IS NOT NULL;
