package store

import (
	"context"
	"fmt"
)

// checkSums holds that blocks are of one run each and follow each other, and that sums are what the spans add up to.
func (c *checker) checkSums(ctx context.Context) error {
	if !c.have["short_block"] || !c.have["long_block"] {
		return nil // an older format has none; what should be there and is not has been said
	}
	if err := c.law(ctx, "run", `SELECT printf('run %d began with sample %d, and its row says otherwise', m.run, m.first)
		FROM (SELECT run, min(id) AS first FROM sample GROUP BY run) m JOIN run u ON u.id = m.run
		WHERE u.first_sample IS NULL OR u.first_sample > m.first OR u.first_sample < m.first AND m.first > ?`, c.oldest); err != nil {
		return err
	}
	for _, l := range []blockLength{shortBlock, longBlock} {
		if err := c.law(ctx, l.blocks(), l.faults(), c.oldest); err != nil {
			return err
		}
		for _, s := range Sums() {
			if !c.have[s.rows(l)] || !c.have[s.rows(shortBlock)] || !c.have[s.From.Subject+"_span"] || !c.have[s.From.Subject+"_open"] {
				continue
			}
			if err := c.checkSum(ctx, s, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// faults asks for blocks that cannot be. Those that begin before the oldest sample are about to go.
func (l blockLength) faults() string {
	parts := ""
	if l == longBlock {
		parts = `
		WHEN b.samples <> (SELECT sum(samples) FROM short_block WHERE id >= b.id AND base = b.id) THEN 'is not the short blocks that have it as their base'`
	}
	return fmt.Sprintf(`SELECT 'block ' || id || ' ' || fault FROM (SELECT b.id, CASE
		WHEN b.samples < 1 OR b.id + b.samples - 1 > (SELECT max(id) FROM sample) THEN 'ends with a sample that is not there'
		WHEN EXISTS (SELECT 1 FROM run WHERE first_sample > b.id AND first_sample < b.id + b.samples) THEN 'is of several runs'
		WHEN b.base > b.id OR b.base < b.base0 THEN 'has a base that it cannot have'
		WHEN b.id < b.next0 THEN 'overlaps with the one before it'
		WHEN b.id > b.next0 AND NOT EXISTS (SELECT 1 FROM run WHERE first_sample >= b.next0 AND first_sample <= b.id) THEN 'does not follow the one before it'%s
		END AS fault
		FROM (SELECT *, lag(base) OVER w AS base0, lag(id + samples) OVER w AS next0 FROM %s WHERE id >= ? WINDOW w AS (ORDER BY id)) b) WHERE fault NOT NULL`, parts, l.blocks())
}

// checkSum works the sums of every block out once more.
func (c *checker) checkSum(ctx context.Context, s *Sum, l blockLength) error {
	rows := s.rows(l)
	if err := c.law(ctx, rows, fmt.Sprintf(`SELECT printf('the row of %[1]s %%d from sample %%d on is of no block', id & 4294967295, id >> 32) FROM %[2]s p
		WHERE id >= ? << 32 AND NOT (EXISTS (SELECT 1 FROM %[3]s WHERE id = p.id >> 32) AND EXISTS (SELECT 1 FROM %[3]s WHERE id + samples = (p.id >> 32) + p.samples))`,
		s.From.Subject, rows, l.blocks()), c.oldest); err != nil {
		return err
	}
	blocks, err := c.blocks(ctx, l)
	if err != nil {
		return c.unreadable(ctx, l.blocks(), err)
	}
	for i, b := range blocks {
		c.progress(rows, int64(i))
		got := fmt.Sprintf(`SELECT id & 4294967295, least, most, coalesce(n, %[1]d), coalesce(total, least * %[1]d), coalesce(moment, least * (%[1]d * (%[1]d - 1) / 2)),
			coalesce(squares, least * least * %[1]d), coalesce(first, least), coalesce(last, least)
			FROM %[2]s WHERE id BETWEEN %[3]d AND %[4]d AND (id >> 32) + samples > %[5]d`, b.samples, rows, b.base<<32, (b.first+1)<<32-1, b.first)
		if err := c.law(ctx, rows, fmt.Sprintf(`WITH want AS MATERIALIZED (%[1]s), got AS MATERIALIZED (%[2]s)
			SELECT DISTINCT printf('what is said of %[3]s %%d in the block of %[4]d samples from %[5]d on is not what the spans say', subject)
			  FROM (SELECT * FROM (SELECT * FROM want EXCEPT SELECT * FROM got) UNION ALL SELECT * FROM (SELECT * FROM got EXCEPT SELECT * FROM want))`,
			s.of(b), got, s.From.Subject, b.samples, b.first)); err != nil {
			return err
		}
	}
	return nil
}

// blocks lists those of a length that begin with the oldest sample or later.
func (c *checker) blocks(ctx context.Context, l blockLength) ([]block, error) {
	rows, err := c.q.QueryContext(ctx, "SELECT id, samples, base FROM "+l.blocks()+" WHERE id >= ? AND samples BETWEEN 1 AND 1 << 31 ORDER BY id", c.oldest)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var blocks []block
	for rows.Next() {
		b := block{length: l}
		if err := rows.Scan(&b.first, &b.samples, &b.base); err != nil {
			return nil, err
		}
		blocks = append(blocks, b)
	}
	return blocks, rows.Err()
}
