package query

import "netsql/store"

// Closes have no index but that of time. The shell has closed_sockets and connections read only those that may be wanted, where the statement says
// so; see store.View.OfCloses.
//
//	SELECT … FROM closed_sockets WHERE remote_addr = '203.0.113.7' [AND ts >= at('-7d')] …
//	SELECT … FROM connections WHERE remote_addr IN ('203.0.113.7', '2001:db8::7') AND local_port = 443 …

// ofCloses is the body of the view for a statement that asks about some closes; ok is false where that one does not.
func ofCloses(statement string, v store.View) (body string, ok bool) {
	if v.Name != "closed_sockets" && v.Name != "connections" {
		return "", false
	}
	var wanted []store.Wanted
	since, until := "", ""
	for _, c := range conditionsOn(statement, v.Name) {
		if column, values := c.oneOf(statement); len(values) > 0 && len(values) <= 100 {
			wanted = append(wanted, store.Wanted{Column: column, Values: values})
			continue
		}
		low, high, is := c.moments(statement)
		if !is && v.Name == "closed_sockets" { // what it says of ts bounds what is read
			return "", false
		}
		if low != "" {
			since = low
		}
		if high != "" {
			until = high
		}
	}
	return v.OfCloses(wanted, since, until)
}
