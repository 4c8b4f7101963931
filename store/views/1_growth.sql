-- Where are more sockets held at the end of the window than before, healthy or not? What is a leak stands first; see leaks.
--
-- since (unix s): Begin of what was looked at: of the window or of its last half, quarter or eighth, whichever shows it best; not before the process first held a socket.
-- until (unix s): End of it: the last sample of the window.
-- netns: Inode number of the network namespace.
-- pid: Process id; NULL in the row of a program, and where the owner is not known.
-- comm: Name of the program.
-- cmdline: Its command line; of a program, that of the first of its processes.
-- proto: Kind of the sockets, as in sockets; of connections of MPTCP the subflows count, which are tcp.
-- family: 4 for IPv4, 6 for IPv6, NULL for other sockets.
-- state: State of the sockets; many in CLOSE_WAIT mean: the other end has closed, the process has not. What a process has closed and the kernel still keeps (FIN_WAIT2 and so on) is no leak of its.
-- first_count (sockets): Sockets in this state at the begin.
-- last_count (sockets): Sockets in this state at the end.
-- min_count (sockets): Fewest in between; of a program, not more than that.
-- max_count (sockets): Most in between; of a program, not fewer than that.
-- per_hour (sockets/h): Slope of the straight line that fits the count best (least squares, weighted by time).
-- r2: How well that line fits: 1 is a straight line; of a program, it is fitted to 64 averages.
-- oldest_s (s): Age of the oldest of these sockets at the end.
-- began (unix s): When growth began: there have been more sockets than then ever since.
-- goes_on: 1 where the number still grows at its pace, 0 where it has stood still for longer than the pace explains.
-- processes: Processes that hold the sockets at the end: 1, or those of a program in which no single process grows.
-- remote: Where most of the sockets go: address and port of a service elsewhere; of sockets that were accepted here, the address of the other end. NULL where it is not known.
-- remote_count (sockets): How many of them go there.
-- local_port: Port of the service here that accepted most of the sockets; NULL where they were opened from here.
-- limit_name: What they run into first: descriptors (of the process), ports (for connections to remote, net.ipv4.ip_local_port_range) or memory (net.ipv4.tcp_mem or udp_mem, in pages, which are taken to be of 4 KiB, if others hold as many unread and unacknowledged bytes as these do).
-- limit_used: How many of these are in use at the end.
-- limit_count: How many there may be.
-- limit_at (unix s): Forecast: when that is, if they go on at per_hour; NULL where they do not go on.
-- leak: 1 where leaks lists it.
WITH RECURSIVE
-- One row, read once: it stands in expressions that SQLite would expand in every place.
w AS MATERIALIZED (
  SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
         (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z,
         -- The last of which all sockets are kept.
         (SELECT id FROM sample WHERE ts <= until AND back IS NOT 0 ORDER BY ts DESC LIMIT 1) AS whole
    FROM "window"),
-- The runs of the recorder in the window. Within a run samples are taken to be evenly spaced, step seconds apart, so that sums
-- over samples are integrals over time; nobody looked between runs, and nothing is said about then.
stretch AS MATERIALIZED (
  SELECT w.a AS wa, w.z AS wz, b.id AS a, e.id AS z, s.run, s.z AS stopped,
         CASE e.id - b.id WHEN 0 THEN 1.0 ELSE (e.ts - b.ts) / (e.id - b.id) END AS step,
         b.ts - (SELECT ts FROM sample WHERE id = w.a) AS x
    FROM w
   CROSS JOIN (SELECT id AS run, first_sample AS a, coalesce((SELECT first_sample FROM run n WHERE n.id > r.id AND n.first_sample IS NOT NULL ORDER BY n.id LIMIT 1), 1 << 31) - 1 AS z
                 FROM run r WHERE first_sample IS NOT NULL) s ON s.a <= w.z AND s.z >= w.a
   CROSS JOIN sample b ON b.id = (SELECT id FROM sample WHERE id >= max(s.a, w.a) ORDER BY id LIMIT 1)
   CROSS JOIN sample e ON e.id = (SELECT id FROM sample WHERE id <= min(s.z, w.z) ORDER BY id DESC LIMIT 1) AND e.id >= b.id),
-- Of each, whole blocks u … v whose sums are there, the long ones first; edge and rest are what they leave. Near the end of the
-- window a block must be short beside what follows it, or it would hide what happened last. None is used after one that is too long:
-- the last block of a run may be shorter than those before it.
long AS MATERIALIZED (
  SELECT r.wa, r.wz, r.a AS run, r.stopped, r.z,
         (SELECT id FROM long_block WHERE id BETWEEN r.a AND r.z AND id + samples - 1 <= r.z ORDER BY id LIMIT 1) AS u,
         (SELECT id + samples - 1 FROM long_block WHERE id BETWEEN r.a AND coalesce(
            (SELECT id - 1 FROM long_block WHERE id BETWEEN r.a AND r.z AND (id + samples - 1 > r.z OR id + 9 * samples > r.wz AND 64 * samples > r.wz - r.wa)
              ORDER BY id LIMIT 1), r.z) ORDER BY id DESC LIMIT 1) AS v
    FROM stretch r),
-- Here and below, two rows of one are a join: a CTE is worked out once, but parsed again wherever it is named.
edge AS (
  SELECT wa, wz, run, stopped, CASE i WHEN 0 THEN run ELSE v + 1 END AS a, CASE WHEN i OR v IS NULL THEN z ELSE u - 1 END AS z
    FROM long CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1)),
