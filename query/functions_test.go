package query

import (
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func openMemory(t *testing.T) *sql.DB {
	t.Helper()
	db := sql.OpenDB(connector{newDriver(), ":memory:"})
	db.SetMaxOpenConns(1) // each connection would be a database of its own
	t.Cleanup(func() { db.Close() })
	return db
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	db := openMemory(t)
	tests := []struct {
		expr string
		want any
	}{
		{"in_net('10.1.2.3', '10.0.0.0/8')", int64(1)},
		{"in_net('11.1.2.3', '10.0.0.0/8')", int64(0)},
		{"in_net('11.1.2.3', '10.0.0.0/8, 11.1.2.0/24')", int64(1)},
		{"in_net('10.1.2.3', '10.1.2.3')", int64(1)},
		{"in_net('10.1.2.3', '10.9.9.9/8')", int64(1)},
		{"in_net('::ffff:10.1.2.3', '10.0.0.0/8')", int64(1)},
		{"in_net('10.1.2.3', '::ffff:10.0.0.0/104')", int64(1)},
		{"in_net('2001:db8::7', '2001:db8::/32')", int64(1)},
		{"in_net('10.1.2.3', '::/0')", int64(0)},
		{"in_net('fe80::1%eth0', 'linklocal')", int64(1)},
		{"in_net('fe80::1%eth0', 'link-local')", int64(1)},
		{"in_net('192.168.1.1', 'private')", int64(1)},
		{"in_net('fd00::1', 'private')", int64(1)},
		{"in_net('127.0.0.53', 'Loopback')", int64(1)},
		{"in_net('::1', 'private, loopback')", int64(1)},
		{"in_net('0.0.0.0', 'any')", int64(1)},
		{"in_net('8.8.8.8', 'private')", int64(0)},
		{"in_net(NULL, 'private')", nil},
		{"in_net('10.0.0.1', NULL)", nil},
		{"in_net('/run/docker.sock', 'private')", nil},
		{"service(22)", "ssh"},
		{"service(443, 'tcp')", "https"},
		{"service(53, 'udp')", "domain"},
		{"service(51820)", "wireguard"},
		{"service(51820, 'tcp')", nil},
		{"service(22, 'tcp6')", "ssh"},
		{"service('22', 'TCP')", "ssh"},
		{"service(22, 'unix')", nil},
		{"service(0, 'tcp')", nil},
		{"service(NULL, 'tcp')", nil},
		{"service(22, NULL)", nil},
		{"bytes(0)", "0 B"},
		{"bytes(1023)", "1023 B"},
		{"bytes(1024)", "1.0 KiB"},
		{"bytes(1258291)", "1.2 MiB"},
		{"bytes(1048575)", "1.0 MiB"},
		{"bytes(-2048)", "-2.0 KiB"},
		{"bytes(9223372036854775807)", "8.0 EiB"},
		{"bytes('x')", nil},
		{"bytes(NULL)", nil},
		{"duration(0)", "0s"},
		{"duration(0.25)", "250ms"},
		{"duration(0.00004)", "40µs"},
		{"duration(5.27)", "5.2s"},
		{"duration(59)", "59s"},
		{"duration(60)", "1m"},
		{"duration(3599)", "59m 59s"},
		{"duration(11520)", "3h 12m"},
		{"duration(183600)", "2d 3h"},
		{"duration(-90)", "-1m 30s"},
		{"duration(NULL)", nil},
		{"since(ago('3h12m'))", "3h12m"},
		{"since(NULL)", nil},
		{"ts('2026-11-23T03:14:05.25Z')", 1795403645.25},
		{"ts(1795403645.25)", 1795403645.25},
		{"ts('1795403645')", 1795403645.0},
		{"ts('now') - ago('1h') between 3599 and 3601", int64(1)},
		{"ts('now') - ago('1h ago') between 3599 and 3601", int64(1)},
		{"ts('now') - ago(60) between 59 and 61", int64(1)},
		{"typeof(ago('1h'))", "real"},
		{"localtime(1795403645.25)", time.Unix(1795403645, 0).Format("2006-01-02 15:04:05") + ".250"},
		{"localtime(NULL)", nil},
		{"localtime('soon')", nil},
		{"'nginx: worker' regexp '^nginx'", int64(1)},
		{"'apache' regexp '^nginx'", int64(0)},
		{"'NGINX' regexp '(?i)nginx'", int64(1)},
		{"8080 regexp '^80'", int64(1)},
		{"NULL regexp 'x'", nil},
		{"'x' regexp NULL", nil},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			t.Parallel()
			var got any
			if err := db.QueryRow("select " + tt.expr).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", tt.expr, diff)
			}
		})
	}
}

func TestFunctionErrors(t *testing.T) {
	t.Parallel()
	db := openMemory(t)
	tests := []struct{ expr, want string }{
		{"in_net('10.0.0.1', '10.0.0.0/33')", `in_net: no network "10.0.0.0/33": try 10.0.0.0/8`},
		{"in_net('10.0.0.1', '')", `in_net: no network "": try`},
		{"in_net('10.0.0.1', '::ffff:0:0/90')", `in_net: no network`},
		{"ago('soonish')", `ago: no duration "soonish": try 5s`},
		{"ts('yesturday')", `ts: no time "yesturday": "yesturday" does not fit; try 03:14`},
		{"'x' regexp '('", `regexp: no regular expression "(": missing closing )`},
		{"service()", `wrong number of arguments: it is service(port, proto)`},
		{"service(1, 'tcp', 3)", `wrong number of arguments: it is service(port, proto)`},
		{"percentile(1, 101)", `p goes from 0 to 100`},
		{"percentile(1, NULL)", `p goes from 0 to 100`},
		{"percentile(1, 0.95)", `p goes from 0 to 100; write 95 for 0.95`},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			t.Parallel()
			var got any
			err := db.QueryRow("select " + tt.expr).Scan(&got)
			if err == nil {
				t.Fatalf("%s = %v, want an error", tt.expr, got)
			}
			if text := Explain(err, tt.expr, Names{}); !strings.Contains(text, tt.want) {
				t.Errorf("%s: error %q, want %q in it", tt.expr, text, tt.want)
			}
		})
	}
}

