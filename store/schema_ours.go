package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrAltered: others have changed the schema, so that writing would do more or less than it should: a trigger would run, a
// row would be refused.
var ErrAltered = errors.New("changed by another program")

// schemaSums are those of the tables and indexes of each format, from 1 on. A test makes them again.
var schemaSums = [...]string{
	"92999369de65dace8a648aae7aca97d2",
	"63ddec5a34318781c67946c02da7d49f",
	"24188c106baaa083d01744f67e1d87cf",
	"7c2bc3c0c4594549c44ae9aeccbbf404",
	"0e53aafda04df2a3bfd63f6666fa8ef7",
	"e1dd669450124ce0be8496a058fbe38b",
	"886d4818cfe4347ff65b1dfcc2545ed1",
	"8a0e4c140a2f80c5008d0cca10a0fb30",
	"a4c2c85b08bb7433abc1cc0381878b72",
	"b88ee231c2858526b8a577cf4e8bb034",
	"21f7609d73a1fc03bacbed1e761cf094",
	"e7818c62cfcae46b426df3b5c520465f",
	"5bdd6feec6ef2765da6be829203ba57e",
	"efab88635cbd28fc1468cbf8bdccb324",
	"6804972d1c8333b996ec09c98106ab2c",
	"7abc3a7163f783601cdb4b9a68ba6e53",
	"1a81b1ebfc3f5f2275794401076b7dbd",
	"9a779f61c1485d8dd07a99a94ad7b1bc",
	"b44d4f405c27103162b6f0bbae5408af",
	"03c5bf56a7670e0fdbf61c19390a95f9",
	"f5bc1ff6dad5494bb15046e6e7488110",
	"3ffd4570384dd5428166669336ea4481",
	"f33976faa25aaf9fae10ff6e9cfdf88e",
	"b76c6ae25de7ef6d7b8ac17df3f3d0a5",
	"6a1ed591b4548981e0db8f140b686d45",
	"83da8738c876ca527f0ffd8b0e9b1bb0",
	"8784ab18995eb297b20c90aecb6a8cfb",
	"d062d7d3b7f07ac20e326eb938335827",
	"51958e5a6796d2bbbc73886e81f0ef97",
}

// checkOurs refuses a recording of that format whose tables and indexes are not those that netsql makes, or which has triggers, before
// something is written to it. Views are made again, and tables and indexes of other names do nothing.
func checkOurs(ctx context.Context, q querier, path string, format int) error {
	objects, err := readObjects(ctx, q)
	if err != nil {
		return err
	}
	if format <= len(schemaSums) && sumOf(objects) == schemaSums[format-1] {
		return nil
	}
	altered := func(what string) error {
		return fmt.Errorf("%s was %w: %s: save what is readable: netsql recover %[1]s NEW", path, ErrAltered, what)
	}
	for _, o := range objects {
		if strings.HasPrefix(o.name, "trigger ") {
			return altered("it has the " + o.name)
		}
	}
	want, _, err := schemaOf(ctx, format, newPageSize)
	if err != nil {
		return err
	}
	for _, w := range want {
		if strings.HasPrefix(w.name, "index sqlite_") {
			continue // it stands and falls with its table
		}
		i := slices.IndexFunc(objects, func(o schemaObject) bool { return o.name == w.name })
		switch {
		case i < 0:
			return altered("the " + w.name + " is missing")
		case objects[i].text != w.text:
			return altered("the " + w.name + " is not what netsql made it")
		}
	}
	return nil
}

// A querier is a connection, a pool of them or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readObjects reads all of the schema but the views, the glossary and what SQLite itself makes, in the order of names.
func readObjects(ctx context.Context, q querier) ([]schemaObject, error) {
	rows, err := q.QueryContext(ctx, `SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema WHERE type <> 'view' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND NOT (`+isWords+`)`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var objects []schemaObject
	for rows.Next() {
		var o schemaObject
		if err := rows.Scan(&o.name, &o.text); err != nil {
			return nil, err
		}
		o.text = strings.Join(strings.Fields(o.text), " ")
		objects = append(objects, o)
	}
	slices.SortFunc(objects, func(a, b schemaObject) int { return cmp.Compare(a.name, b.name) })
	return objects, rows.Err()
}

func sumOf(objects []schemaObject) string {
	hash := sha256.New()
	for _, o := range objects {
		fmt.Fprintf(hash, "%s\n%s\n", o.name, o.text)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}