short AS MATERIALIZED (
  SELECT r.*,
         (SELECT id FROM short_block WHERE id BETWEEN r.a AND r.z AND id + samples - 1 <= r.z ORDER BY id LIMIT 1) AS u,
         (SELECT id + samples - 1 FROM short_block WHERE id BETWEEN r.a AND coalesce(
            (SELECT id - 1 FROM short_block WHERE id BETWEEN r.a AND r.z AND (id + samples - 1 > r.z OR id + 9 * samples > r.wz AND 64 * samples > r.wz - r.wa)
              ORDER BY id LIMIT 1), r.z) ORDER BY id DESC LIMIT 1) AS v
    FROM edge r WHERE r.a <= r.z),
rest AS MATERIALIZED (
  SELECT * FROM (SELECT run, stopped, CASE i WHEN 0 THEN a ELSE v + 1 END AS a, CASE WHEN i OR v IS NULL THEN z ELSE u - 1 END AS z
    FROM short CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1)) WHERE a <= z),
-- The window in 64 slots of as many samples each. One that would begin within a block (that is used) begins with the next block. Samples in which
-- a source failed say nothing: there may have been something. So do those in which sockets or their owners were switched off,
-- but for what was off in the whole window: of that there is nothing in any sample.
slot AS MATERIALIZED (
  SELECT s.*, (SELECT coalesce(sum(max(0, (SELECT count(*) FROM sample m WHERE m.ts > g.since AND m.ts < coalesce(g.until, 1e99) AND m.id BETWEEN s.a AND s.z))), 0)
                 FROM gap g WHERE (g.kind IN ('failed', 'incomplete') OR g.kind = 'off' AND g.source IN ('tcp4', 'tcp6', 'udp4', 'udp6', 'raw4', 'raw6', 'udplite4', 'udplite6', 'packet', 'unix', 'netlink', 'owners')
                         AND (g.since > (SELECT ts FROM sample WHERE id = (SELECT a FROM w)) OR g.until < (SELECT ts FROM sample WHERE id = (SELECT z FROM w))))
                    AND g.source IS NOT NULL AND g.since < s.until AND coalesce(g.until, 1e99) > s.since) AS failed
    FROM (SELECT k, a, z, n, (SELECT ts FROM sample WHERE id >= a ORDER BY id LIMIT 1) AS since, (SELECT ts FROM sample WHERE id <= z ORDER BY id DESC LIMIT 1) AS until
            FROM (SELECT k, n, a, lead(a, 1, last + 1) OVER (ORDER BY k) - 1 AS z
                    FROM (SELECT k, n, last, max(q,
                                   coalesce((SELECT id + samples FROM long_block WHERE id < q AND id >= (SELECT u FROM long WHERE u < q AND v >= q ORDER BY u DESC LIMIT 1) ORDER BY id DESC LIMIT 1), 0),
                                   coalesce((SELECT id + samples FROM short_block WHERE id < q AND id >= (SELECT u FROM short WHERE u < q AND v >= q ORDER BY u DESC LIMIT 1) ORDER BY id DESC LIMIT 1), 0)) AS a
                            FROM (SELECT k, a AS wa, z AS last, z - a + 1 AS n, z + 1 - ((64 - k) * (z - a + 1) + 63) / 64 AS q
                                    FROM w CROSS JOIN (WITH RECURSIVE number (k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM number WHERE k < 63) SELECT k FROM number))))
           WHERE a <= z) s),