func TestAggregates(t *testing.T) {
	t.Parallel()
	db := openMemory(t)
	const numbers = "with t(k, x) as (values (1, 10), (1, 20.0), (2, 40), (2, 30), (1, NULL), (2, 'text')) "
	tests := []struct {
		query string
		want  []any
	}{
		{numbers + "select median(x) from t", []any{25.0}},
		{numbers + "select median(x) from t group by k order by k", []any{15.0, 35.0}},
		{numbers + "select percentile(x, 0) from t", []any{10.0}},
		{numbers + "select percentile(x, 100) from t", []any{40.0}},
		{numbers + "select percentile(x, 75) from t", []any{32.5}},
		{numbers + "select median(x) from t where x > 1e9 and x < 2e9", []any{nil}},
		{numbers + "select median(x) from t where 0", []any{nil}},
		{"with t(x) as (values (1), (2), (9), (4)) select median(x) over (order by x rows between 1 preceding and current row) from t",
			[]any{1.0, 1.5, 3.0, 6.5}},
		{"with t(i, x) as (values (1, 5), (2, NULL), (3, 1), (4, 9)) select median(x) over (order by i rows 1 preceding) from t",
			[]any{5.0, 5.0, 1.0, 5.0}},
	}
	for _, tt := range tests {
		t.Run(tt.query, func(t *testing.T) {
			t.Parallel()
			rows, err := db.Query(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var got []any
			for rows.Next() {
				var v any
				if err := rows.Scan(&v); err != nil {
					t.Fatal(err)
				}
				got = append(got, v)
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A constant time must reach the index of a table inside a compound view.
func TestFunctionsArePushedDown(t *testing.T) {
	t.Parallel()
	db := openMemory(t)
	if _, err := db.Exec(`create table a(ts real primary key, x); create table b(ts real primary key, x);
		create view v as select ts, x from a union all select ts, x from b`); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"ts = ago('1h')", "ts = ts('yesterday 14:00')", "ts >= ts('now') - 60"} {
		rows, err := db.Query("explain query plan select * from v where " + where)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		searches := 0
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(detail, "SEARCH") {
				searches++
			}
		}
		if searches != 2 {
			t.Errorf("%s: %d index searches, want 2", where, searches)
		}
	}
}

func TestFunctionsList(t *testing.T) {
	t.Parallel()
	list := Functions()
	if len(list) != len(functions) || !slices.IsSortedFunc(list, func(a, b Function) int { return strings.Compare(a.Name, b.Name) }) {
		t.Errorf("the list is not sorted or not whole: %v", list)
	}
	for _, f := range list {
		if f.Args == "" || f.Doc == "" {
			t.Errorf("%s lacks arguments or documentation", f.Name)
		}
	}
}

// The service tables are text: each port once, every field in its place.
func TestServices(t *testing.T) {
	t.Parallel()
	total := 0
	for proto, table := range map[string]string{"tcp": tcpServices, "udp": udpServices} {
		fields := strings.Fields(table)
		if len(fields)%2 != 0 {
			t.Fatalf("%s: odd number of fields", proto)
		}
		seen := map[string]bool{}
		for i := 0; i < len(fields); i += 2 {
			var port int
			if _, err := fmt.Sscan(fields[i], &port); err != nil || port < 1 || port > 65535 || seen[fields[i]] {
				t.Errorf("%s: bad or repeated port %q", proto, fields[i])
			}
			seen[fields[i]] = true
			total++
		}
	}
	if total < 200 {
		t.Errorf("%d services, want 200 or more", total)
	}
}

// One goroutine for each connection may call a function.
func TestParsedIsBounded(t *testing.T) {
	t.Parallel()
	p := parsed[int]{parse: func(s string) (int, error) { return len(s), nil }}
	for i := range 1000 {
		if n, err := p.get(fmt.Sprint(i)); err != nil || n != len(fmt.Sprint(i)) {
			t.Fatalf("get(%d) = %d, %v", i, n, err)
		}
	}
	if len(p.known) > 64 {
		t.Errorf("%d values kept, want 64 at most", len(p.known))
	}
}

func TestSpanText(t *testing.T) {
	t.Parallel()
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := spanText(v, ""); got != "" {
			t.Errorf("spanText(%v) = %q, want nothing", v, got)
		}
	}
	if got := spanText(1e18, " "); !strings.HasSuffix(got, "h") && !strings.HasSuffix(got, "d") {
		t.Errorf("spanText(1e18) = %q", got)
	}
}

func FuzzInNet(f *testing.F) {
	f.Add("10.0.0.1", "10.0.0.0/8,private")
	f.Add("fe80::1%eth0", "::ffff:0:0/96")
	f.Fuzz(func(t *testing.T, addr, nets string) {
		set, err := parseNets(nets)
		if err != nil {
			return
		}
		in, ok := set.contains(addr)
		if in && !ok {
			t.Fatalf("%q is no address but lies in %q", addr, nets)
		}
	})
}
