package query

import (
	"errors"
	"testing"
)

func testNames() Names {
	return Names{
		Tables: map[string][]string{
			"sockets":            {"ts", "proto", "state", "local_addr", "local_port", "remote_addr", "remote_port", "recv_q", "send_q", "pid", "comm", "cmdline", "user", "uid", "bytes_sent", "bytes_received", "retransmits", "rtt_ms"},
			"sockets_now":        {"ts", "proto", "pid"},
			"processes":          {"ts", "pid", "ppid", "comm", "exe", "cmdline"},
			"routes":             {"ts", "table", "dst", "gateway", "dev", "metric"},
			"interfaces":         {"ts", "dev", "operstate", "mtu"},
			"interface_counters": {"ts", "dev", "rx_bytes", "tx_bytes", "rx_dropped"},
			"neighbors":          {"ts", "dst", "dev"},
		},
		Functions: []string{"ago", "at", "bytes", "in_net", "since", "ts"},
		Commands:  []string{".at", ".describe", ".help", ".mode", ".quit", ".schema", ".since", ".tables"},
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	names := testNames()
	columns := names.Tables["sockets"]
	tests := []struct {
		wrong string
		known []string
		want  string // "" for none
	}{
		{"soket", names.TableNames(), "sockets"},
		{"sokcets", names.TableNames(), "sockets"},
		{"SOCKETS", names.TableNames(), "sockets"},
		{"connections", names.TableNames(), "sockets"},
		{"process", names.TableNames(), "processes"},
		{"route", names.TableNames(), "routes"},
		{"arp", names.TableNames(), "neighbors"},
		{"neighbours", names.TableNames(), "neighbors"},
		{"nic", names.TableNames(), "interfaces"},
		{"interface_counter", names.TableNames(), "interface_counters"},
		{"zebra", names.TableNames(), ""},
		{"x", names.TableNames(), ""},
		{"", names.TableNames(), ""},
		{"dst_port", columns, "remote_port"},
		{"dport", columns, "remote_port"},
		{"Recv-Q", columns, "recv_q"},
		{"port", columns, "local_port"},
		{"port_local", columns, "local_port"},
		{"prt", columns, "local_port"},
		{"remot_port", columns, "remote_port"},
		{"stat", columns, "state"},
		{"program", columns, "comm"},
		{"retrans", columns, "retransmits"},
		{"rtt", columns, "rtt_ms"},
		{"bytes_recieved", columns, "bytes_received"},
		{`"pids"`, columns, "pid"},
		{".tabels", names.Commands, ".tables"},
		{".exit", names.Commands, ".quit"},
		{"agoo", names.Functions, "ago"},
		{"gruyere", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.wrong, func(t *testing.T) {
			t.Parallel()
			got, ok := Suggest(tt.wrong, tt.known)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("Suggest(%q) = %q, %v; want %q", tt.wrong, got, ok, tt.want)
			}
		})
	}
}

func TestEditDistance(t *testing.T) {
	t.Parallel()
	tests := []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "ab", 1}, {"abc", "xbc", 1}, {"kitten", "sitting", 3},
	}
	for _, tt := range tests {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := editDistance(tt.b, tt.a); got != tt.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}

// The errors are those of a real SQLite, not ones written from memory.
func TestExplain(t *testing.T) {
	t.Parallel()
	db := openMemory(t)
	for _, ddl := range []string{
		"create table sockets(ts, proto, state, local_port, remote_port, pid, comm)",
		"create table processes(ts, pid, comm)",
	} {
		if _, err := db.Exec(ddl); err != nil {
			t.Fatal(err)
		}
	}
	names := testNames()
	tests := []struct{ statement, want string }{
		{"select * from soket", `no such table: soket; did you mean "sockets"? (.tables lists the tables)`},
		{"select * from main.soket", `no such table: main.soket; did you mean "sockets"? (.tables lists the tables)`},
		{"select * from zebra", `no such table: zebra (.tables lists the tables)`},
		{"select s.prt from sockets s", `no such column: s.prt; did you mean "s.local_port"? (.describe sockets lists its columns)`},
		{"select dport from sockets", `no such column: dport; did you mean "remote_port"? (.describe sockets lists its columns)`},
		{"select sockts.pid from sockets", `no such column: sockts.pid; did you mean "sockets.pid"?`},
		{"select pid", `no such column: pid; the statement names no table to take it from`},
		{"insert into sockets(prot) values (1)", `table sockets has no column named prot; did you mean "proto"? (.describe sockets lists its columns)`},
		{"select agoo('1h')", `no such function: agoo; did you mean "ago"?`},
		{"select cuont(*) from sockets", `no such function: cuont; did you mean "count"?`},
		{"select pid from sockets s join processes p", `ambiguous column name: pid; say whose, such as s.pid`},
		{"selct pid from sockets", `near "selct": syntax error; did you mean "select"?`},
		{"SELECT * FORM sockets", `near "FORM": syntax error; did you mean "FROM"?`},
		{"select pid form sockets", `near "sockets": syntax error; did you mean "from"?`},
		{"select pid from sockets limt 5", `near "5": syntax error; did you mean "limit"?`},
		{"select in_net(pid) from sockets", `wrong number of arguments to function in_net(); it is in_net(addr, nets)`},
		{"select pid from sockets where (", `incomplete input`},
	}
	for _, tt := range tests {
		t.Run(tt.statement, func(t *testing.T) {
			t.Parallel()
			_, err := db.Exec(tt.statement)
			if err == nil {
				t.Fatal("the statement runs")
			}
			if got := Explain(err, tt.statement, names); got != tt.want {
				t.Errorf("Explain(%v)\n got %s\nwant %s", err, got, tt.want)
			}
		})
	}
}

// Errors of others, and names of nothing, pass unchanged.
func TestExplainOther(t *testing.T) {
	t.Parallel()
	if got := Explain(nil, "", Names{}); got != "" {
		t.Errorf("no error is explained as %q", got)
	}
	for _, text := range []string{"", "no space left on device", "no such table:", "disk I/O error (10)\n(11)"} {
		Explain(errors.New(text), "", Names{})
	}
	if got, want := Explain(errors.New("no such table: soket"), "select", Names{}), "no such table: soket"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