-- g is the number of a process and state, whatever the subjects are that it has; h that of its program, which has several; fa and fh when
-- they first held a socket. Sockets that the kernel ends by itself are nobody's. A connection of MPTCP is there as its subflows, which are tcp.
member AS MATERIALIZED (
  SELECT *, min(g) OVER program AS h, min(fa) OVER program AS fh, min(g) OVER program < max(g) OVER program AND pid IS NOT NULL AS several
    FROM (SELECT s.id, s.netns, s.process, s.proto, s.family, s.state, p.pid, p.comm, p.exe, p.cmdline, s.last_sample,
                 CASE WHEN p.exe GLOB '*/python*' OR p.exe GLOB '*/java' OR p.exe GLOB '*/node*' OR p.exe GLOB '*/ruby*' OR p.exe GLOB '*/perl*'
                        OR p.exe GLOB '*/php*' OR p.exe GLOB '*/*sh' THEN p.cmdline END AS script,
                 min(s.id) OVER process AS g, max(w.a, coalesce(min(p.first_sample) OVER process, 0)) AS fa
            FROM w CROSS JOIN (SELECT s.id FROM w CROSS JOIN socket_trend s ON s.last_sample >= w.a UNION SELECT subject FROM socket_trend_open) u
            CROSS JOIN socket_trend s ON s.id = u.id AND s.first_sample <= w.z LEFT JOIN process p ON p.id = s.process
           WHERE s.state <> 'TIME_WAIT' AND s.proto <> 'mptcp' AND (s.process IS NOT NULL OR s.proto <> 'tcp' OR s.state IN ('ESTABLISHED', 'CLOSE_WAIT', 'LISTEN', 'SYN_SENT', 'CLOSE'))
          WINDOW process AS (PARTITION BY s.netns, s.proto, s.family, s.state, p.pid, p.started, p.comm, p.exe, p.cmdline)) s
  WINDOW program AS (PARTITION BY netns, proto, family, state, comm, exe, script)),
-- Spans and rows of sums there (see store/sums.go): stretches of samples f … t, counted from the begin of the run. n is NULL where
-- the count stood still. CASE instead of min() and max(), and one key for run and subject: there are thousands of rows, and both count.
raw AS MATERIALIZED (
  SELECT r.run << 32 | (p.id & 4294967295) AS key,
         CASE WHEN (p.id >> 32) - p.length < r.a THEN r.a - r.run ELSE (p.id >> 32) - p.length - r.run END AS f,
         CASE WHEN p.id >> 32 > r.z THEN r.z - r.run ELSE (p.id >> 32) - r.run END AS t,
         p.count AS least, p.count AS most, NULL AS n, NULL AS total, NULL AS moment, NULL AS squares, NULL AS first, NULL AS last
    FROM rest r CROSS JOIN socket_trend_span p
      ON p.id BETWEEN r.a << 32 AND ((min(r.z + K_socket_trends - 1, r.stopped) + 1) << 32) - 1 AND (p.id >> 32) - p.length <= r.z
  UNION ALL
  SELECT r.run << 32 | p.subject, CASE WHEN p.from_sample < r.a THEN r.a - r.run ELSE p.from_sample - r.run END, r.z - r.run,
         p.count, p.count, NULL, NULL, NULL, NULL, NULL, NULL
    FROM rest r CROSS JOIN socket_trend_open p ON p.from_sample <= r.z
   WHERE r.run = (SELECT a FROM stretch WHERE run = (SELECT run FROM sample ORDER BY id DESC LIMIT 1))
  UNION ALL
  SELECT r.run << 32 | (p.id & 4294967295),
         CASE WHEN p.id >> 32 < r.u THEN r.u ELSE p.id >> 32 END - r.run,
         CASE WHEN (p.id >> 32) + p.samples > r.v THEN r.v ELSE (p.id >> 32) + p.samples - 1 END - r.run,
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
-- Only those are looked at of which there are at least three more, towards the end, than there were once: processes (one), and
-- programs of several (many). What they count is the least of the rows that begin in the last slot or reach the end; where there is none, the last value, if it is not older
-- than 100 samples.
pick AS MATERIALIZED (
  SELECT id, g, h, fa, fh, z, n, nr, ff, one, many
    FROM (SELECT *, top - CASE WHEN there < z - fa + 1 THEN 0 ELSE lo END >= 3 AS one,
                 several AND sum(CASE nr WHEN 1 THEN top - CASE WHEN there < z - fh + 1 THEN 0 ELSE lo END ELSE 0 END) OVER (PARTITION BY h) >= 3 AS many
            FROM (SELECT id, g, h, fa, fh, several, z, n, nr, ff, there, lo, min(ends & 4294967295, coalesce(top, ends & 4294967295)) AS top
                    FROM (SELECT r.id, m.g, m.h, m.fa, m.fh, m.several, w.z, w.z - w.a + 1 AS n, row_number() OVER g AS nr, sum(r.there) OVER g AS there,
                                 min(r.lo) OVER g AS lo, max(r.ends) OVER g AS ends, min(r.top) OVER g AS top, r.ff
                            FROM w CROSS JOIN (SELECT r.key & 4294967295 AS id, sum(coalesce(r.n, r.t - r.f + 1)) AS there, min(r.least) AS lo, min((r.key >> 32) + r.f) AS ff,
                                         max(CASE WHEN (r.key >> 32) + r.t >= w.z - 100 THEN ((r.key >> 32) + r.t) << 32 | CASE WHEN r.n IS NULL THEN r.least ELSE r.last & 4294967295 END ELSE 0 END) AS ends,
                                         min(CASE WHEN (r.key >> 32) + r.f > w.z - (w.z - w.a + 64) / 64 OR (r.key >> 32) + r.t = w.z THEN r.least END) AS top
                                    FROM w CROSS JOIN raw r GROUP BY id) r
                           CROSS JOIN member m ON m.id = r.id
                          WINDOW g AS (PARTITION BY m.g))))
   WHERE one OR many),
-- Their rows, in samples of the recording, and the slots k … kt that each is in; sample f stands at x seconds, and each for step seconds.
-- Another row of each, without step, says nothing of what there was, but makes it be looked at in every slot.
piece AS MATERIALIZED (
  SELECT p.g, p.h, p.fa, p.fh, p.one, p.many, CASE i WHEN 0 THEN e.a + r.f ELSE p.fa END AS f, CASE i WHEN 0 THEN e.a + r.t ELSE p.z END AS t,
         CASE i WHEN 0 THEN r.least END AS least, CASE i WHEN 0 THEN r.most END AS most, CASE i WHEN 0 THEN r.n ELSE 0 END AS n, CASE i WHEN 0 THEN r.total END AS total,
         CASE i WHEN 0 THEN r.moment END AS moment, CASE i WHEN 0 THEN r.squares END AS squares, CASE i WHEN 0 THEN r.first END AS first, CASE i WHEN 0 THEN r.last END AS last,
         e.x + e.step * r.f AS x, CASE i WHEN 0 THEN e.step END AS step, 63 - (p.z - CASE i WHEN 0 THEN e.a + r.f ELSE p.fa END) * 64 / p.n AS k,
         CASE i WHEN 0 THEN 63 - (p.z - CASE WHEN r.n IS NULL THEN r.t ELSE r.f END - e.a) * 64 / p.n ELSE 63 END AS kt
    FROM raw r CROSS JOIN pick p ON p.id = r.key & 4294967295 CROSS JOIN stretch e ON e.a = r.key >> 32
   CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1) ON NOT i OR p.nr = 1 AND e.a + r.f = p.ff),
