-- The stretch of time that leaks, connections and listeners look at: the last hour of the recording;
-- in the shell, what .since and .until say.
--
-- since (unix s): Where the window begins.
-- until (unix s): Where it ends.
SELECT max(ts) - 3600.0 AS since, max(ts) AS until FROM sample
