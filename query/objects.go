package query

import "strings"

// events is a view of many parts, one for each kind of object, and SQLite works out all of them whatever objects are asked for. So the shell
// makes it of the parts that are wanted, where the statement says so:
//
//	SELECT … FROM events [WHERE …] AND object = 'route' …
//	SELECT … FROM events WHERE object IN ('route', 'interface') …

// objectsAsked are the objects that a statement about events asks for; nil: it may be any.
func objectsAsked(statement string) []string {
	var objects []string
	for _, c := range conditionsOn(statement, "events") {
		if column, values := c.oneOf(statement); column == "object" && objects == nil {
			for _, v := range values {
				objects = append(objects, strings.Trim(v, "'"))
			}
		}
	}
	return objects
}