-- Sums over samples, in each slot. A group that is absent counts 0 and adds nothing.
part AS (
  SELECT g, h, fa, fh, one, many, k, a, z, failed, max(step) * (z - a + 1) AS seconds, sum(coalesce(n, t - f + 1)) AS n,
         min(lo) >> 32 AS lo, 4294967295 - (min(lo) & 4294967295) AS lo_at, max(most) AS hi,
         sum(coalesce(total, least * (t - f + 1)) * step) AS sy,
         sum((coalesce(total, least * (t - f + 1)) * x + coalesce(moment, least * ((t - f + 1) * (t - f) / 2)) * step) * step) AS sxy,
         sum(coalesce(squares, least * least * (t - f + 1)) * step) AS syy,
         min(coalesce(first, least) + (f << 32)) AS first, max(coalesce(last, least) + (t << 32)) AS final
    FROM (SELECT p.g, p.h, p.fa, p.fh, p.one, p.many, s.k, s.a, s.z, s.failed, p.least, p.most, p.n, p.total, p.moment, p.squares, p.first, p.last, p.step,
                 p.least << 32 | 4294967295 - CASE WHEN p.n IS NULL AND p.t > s.z THEN s.z ELSE p.t END AS lo,
                 CASE WHEN p.n IS NULL AND p.f < s.a THEN s.a ELSE p.f END AS f, CASE WHEN p.n IS NULL AND p.t > s.z THEN s.z ELSE p.t END AS t,
                 CASE WHEN p.n IS NULL AND p.f < s.a THEN p.x + (s.a - p.f) * p.step ELSE p.x END AS x
            FROM piece p CROSS JOIN slot s ON s.k BETWEEN p.k AND p.kt AND s.z >= p.f AND (p.n NOT NULL OR s.a <= p.t))
   GROUP BY g, k),
