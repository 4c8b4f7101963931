package query

import "testing"

// The vectors of the specification (baseline of community-id-spec, seed 0), from both ends.
func TestCommunityID(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	for _, c := range []struct{ proto, a, aPort, b, bPort, want string }{
		{"'tcp'", "'128.232.110.120'", "34855", "'66.35.250.204'", "80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"'udp'", "'192.168.1.52'", "54585", "'8.8.8.8'", "53", "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{"'sctp'", "'192.168.170.8'", "7", "'192.168.170.56'", "80", "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ="},
		{"'TCP'", "'::ffff:128.232.110.120'", "34855", "'66.35.250.204'", "80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"'unix'", "'10.0.0.1'", "1", "'10.0.0.2'", "2", ""},
		{"'tcp'", "'10.0.0.1'", "1", "NULL", "2", ""},
		{"'tcp'", "'10.0.0.1'", "1", "'fe80::1'", "2", ""},
		{"'tcp'", "'10.0.0.1'", "70000", "'10.0.0.2'", "2", ""},
	} {
		for _, ends := range []string{c.a + ", " + c.aPort + ", " + c.b + ", " + c.bPort, c.b + ", " + c.bPort + ", " + c.a + ", " + c.aPort} {
			statement := "SELECT community_id(" + c.proto + ", " + ends + ")"
			if got := table(t, r.conn, statement)[1][0]; got != c.want {
				t.Errorf("%s: %q, want %q", statement, got, c.want)
			}
		}
	}
	// Of one port on both addresses the lower address is first.
	if got := table(t, r.conn, "SELECT community_id('tcp', '10.0.0.2', 5, '10.0.0.1', 5) = community_id('tcp', '10.0.0.1', 5, '10.0.0.2', 5)")[1][0]; got != "1" {
		t.Error("it depends on the end")
	}
}
