-- Which process opens sockets and does not close them? The steadiest growth stands first.
--
-- since (unix s): Begin of what was looked at: of the window, or when the process first held a socket.
-- until (unix s): End of it: of the window, or when the process last held a socket.
-- netns: Inode number of the network namespace.
-- pid: Process id; NULL where the owner is not known.
-- comm: Name of the program.
-- cmdline: Its command line.
-- proto: tcp, udp, raw or unix.
-- family: 4 for IPv4, 6 for IPv6, NULL for unix sockets.
-- state: State of the sockets; many in CLOSE_WAIT mean: the other end has closed, the process has not.
-- first_count (sockets): Sockets in this state at the begin.
-- last_count (sockets): Sockets in this state at the end.
-- min_count (sockets): Fewest in between.
-- max_count (sockets): Most in between.
-- per_hour (sockets/h): Slope of the straight line that fits the count best (least squares, weighted by time).
-- r2: How well that line fits: 1 is a straight line.
-- oldest_s (s): Age of the oldest of these sockets at the end.
WITH
-- One row, read once: it stands in expressions that SQLite would expand in every place.
w AS MATERIALIZED (
  SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
         (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z
    FROM "window"),
-- The runs of the recorder in the window. Within a run samples are taken to be evenly spaced, step seconds apart, so that sums
-- over samples are integrals over time; nobody looked between runs, and nothing is said about then.
stretch AS MATERIALIZED (
  SELECT b.id AS a, e.id AS z, s.run, s.z AS stopped,
         CASE e.id - b.id WHEN 0 THEN 1.0 ELSE (e.ts - b.ts) / (e.id - b.id) END AS step,
         b.ts - (SELECT ts FROM sample WHERE id = w.a) AS x
    FROM w
   CROSS JOIN (SELECT id AS run, first_sample AS a, lead(first_sample, 1, 1 << 31) OVER (ORDER BY id) - 1 AS z
                 FROM run WHERE first_sample IS NOT NULL) s ON s.a <= w.z AND s.z >= w.a
   CROSS JOIN sample b ON b.id = (SELECT id FROM sample WHERE id >= max(s.a, w.a) ORDER BY id LIMIT 1)
   CROSS JOIN sample e ON e.id = (SELECT id FROM sample WHERE id <= min(s.z, w.z) ORDER BY id DESC LIMIT 1) AND e.id >= b.id),
-- Of each, whole blocks u … v whose sums are there, the long ones first; edge and rest are what they leave.
long AS MATERIALIZED (
  SELECT a AS run, stopped, z,
         (SELECT id FROM long_block WHERE id BETWEEN r.a AND r.z AND id + samples - 1 <= r.z ORDER BY id LIMIT 1) AS u,
         (SELECT id + samples - 1 FROM long_block WHERE id BETWEEN r.a AND r.z AND id + samples - 1 <= r.z ORDER BY id DESC LIMIT 1) AS v
    FROM stretch r),
edge AS (
  SELECT run, stopped, run AS a, coalesce(u - 1, z) AS z FROM long UNION ALL SELECT run, stopped, v + 1, z FROM long),
short AS MATERIALIZED (
  SELECT r.*,
         (SELECT id FROM short_block WHERE id BETWEEN r.a AND r.z AND id + samples - 1 <= r.z ORDER BY id LIMIT 1) AS u,
         (SELECT id + samples - 1 FROM short_block WHERE id BETWEEN r.a AND r.z AND id + samples - 1 <= r.z ORDER BY id DESC LIMIT 1) AS v
    FROM edge r WHERE r.a <= r.z),
rest AS (
  SELECT run, stopped, a, coalesce(u - 1, z) AS z FROM short UNION ALL SELECT run, stopped, v + 1, z FROM short),
-- Spans there, each a stretch of samples f … t (counted from the begin of the run) in which the count y stood still.
-- CASE instead of min() and max(), and one key for run and subject: at 10 s an hour has thousands of rows, and both count.
piece AS (
  SELECT r.run << 32 | (p.id & 4294967295) AS key,
         CASE WHEN (p.id >> 32) - p.length < r.a THEN r.a - r.run ELSE (p.id >> 32) - p.length - r.run END AS f,
         CASE WHEN p.id >> 32 > r.z THEN r.z - r.run ELSE (p.id >> 32) - r.run END AS t, p.count AS y
    FROM rest r CROSS JOIN socket_trend_span p
      ON p.id BETWEEN r.a << 32 AND ((min(r.z + K_socket_trends - 1, r.stopped) + 1) << 32) - 1 AND (p.id >> 32) - p.length <= r.z
   WHERE r.a <= r.z
  UNION ALL
  SELECT r.run << 32 | p.subject, CASE WHEN p.from_sample < r.a THEN r.a - r.run ELSE p.from_sample - r.run END, r.z - r.run, p.count
    FROM rest r CROSS JOIN socket_trend_open p ON p.from_sample <= r.z
   WHERE r.a <= r.z AND r.run = (SELECT a FROM stretch WHERE run = (SELECT run FROM sample ORDER BY id DESC LIMIT 1))),
-- Rows of sums there: see store/sums.go.
block AS (
  SELECT r.run << 32 | (p.id & 4294967295) AS key,
         CASE WHEN p.id >> 32 < r.u THEN r.u ELSE p.id >> 32 END - r.run AS f,
         CASE WHEN (p.id >> 32) + p.samples > r.v THEN r.v ELSE (p.id >> 32) + p.samples - 1 END - r.run AS t,
         p.least, p.most, p.n, p.total, p.moment, p.squares, p.first, p.last
    FROM long r CROSS JOIN socket_trend_long p
      ON p.id BETWEEN (SELECT base FROM long_block WHERE id = r.u) << 32 AND ((r.v + 1) << 32) - 1 AND (p.id >> 32) + p.samples > r.u
  UNION ALL
  SELECT r.run << 32 | (p.id & 4294967295),
         CASE WHEN p.id >> 32 < r.u THEN r.u ELSE p.id >> 32 END - r.run,
         CASE WHEN (p.id >> 32) + p.samples > r.v THEN r.v ELSE (p.id >> 32) + p.samples - 1 END - r.run,
         p.least, p.most, p.n, p.total, p.moment, p.squares, p.first, p.last
    FROM short r CROSS JOIN socket_trend_short p
      ON p.id BETWEEN (SELECT base FROM short_block WHERE id = r.u) << 32 AND ((r.v + 1) << 32) - 1 AND (p.id >> 32) + p.samples > r.u),
-- Sums over samples. A group that is absent counts 0 and adds nothing. Products with the sample are summed in two parts, or they
-- would be beyond 64 bits in a month of 10,000 sockets every 100 ms.
summed AS (
  SELECT key, sum(n) AS n, min(lo) AS lo, max(hi) AS hi, sum(sy) AS sy, sum(high) AS high, sum(low) AS low, sum(syy) AS syy,
         min(first) AS first, max(final) AS final
    FROM (SELECT key, sum(t - f + 1) AS n, min(y) AS lo, max(y) AS hi, sum(y * (t - f + 1)) AS sy, sum(y * (t - f + 1) * (f >> 13)) AS high,
                 sum(y * ((t - f + 1) * ((f & 8191) + t - (f >> 13 << 13)) / 2)) AS low, sum(y * y * (t - f + 1)) AS syy,
                 min(f << 32 | y) AS first, max(t << 32 | y) AS final
            FROM piece GROUP BY key
          UNION ALL
          SELECT key, n, least, most, total, total * (f >> 13), moment + total * (f & 8191), squares, first + (f << 32), last + (t << 32)
            FROM (SELECT key, f, t, least, most, coalesce(n, t - f + 1) AS n, coalesce(total, least * (t - f + 1)) AS total,
                         coalesce(moment, least * ((t - f) * (t - f + 1) / 2)) AS moment, coalesce(squares, least * least * (t - f + 1)) AS squares,
                         coalesce(first, least) AS first, coalesce(last, least) AS last
                    FROM block))
   GROUP BY key),
-- On the time axis: sample i of a run stands at x + i * step seconds, and for step seconds.
timed AS (
  SELECT g.key & 4294967295 AS id, sum(g.n) AS n, min(g.lo) AS lo, max(g.hi) AS hi, sum(g.sy * r.step) AS sy,
         sum((g.sy * r.x + (8192.0 * g.high + g.low) * r.step) * r.step) AS sxy, sum(g.syy * r.step) AS syy,
         min(g.first + (r.a << 32)) AS first, max(g.final + (r.a << 32)) AS final
    FROM summed g CROSS JOIN stretch r ON r.a = g.key >> 32 GROUP BY 1),
grouped AS (
  SELECT min(s.id) AS id, s.netns, s.process, s.proto, s.family, s.state, sum(g.n) AS n, min(g.lo) AS lo, max(g.hi) AS hi,
         sum(g.sy) AS sy, sum(g.sxy) AS sxy, sum(g.syy) AS syy, min(g.first) AS first, max(g.final) AS final
    FROM timed g CROSS JOIN socket_trend s ON s.id = g.id
   WHERE s.state <> 'TIME_WAIT'
   GROUP BY s.netns, s.process, s.proto, s.family, s.state),
-- The samples fa … fz in which the process held sockets, of whatever state.
held AS (
  SELECT g.*, max(w.a, coalesce(p.first_sample, w.a)) AS fa, min(w.z, coalesce(p.last_sample, w.z)) AS fz, p.pid, p.comm, p.cmdline
    FROM w CROSS JOIN grouped g LEFT JOIN process p ON p.id = g.process),
axis AS (
  SELECT fa, fz, sum(n) AS n, sum(n * step) AS sw, sum((n * x + step * i) * step) AS sx,
         sum((n * x * x + 2 * x * step * i + step * step * ii) * step) AS sxx
    FROM (SELECT fa, fz, step, x, v - u + 1 AS n, (v - u + 1) * (u + v) / 2.0 AS i, (v * (v + 1) * (2 * v + 1) - (u - 1) * u * (2 * u - 1)) / 6.0 AS ii
            FROM (SELECT h.fa, h.fz, r.step, r.x, max(h.fa, r.a) - r.a AS u, min(h.fz, r.z) - r.a AS v
                    FROM (SELECT DISTINCT fa, fz FROM held) h CROSS JOIN stretch r ON r.a <= h.fz AND r.z >= h.fa))
   GROUP BY fa, fz),
fit AS (
  SELECT h.*,
         CASE WHEN h.first >> 32 = h.fa THEN h.first & 4294967295 ELSE 0 END AS first_count,
         CASE WHEN h.final >> 32 = h.fz THEN h.final & 4294967295 ELSE 0 END AS last_count,
         CASE WHEN h.n < a.n THEN 0 ELSE h.lo END AS min_count,
         a.sxx / a.sw - (a.sx / a.sw) * (a.sx / a.sw) AS vx,
         h.syy / a.sw - (h.sy / a.sw) * (h.sy / a.sw) AS vy,
         h.sxy / a.sw - (a.sx / a.sw) * (h.sy / a.sw) AS vxy
    FROM held h CROSS JOIN axis a ON a.fa = h.fa AND a.fz = h.fz),
grown AS (
  SELECT *, vxy / vx AS slope, vxy * vxy / (vx * vy) AS r2
    FROM fit
   WHERE vxy > 0 AND vx > 0 AND vy > 0
     -- It grew, and has not come back.
     AND last_count - first_count >= 3 AND last_count >= 0.75 * hi
     -- In a line rather than at random, and not in one step, as a pool that was made larger does: a ramp varies by
     -- a twelfth of its height squared, a step that a line fits as well by more than a sixth.
     AND vxy * vxy >= 0.5 * vx * vy
     AND vy <= 0.15 * (last_count - first_count) * (last_count - first_count)),
aged AS (
  SELECT g.*,
         (SELECT min(oldest)
            FROM (SELECT c.id, p.oldest FROM socket_count_span p CROSS JOIN socket_count c ON c.id = p.id & 4294967295
                   WHERE p.id BETWEEN g.fz << 32 AND ((g.fz + K_socket_counts) << 32) - 1 AND (p.id >> 32) - p.length <= g.fz
                     AND c.netns IS g.netns AND c.process IS g.process AND c.proto = g.proto AND c.family IS g.family AND c.state = g.state
                  UNION ALL
                  SELECT c.id, p.oldest FROM socket_count_open p CROSS JOIN socket_count c ON c.id = p.subject
                   WHERE p.from_sample <= g.fz
                     AND c.netns IS g.netns AND c.process IS g.process AND c.proto = g.proto AND c.family IS g.family AND c.state = g.state)) AS oldest
    FROM grown g)
SELECT b.ts AS since, e.ts AS until, f.netns, f.pid, f.comm, f.cmdline, f.proto, f.family, f.state,
       f.first_count, f.last_count, f.min_count, f.hi AS max_count,
       round(3600 * f.slope, 1) AS per_hour, round(f.r2, 3) AS r2, round(e.ts - f.oldest) AS oldest_s
  FROM aged f CROSS JOIN sample b ON b.id = f.fa CROSS JOIN sample e ON e.id = f.fz
   -- They stay: the oldest has been there for a good part of the time.
 WHERE e.ts - f.oldest >= 0.2 * (e.ts - b.ts)
 ORDER BY f.slope * f.r2 DESC
