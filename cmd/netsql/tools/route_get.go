package tools

func (o *ipOut) routeGet(words []string) error { return usagef("later") }
