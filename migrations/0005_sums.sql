-- Sums over blocks of samples, which spare leaks the spans of a long window.

-- The first sample of a run, which may be forgotten since; NULL where none was taken.
ALTER TABLE run ADD COLUMN first_sample INTEGER;
UPDATE run SET first_sample = m.first FROM (SELECT run, min(id) AS first FROM sample GROUP BY run) m WHERE m.run = run.id;

CREATE TABLE short_block (id INTEGER PRIMARY KEY, samples INTEGER NOT NULL, base INTEGER NOT NULL) STRICT;
CREATE TABLE long_block (id INTEGER PRIMARY KEY, samples INTEGER NOT NULL, base INTEGER NOT NULL) STRICT;

-- socket_trends

CREATE TABLE socket_trend_short (
    id                   INTEGER PRIMARY KEY,
    samples              INTEGER NOT NULL,
    least                INTEGER NOT NULL,
    most                 INTEGER NOT NULL,
    n                    INTEGER,
    total                INTEGER,
    moment               INTEGER,
    squares              INTEGER,
    first                INTEGER,
    last                 INTEGER
) STRICT;
CREATE TABLE socket_trend_long (
    id                   INTEGER PRIMARY KEY,
    samples              INTEGER NOT NULL,
    least                INTEGER NOT NULL,
    most                 INTEGER NOT NULL,
    n                    INTEGER,
    total                INTEGER,
    moment               INTEGER,
    squares              INTEGER,
    first                INTEGER,
    last                 INTEGER
) STRICT;
