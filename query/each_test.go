package query

import (
	"database/sql/driver"
	"fmt"
	"math"
	"strings"
	"testing"
)

// What Each visits is what Query reads, column by column.
func TestEachIsQuery(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	columns := []string{"ts", "proto", "local_port", "remote_addr", "path", "rtt_ms", "bytes_sent", "x'00ff'", "-9223372036854775808", "'a' || char(0) || 'ü'", "1e999", "''", "x''"}
	const from = "FROM sockets WHERE ts = at() ORDER BY cookie, local_port, state"
	var want, got []string
	rows, err := r.Query(t.Context(), "SELECT "+strings.Join(columns, ", ")+" "+from)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		line := ""
		for _, v := range values {
			if b, is := v.([]byte); is {
				v = string(b)
			}
			line += fmt.Sprintf("%T %[1]v, ", v)
		}
		want = append(want, line)
	}
	if err := r.Each(t.Context(), columns, from, func(row []Value) error {
		line := ""
		for _, v := range row {
			var is any
			switch v.kind {
			case packedInt:
				is = v.Int()
			case packedFloat:
				is = v.Float()
			case packedText:
				is = v.Text()
			}
			if v.Known() != (is != nil) {
				t.Errorf("%v is known: %t", is, v.Known())
			}
			line += fmt.Sprintf("%T %[1]v, ", is)
		}
		got = append(got, line)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("Each:\n%s\nQuery:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What a user names sample is no table of samples to at().
func TestAtAmongTablesOfTheUser(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	read := func() (ts float64) {
		if err := r.Each(t.Context(), []string{"at()"}, "", func(row []Value) error { ts = row[0].Float(); return nil }); err != nil {
			t.Fatal(err)
		}
		return ts
	}
	want := read()
	if _, err := r.conn.Conn.ExecContext(t.Context(), "CREATE TEMP TABLE sample (id, ts, back); CREATE TEMP TABLE gap (x)"); err != nil {
		t.Fatal(err)
	}
	if got := read(); got != want || got == 0 {
		t.Errorf("at() is %f, not %f", got, want)
	}
	// After the moment was set to another it is none of before.
	r.at, r.exactly = unixTime(want).Add(-1e9), true
	if got := read(); got >= want {
		t.Errorf("at() is %f, not before %f", got, want)
	}
	r.at, r.exactly = unixTime(want), true
	var got float64
	if err := r.conn.Conn.QueryRowContext(t.Context(), "SELECT at()").Scan(&got); err != nil || got != want {
		t.Errorf("at() is %f, not %f: %v", got, want, err)
	}
}

func FuzzUnpack(f *testing.F) {
	r := &Recording{}
	packed, err := r.pack([]driver.Value{nil, int64(math.MinInt64), 1.5, "text", []byte{0}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(packed.([]byte)))
	f.Add("")
	f.Fuzz(func(t *testing.T, packed string) {
		row := make([]Value, 5)
		if unpack(packed, row) != nil {
			return
		}
		var values []driver.Value
		for _, v := range row {
			switch v.kind {
			case packedNull:
				values = append(values, nil)
			case packedInt:
				values = append(values, v.Int())
			case packedFloat:
				values = append(values, v.Float())
			default:
				values = append(values, v.Text())
			}
		}
		again, err := r.pack(values)
		if err != nil {
			t.Fatal(err)
		}
		back := make([]Value, 5)
		if err := unpack(string(again.([]byte)), back); err != nil || fmt.Sprint(back) != fmt.Sprint(row) {
			t.Fatalf("%v comes back as %v: %v", row, back, err)
		}
	})
}
