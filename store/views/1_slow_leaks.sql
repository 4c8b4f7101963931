-- Which program has more and more sockets, over days? From the roll-ups of each hour, also of a time whose samples are not kept any more.
--
-- since (unix s): Begin of what was looked at: of the window if that is longer than a day, else 30 days before its end.
-- until (unix s): End of it.
-- netns: Inode number of the network namespace.
-- comm: Name of the program; NULL where the owner is not known. Its processes are counted together.
-- exe: Path of its executable.
-- proto: Kind of the sockets, as in sockets; of connections of MPTCP the subflows count, which are tcp.
-- family: 4 for IPv4, 6 for IPv6, NULL for other sockets.
-- state: State of the sockets.
-- first_avg (sockets): Average in the first hour.
-- last_avg (sockets): Average in the last hour.
-- max_count (sockets): Most in between.
-- per_day (sockets/day): Slope of the straight line that fits the averages of the hours best (least squares).
-- r2: How well that line fits: 1 is a straight line.
-- hours: Hours in which anybody looked; an hour in which the program had none counts as 0.
WITH
w AS MATERIALIZED (
  SELECT CASE WHEN until - since > 86400 THEN since ELSE until - 30 * 86400.0 END AS since, until FROM "window"),
-- Hours in which anybody looked, by number.
h AS MATERIALIZED (SELECT m.id FROM w CROSS JOIN period_1h m ON m.ts >= w.since AND m.ts < w.until),
axis AS MATERIALIZED (
  SELECT count(*) AS n, min(id) AS a, max(id) AS z, avg(id) AS x, avg(id * id) - avg(id) * avg(id) AS vx FROM h),
-- A row holds for as many hours as its length says.
hour AS (
  SELECT p.id & 4294967295 AS g, h.id AS x, p.count_avg / 1000.0 AS y, p.count_max AS most
    FROM axis CROSS JOIN socket_count_1h p ON p.id BETWEEN (axis.a - 23) << 32 AND ((axis.z + 1) << 32) - 1
    CROSS JOIN h ON h.id BETWEEN p.id >> 32 AND (p.id >> 32) + p.length - 1),
fit AS (
  SELECT o.g, sum(o.y) / a.n AS my, sum(o.x * o.y) / a.n - a.x * sum(o.y) / a.n AS vxy, sum(o.y * o.y) / a.n - (sum(o.y) / a.n) * (sum(o.y) / a.n) AS vy,
         max(CASE o.x WHEN a.a THEN o.y ELSE 0 END) AS first_avg, max(CASE o.x WHEN a.z THEN o.y ELSE 0 END) AS last_avg, max(o.most) AS most,
         a.n, a.a, a.z, a.vx
    FROM hour o CROSS JOIN axis a GROUP BY o.g)
SELECT 3600.0 * f.a AS since, 3600.0 * (f.z + 1) AS until, g.netns, g.comm, g.exe, g.proto, g.family, g.state,
       round(f.first_avg, 1) AS first_avg, round(f.last_avg, 1) AS last_avg, f.most AS max_count,
       round(24 * f.vxy / f.vx, 2) AS per_day, round(f.vxy * f.vxy / (f.vx * f.vy), 3) AS r2, f.n AS hours
  FROM fit f CROSS JOIN socket_count_group g ON g.id = f.g
 WHERE f.n >= 6 AND f.vxy > 0 AND f.vx > 0 AND f.vy > 0 AND g.state <> 'TIME_WAIT'
   -- It grew, has not come back, in a line rather than at random; see leaks.
   AND f.last_avg - f.first_avg >= 3 AND f.last_avg >= 0.75 * f.most
   AND f.vxy * f.vxy >= 0.5 * f.vx * f.vy
   AND f.vy <= 0.15 * (f.last_avg - f.first_avg) * (f.last_avg - f.first_avg)
 ORDER BY f.vxy / f.vx DESC
