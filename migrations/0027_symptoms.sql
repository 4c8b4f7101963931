-- What a sample saw that a fault would show, and what made the recorder take a sample.

ALTER TABLE sample ADD COLUMN why TEXT;

CREATE TABLE symptom (
    id                   INTEGER PRIMARY KEY,
    first_sample         INTEGER NOT NULL,
    last_sample          INTEGER,
    gone_sample          INTEGER,
    netns                INTEGER,
    symptom              TEXT,
    process              INTEGER,
    local_port           INTEGER,
    remote_addr          TEXT,
    remote_port          INTEGER,
    dev                  TEXT,
    since                REAL
) STRICT;
CREATE INDEX symptom_last ON symptom (last_sample) WHERE last_sample IS NOT NULL;
CREATE INDEX symptom_resting ON symptom (last_sample) WHERE gone_sample IS NULL AND last_sample IS NOT NULL;
CREATE TABLE symptom_span (
    id                   INTEGER PRIMARY KEY,
    length               INTEGER NOT NULL,
    amount               INTEGER,
    total                INTEGER
) STRICT;
CREATE TABLE symptom_open (
    subject              INTEGER PRIMARY KEY,
    from_sample          INTEGER NOT NULL,
    amount               INTEGER,
    total                INTEGER
) STRICT;
