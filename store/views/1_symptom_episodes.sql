-- Which symptoms were there in the window, from when to when? Those that are less than five minutes apart are one episode.
--
-- netns: Inode number of the network namespace; NULL for what is of the whole machine.
-- symptom: What was seen; see symptoms.
-- pid: Process id; NULL where none is known, and where it was of several processes of a program.
-- comm: Name of the program; NULL where none is known.
-- who: Program and process in words; NULL where none is known.
-- local_port: Local port.
-- remote_addr: Address of the other end.
-- remote_port: Port of the other end.
-- dev: Interface.
-- since (unix s): First sample that saw it.
-- last (unix s): Last sample that saw it.
-- until (unix s): The same, or NULL where it may go on: it was seen in the last five minutes of the window.
-- samples: Samples that saw it.
-- amount: Sum of the amounts: of a counter, all that it grew.
-- least: Least amount in a sample.
-- most: Largest amount in a sample.
-- final: Amount in the last sample that saw it.
-- total: Sum of the totals.
-- least_total: Least total in a sample.
-- most_total: Largest total in a sample.
-- rises: How often the amount was larger than in the sample before that saw it.
-- falls: How often it was smaller.
SELECT netns, symptom, iif(min(pid) = max(pid), max(pid), NULL) AS pid, comm,
       comm || iif(min(pid) = max(pid), ' (pid ' || max(pid) || ')', coalesce(' (' || count(DISTINCT pid) || ' processes)', '')) AS who,
       local_port, remote_addr, remote_port, dev, min(since) AS since, max(last) AS last,
       iif(max(last) > max(newest) - 300, NULL, max(last)) AS until,
       sum(t - f + 1) AS samples, sum(amount * (t - f + 1)) AS amount, min(amount) AS least, max(amount) AS most,
       max(t << 32 | min(amount, 4294967295)) & 4294967295 AS final, sum(total * (t - f + 1)) AS total, min(total) AS least_total, max(total) AS most_total,
       sum(coalesce(step > 0, 0)) AS rises, sum(coalesce(step < 0, 0)) AS falls
  FROM (SELECT *, sum(begins) OVER (PARTITION BY netns, symptom, whose, local_port, remote_addr, remote_port, dev ORDER BY f, t ROWS UNBOUNDED PRECEDING) AS n
  FROM (SELECT *, since - max(last) OVER (o ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) > 300 AS begins, amount - lag(amount) OVER o AS step
  FROM (SELECT s.netns, s.symptom, r.pid, r.comm, s.local_port, s.remote_addr, s.remote_port, s.dev, p.f, p.t, (SELECT ts FROM sample WHERE id = p.z) AS newest, p.amount, p.total, b.ts AS since, e.ts AS last,
               iif(s.symptom IN ('CLOSE_WAIT', 'descriptors'), r.id, r.comm) AS whose
          FROM (SELECT p.id & 4294967295 AS subject, max((p.id >> 32) - p.length, a) AS f, min(p.id >> 32, z) AS t, z, amount, total
                  FROM (SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
                       (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM "window") w
                 CROSS JOIN symptom_span p ON p.id BETWEEN a << 32 AND ((z + K_symptoms) << 32) - 1 AND (p.id >> 32) - p.length <= z
                UNION ALL
                SELECT p.subject, max(p.from_sample, a), z, z, amount, total
                  FROM (SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
                       (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM "window") w
                 CROSS JOIN symptom_open p ON p.from_sample <= z) p
          CROSS JOIN symptom s ON s.id = p.subject CROSS JOIN sample b ON b.id = p.f CROSS JOIN sample e ON e.id = p.t
          LEFT JOIN process r ON r.id = s.process)
        WINDOW o AS (PARTITION BY netns, symptom, whose, local_port, remote_addr, remote_port, dev ORDER BY f, t)))
 GROUP BY netns, symptom, whose, local_port, remote_addr, remote_port, dev, coalesce(n, 0)
