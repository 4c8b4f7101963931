-- What compared holds the window against: the same time a day before, or what doctor --against and .against say.
--
-- since (unix s): Where it begins.
-- until (unix s): Where it ends.
SELECT since - 86400.0 AS since, until - 86400.0 AS until FROM "window"
