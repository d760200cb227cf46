package atom

import "strings"

// verb is what a client does with an entity.
type verb int

const (
	get verb = iota
	list
	put
	remove
)

// route is a path taken apart. At most one of the names is missing, the last: then the whole collection is meant.
type route struct {
	kind         routeKind
	entity       string // queue or topic
	subscription string
	rule         string
}

type routeKind int

const (
	toEntity routeKind = iota // a queue or a topic: the path does not tell
	toQueues
	toTopics
	toSubscription
	toSubscriptions
	toRule
	toRules
	toNamespace
	toRoot
)

// parseRoute reads a decoded path. The fixed segments compare without case and count from the end, because the name of
// a topic may have slashes of its own.
func parseRoute(path string) route {
	path = strings.Trim(path, "/")
	switch strings.ToLower(path) {
	case "":
		return route{kind: toRoot}
	case "$namespaceinfo":
		return route{kind: toNamespace}
	case "$resources/queues":
		return route{kind: toQueues}
	case "$resources/topics":
		return route{kind: toTopics}
	}
	s := strings.Split(path, "/")
	n := len(s)
	is := func(fromEnd int, word string) bool { return n > fromEnd && strings.EqualFold(s[n-fromEnd], word) }
	topic := func(fromEnd int) string { return strings.Join(s[:n-fromEnd], "/") }
	const subscriptions, rules = "Subscriptions", "Rules"
	switch {
	case is(4, subscriptions) && is(2, rules):
		return route{kind: toRule, entity: topic(4), subscription: s[n-3], rule: s[n-1]}
	case is(3, subscriptions) && is(1, rules):
		return route{kind: toRules, entity: topic(3), subscription: s[n-2]}
	case is(2, subscriptions):
		return route{kind: toSubscription, entity: topic(2), subscription: s[n-1]}
	case is(1, subscriptions):
		return route{kind: toSubscriptions, entity: topic(1)}
	}
	return route{kind: toEntity, entity: path}
}