-- The floor m of each slot: how many there were all the time; m_at is the last sample with so few. A process and state is a unit, and a
-- program is: of that it is the sum of those of its processes, at most the true one.
floor AS MATERIALIZED (
  SELECT unit, program, h, fa, k, a, z, sum(m) AS m, CASE program WHEN 0 THEN m_at ELSE z END AS m_at, max(hi) AS hi, coalesce(sum(sy), 0) AS sy, coalesce(sum(sxy), 0) AS sxy,
         CASE program WHEN 0 THEN coalesce(sum(syy), 0) ELSE coalesce(sum(sy) * sum(sy), 0) / max(seconds) END AS syy, sum(first) AS first, sum(last) AS last
    FROM (SELECT unit, program, h, fa, k, a, z, seconds, hi, sy, sxy, syy,
                 CASE WHEN n + failed >= z - max(a, fa) + 1 THEN lo ELSE 0 END AS m,
                 CASE WHEN n + failed >= z - max(a, fa) + 1 THEN lo_at WHEN n = z - (first >> 32) + 1 THEN (first >> 32) - 1 ELSE z END AS m_at,
                 CASE WHEN first >> 32 = max(a, fa) THEN first & 4294967295 ELSE 0 END AS first,
                 CASE WHEN k = 63 AND final >> 32 >= z - failed THEN final & 4294967295 ELSE 0 END AS last
            FROM (SELECT p.*, i AS program, CASE i WHEN 0 THEN p.g ELSE p.h + 4294967296 END AS unit, CASE i WHEN 0 THEN p.fg ELSE p.fh END AS fa
                    FROM (SELECT g, h, fa AS fg, fh, one, many, k, a, z, failed, seconds, n, lo, lo_at, hi, sy, sxy, syy, first, final FROM part) p
                   CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1) ON CASE i WHEN 0 THEN one ELSE many END))
   GROUP BY unit, k),
-- The same in 8, 16, 32 and 64 parts. Growth is looked for in the last eight of each: in all the window, its half, quarter and eighth.
coarse AS (
  SELECT unit, e.shift, k >> e.shift > (63 >> e.shift) - 8 AS recent, k >> e.shift AS j, min(m) AS m
    FROM floor CROSS JOIN (SELECT 3 AS shift UNION ALL SELECT 2 UNION ALL SELECT 1 UNION ALL SELECT 0) e
   GROUP BY unit, e.shift, j),
-- b is the last of them in which there were so few.
low AS (
  SELECT *, max(CASE WHEN recent AND m <= base THEN j END) OVER (PARTITION BY unit, shift) AS b
    FROM (SELECT *, max(CASE WHEN j = 63 >> shift THEN m END) OVER (PARTITION BY unit, shift) AS top, min(CASE WHEN recent THEN m END) OVER (PARTITION BY unit, shift) AS base
            FROM coarse)
   WHERE top - base >= 3),
