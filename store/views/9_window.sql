-- What leaks, slow_leaks, top_talkers, connections, listeners and events look at: the last hour, or what .since and .until say.
--
-- since (unix s): Where the window begins.
-- until (unix s): Where it ends.
SELECT max(ts) - 3600.0 AS since, max(ts) AS until FROM sample