-- Since then: in how many parts it rose above all before, the greatest step, and how far it fell below what it had been. Before it there
-- were not many more: those were given back, and these may be, too.
climb AS (
  SELECT unit, shift, base, top, sum(j > b AND m > was) AS rises, max(CASE WHEN j > b THEN m - before END) AS step, max(CASE WHEN j > b THEN max(was, m) - m END) AS fell
    FROM (SELECT *, lag(m) OVER o AS before, max(CASE WHEN j >= b THEN m END) OVER (o ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS was
            FROM low
          WINDOW o AS (PARTITION BY unit, shift ORDER BY j))
   GROUP BY unit, shift
  HAVING top - base >= 2 * coalesce(max(CASE WHEN j < b THEN m END) - base, 0)),
-- In slots: what to fit a line to, and, since the last slot in which there were so few: how unevenly it comes (half of the squares of the
-- changes of its pace), and how far it swings: as far as it fell, and a little more where it is uneven, for it may not have swung as far as it can.
swing AS (
  SELECT *, max(m) OVER p AS most, avg(CASE WHEN nr > 2 THEN bend * bend / 2.0 END) OVER p AS uneven,
         max(peak - m) OVER p + coalesce((avg(CASE WHEN nr > 2 THEN bend * bend / 2.0 END) OVER p >= 4) + (avg(CASE WHEN nr > 2 THEN bend * bend / 2.0 END) OVER p >= 16), 0) AS swing
    FROM (SELECT *, max(m) OVER o AS peak, row_number() OVER o AS nr, m - 2 * lag(m) OVER o + lag(m, 2) OVER o AS bend
            FROM (SELECT *, max(CASE WHEN z <= kz THEN m END) OVER (PARTITION BY unit, shift) AS past
                    FROM (SELECT c.*, f.program, f.h, f.k, f.m, f.a, f.z, max(CASE WHEN f.m <= c.base THEN f.z END) OVER u AS kz,
                                 max(CASE WHEN f.m <= c.base THEN f.z << 32 | f.m_at END) OVER u & 4294967295 AS onset,
                                 min(CASE WHEN f.k >> c.shift > (63 >> c.shift) - 8 THEN max(f.fa, f.a) END) OVER u AS fa,
                                 max(CASE WHEN f.k >> c.shift > (63 >> c.shift) - 8 THEN max(coalesce(f.hi, f.m), coalesce(f.m, f.hi)) END) OVER u AS hi,
                                 sum(CASE WHEN f.k >> c.shift > (63 >> c.shift) - 8 THEN f.sy END) OVER u AS sy,
                                 sum(CASE WHEN f.k >> c.shift > (63 >> c.shift) - 8 THEN f.sxy END) OVER u AS sxy,
                                 sum(CASE WHEN f.k >> c.shift > (63 >> c.shift) - 8 THEN f.syy END) OVER u AS syy,
                                 min(CASE WHEN f.k >> c.shift > (63 >> c.shift) - 8 THEN f.k << 32 | f.first END) OVER u & 4294967295 AS first_count, sum(f.last) OVER u AS last_count
                            FROM climb c CROSS JOIN floor f ON f.unit = c.unit
                          WINDOW u AS (PARTITION BY c.unit, c.shift)))
           WHERE a > kz
          WINDOW o AS (PARTITION BY unit, shift ORDER BY k))
  WINDOW p AS (PARTITION BY unit, shift)),
-- below is when it was last below what it holds but for its swings; gap the time that one socket more takes; v how unevenly.
paced AS (
  SELECT *, uneven / len * gap AS v
    FROM (SELECT *, 1.0 * max(1, below - kz) / max(1, most - swing - base) AS gap
            FROM (SELECT unit, shift, program, h, base, top, rises, step, fell, kz, onset, past, fa, hi, sy, sxy, syy, first_count, last_count, most, swing, max(kz, coalesce(max(CASE WHEN m < most - swing THEN z END), 0)) AS below,
                         uneven, max(z - a + 1) AS len
                    FROM swing GROUP BY unit, shift))),
judged AS (
  SELECT unit, shift, program, h, base, top, past, kz, onset, fa, hi, sy, sxy, syy, first_count, last_count, w.a AS wa, w.z AS wz,
         -- It rose in several parts, not in one step, and by far more than it swings.
         top - base >= 5 AND uneven IS NOT NULL AND top - base >= 3 * fell AND top - base >= 2 * swing AS grew,
         rises >= 3 AND 2 * step <= top - base AS steady,
         -- It goes on if it rests for no longer than some more sockets would take, the more of them the less evenly they come.
         w.z - below <= gap * (1.5 + 5 * min(v, 1) + 2 * max(min(v, 12) - 1, 0)) + 1.5 * len AS goes_on
    FROM w CROSS JOIN paced p),
fit AS (
  SELECT *, sxx / sw - (sx / sw) * (sx / sw) AS vx, syy / sw - (sy / sw) * (sy / sw) AS vy, sxy / sw - (sx / sw) * (sy / sw) AS vxy
    FROM (SELECT *, sum(n * step_s) AS sw, sum((n * x + step_s * i) * step_s) AS sx, sum((n * x * x + 2 * x * step_s * i + step_s * step_s * ii) * step_s) AS sxx
            FROM (SELECT *, v1 - u1 + 1 AS n, (v1 - u1 + 1) * (u1 + v1) / 2.0 AS i, (v1 * (v1 + 1) * (2 * v1 + 1) - (u1 - 1) * u1 * (2 * u1 - 1)) / 6.0 AS ii
                    FROM (SELECT j.*, r.step AS step_s, r.x, max(j.fa, r.a) - r.a AS u1, r.z - r.a AS v1 FROM judged j CROSS JOIN stretch r ON r.z >= j.fa))
           GROUP BY unit, shift)),
-- Of each the longest that shows it about as well as any; of a program only where no process of it does. What is of no more use need not
-- go on, but it stays for a tenth of the window.
best AS (
  SELECT *
    FROM (SELECT *, row_number() OVER (PARTITION BY unit ORDER BY leak DESC, r2 >= most_r2 - 0.05 DESC, shift DESC) AS place, max(CASE program WHEN 0 THEN leak END) OVER (PARTITION BY h) AS single
            FROM (SELECT *, max(r2) OVER (PARTITION BY unit, leak) AS most_r2
                    FROM (SELECT f.*, m.netns, m.pid, m.comm, m.cmdline, m.proto, m.family, m.state, vxy / vx AS slope, CASE WHEN vy > 0 THEN vxy * vxy / (vx * vy) END AS r2,
                                 grew AND (steady AND goes_on OR (m.state = 'CLOSE_WAIT' OR m.state = 'CLOSE' AND m.proto = 'tcp') AND 10 * (wz - kz) >= wz - wa AND top - base >= 2 * (past - base)) AS leak
                            FROM fit f CROSS JOIN member m ON m.id = f.unit & 4294967295 WHERE vxy > 0 AND vx > 0)))
   WHERE place = 1 AND (NOT program OR coalesce(single < leak, 1))),
-- What these hold at the end of the window: when the oldest was seen, what waits in them, and descriptors in use.
aged AS (
  SELECT b.*, min(c.oldest) AS oldest, sum(CASE WHEN b.state <> 'LISTEN' THEN c.queued END) AS queued, count(DISTINCT CASE WHEN c.oldest THEN m.g END) AS processes,
         max(d.fds) AS fds, max(d.fd_limit) AS fd_limit
    FROM best b CROSS JOIN member m ON m.h = b.h AND (b.program OR m.g = b.unit)
    LEFT JOIN (SELECT s.*, p.oldest, p.queued
                 FROM (SELECT p.id & 4294967295 AS id, p.oldest, p.recv_q + p.send_q AS queued FROM w CROSS JOIN socket_count_span p
                           ON p.id BETWEEN w.z << 32 AND ((w.z + K_socket_counts) << 32) - 1 AND (p.id >> 32) - p.length <= w.z
                       UNION ALL
                       SELECT p.subject, p.oldest, p.recv_q + p.send_q FROM w CROSS JOIN socket_count_open p ON p.from_sample <= w.z) p CROSS JOIN socket_count s ON s.id = p.id) c
           ON c.process IS m.process AND c.state = m.state AND c.proto = m.proto AND c.family IS m.family AND c.netns IS m.netns
    LEFT JOIN (SELECT p.id, p.fds, t.fd_limit
                 FROM (SELECT p.id & 4294967295 AS id, p.tuple, p.fds FROM w CROSS JOIN process_span p
                           ON p.id BETWEEN w.z << 32 AND ((w.z + K_processes) << 32) - 1 AND (p.id >> 32) - p.length <= w.z
                       UNION ALL
                       SELECT p.subject, p.tuple, p.fds FROM w CROSS JOIN process_open p ON p.from_sample <= w.z) p CROSS JOIN process_tuple t ON t.id = p.tuple) d
           ON d.id = m.process
   GROUP BY b.unit),
-- How many are known one by one, are held (of what a process has closed the kernel waits for the other end), and are not of the last quarter of the
-- growth: where nearly all are, they come and go. Where most go, each as a number of ten digits and who it is: to one port elsewhere (with
-- all sockets that go there), from one port here, to one host.
peered AS (
  SELECT *, max(CASE WHEN remote_port > 0 THEN printf('%010d%010d', there_n, used) || CASE WHEN remote_addr LIKE '%:%' THEN '[' || remote_addr || ']' ELSE remote_addr END || ':' || remote_port END) AS there,
         max(CASE WHEN remote_port > 0 THEN printf('%010d', here_n) || local_port END) AS here, max(CASE WHEN remote_port > 0 THEN printf('%010d', host_n) || remote_addr END) AS host,
         count(seen) AS known, sum(owner_how = 'fd') AS held, sum(4 * (seen - onset) <= 3 * (wz - onset)) AS older
    FROM (SELECT b.*, o.local_port, o.remote_addr, o.remote_port, o.used, o.owner_how, o.seen, count(*) OVER (PARTITION BY b.unit, o.remote_addr, o.remote_port) AS there_n,
                 count(*) OVER (PARTITION BY b.unit, o.local_port) AS here_n, count(*) OVER (PARTITION BY b.unit, o.remote_addr) AS host_n
            FROM (SELECT b.*, m.process FROM aged b CROSS JOIN member m ON m.h = b.h AND (b.program OR m.g = b.unit)) b
            LEFT JOIN (SELECT s.netns, s.proto, s.family, s.local_port, s.remote_addr, s.remote_port, s.first_sample AS seen, t.state, t.process, t.owner_how,
                              count(*) OVER (PARTITION BY s.netns, s.proto, s.remote_addr, s.remote_port) AS used
                         FROM (SELECT p.id & 4294967295 AS id, p.tuple FROM w CROSS JOIN socket_span p
                                   ON p.id BETWEEN w.whole << 32 AND ((w.whole + K_sockets) << 32) - 1 AND (p.id >> 32) - p.length <= w.whole
                               UNION ALL
                               SELECT p.subject, p.tuple FROM w CROSS JOIN socket_open p ON p.from_sample <= w.whole) p
                        CROSS JOIN socket s ON s.id = p.id CROSS JOIN socket_tuple t ON t.id = p.tuple) o
                   ON b.leak AND o.process IS b.process AND o.state = b.state AND o.proto = b.proto AND o.family IS b.family AND o.netns IS b.netns)
   GROUP BY unit),
-- Settings at the end of the window: the first and the last of their numbers.
sysctl AS (
  SELECT s.netns, s.name, CAST(t.value AS INTEGER) AS lowest, CAST(replace(t.value, rtrim(t.value, '0123456789'), '') AS INTEGER) AS highest
    FROM (SELECT p.id & 4294967295 AS id, p.tuple FROM w CROSS JOIN setting_span p
              ON p.id BETWEEN w.z << 32 AND ((w.z + K_settings) << 32) - 1 AND (p.id >> 32) - p.length <= w.z
          UNION ALL
          SELECT p.subject, p.tuple FROM w CROSS JOIN setting_open p ON p.from_sample <= w.z) p
   CROSS JOIN setting s ON s.id = p.id AND s.name IN ('net.ipv4.ip_local_port_range', 'net.ipv4.tcp_mem', 'net.ipv4.udp_mem')
   CROSS JOIN setting_tuple t ON t.id = p.tuple),
-- What they run into, in sockets that are left until then; memory if each holds as much as these do.
bound AS (
  SELECT *, CASE WHEN fd_left <= min(coalesce(ports_left, fd_left), coalesce(memory_left, fd_left)) THEN 'descriptors'
                 WHEN ports_left <= coalesce(memory_left, ports_left) THEN 'ports' WHEN memory_left NOT NULL THEN 'memory' END AS limit_name
    FROM (SELECT *, CASE program WHEN 0 THEN fd_limit - fds END AS fd_left, ports - CAST(substr(there, 11, 10) AS INTEGER) AS ports_left,
                 CAST(max(0, pages - pages_used) * 4096 * last_count / queued AS INTEGER) AS memory_left
            FROM (SELECT p.*, substr(here, 1, 10) > substr(there, 1, 10) AS accepted,
                         CASE WHEN proto = 'tcp' AND substr(here, 1, 10) <= substr(there, 1, 10) THEN v.highest - v.lowest + 1 END AS ports,
                         CASE WHEN leak AND queued > 0 THEN (SELECT max(highest) FROM sysctl WHERE name = 'net.ipv4.' || p.proto || '_mem') END AS pages,
                         CASE WHEN leak AND queued > 0 THEN (SELECT max(c.value)
                            FROM (SELECT p.id & 4294967295 AS id, p.value FROM w CROSS JOIN protocol_counter_span p
                                      ON p.id BETWEEN w.z << 32 AND ((w.z + K_protocol_counters) << 32) - 1 AND (p.id >> 32) - p.length <= w.z
                                  UNION ALL
                                  SELECT p.subject, p.value FROM w CROSS JOIN protocol_counter_open p ON p.from_sample <= w.z) c
                           CROSS JOIN protocol_counter s ON s.id = c.id AND s.file = 'sockstat' AND s.proto = upper(p.proto) AND s.name = 'mem') END AS pages_used
                    FROM peered p LEFT JOIN sysctl v ON v.name = 'net.ipv4.ip_local_port_range' AND v.netns IS p.netns)))
SELECT a.ts AS since, e.ts AS until, b.netns, CASE b.program WHEN 0 THEN b.pid END AS pid, b.comm, b.cmdline, b.proto, b.family, b.state,
       b.first_count, b.last_count, b.base AS min_count, max(b.hi, b.last_count, b.first_count) AS max_count,
       round(3600 * b.slope, 1) AS per_hour, round(b.r2, 3) AS r2, round(e.ts - b.oldest) AS oldest_s, g.ts AS began, b.goes_on,
       CASE WHEN b.pid IS NOT NULL THEN max(b.processes, 1) END AS processes,
       CASE WHEN b.accepted THEN substr(b.host, 11) ELSE substr(b.there, 21) END AS remote,
       CAST(CASE WHEN b.accepted THEN substr(b.host, 1, 10) ELSE substr(b.there, 1, 10) END AS INTEGER) AS remote_count,
       CASE WHEN b.accepted THEN CAST(substr(b.here, 11) AS INTEGER) END AS local_port, b.limit_name,
       CASE b.limit_name WHEN 'ports' THEN b.ports - b.ports_left WHEN 'descriptors' THEN b.fds WHEN 'memory' THEN b.pages_used END AS limit_used,
       CASE b.limit_name WHEN 'ports' THEN b.ports WHEN 'descriptors' THEN b.fd_limit WHEN 'memory' THEN b.pages END AS limit_count,
       CASE WHEN b.goes_on THEN round(e.ts + CASE b.limit_name WHEN 'ports' THEN b.ports_left WHEN 'descriptors' THEN b.fd_left WHEN 'memory' THEN b.memory_left END / b.slope) END AS limit_at,
       b.leak AND coalesce(e.ts - b.oldest >= 0.75 * (e.ts - g.ts), 1) AND (b.state NOT IN ('FIN_WAIT1', 'FIN_WAIT2', 'CLOSING', 'LAST_ACK') OR 2 * coalesce(b.held, 0) > b.last_count)
         AND (2 * b.known < b.last_count OR 10 * coalesce(b.older, 0) >= b.top - b.base) AS leak
  FROM bound b CROSS JOIN sample a ON a.id = (SELECT id FROM sample WHERE id >= b.fa ORDER BY id LIMIT 1) CROSS JOIN sample e ON e.id = b.wz
 CROSS JOIN sample g ON g.id = (SELECT id FROM sample WHERE id <= b.onset ORDER BY id DESC LIMIT 1)
 ORDER BY leak DESC, b.slope * coalesce(b.r2, 0) DESC
