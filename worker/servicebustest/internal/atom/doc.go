// Package atom is the HTTP face of a Service Bus namespace: the administration API, in which an entity is an XML
// description inside an Atom entry and a list is an Atom feed.
//
//	PUT    /orders                                create, or update when If-Match is there
//	GET    /orders                                description and runtime counts in one
//	DELETE /orders
//	GET    /$Resources/Queues?$skip=0&$top=100    a page of a feed; Topics likewise
//	       /events/Subscriptions/all/Rules/vip    the same verbs for subscriptions and rules
//	GET    /$namespaceinfo
//
// It knows no broker: what it administers is a [Namespace], which somebody else fits to the rules of the queues.
//
// # One table for both directions
//
// Each description is one list of fields (queue.go, topic.go, subscription.go, rule.go), in the order in which the
// service tells them. A field knows how to read itself from a request and how to write itself into a response; what
// only the service may say has no reading half. So a request and its answer cannot disagree about a name or a form.
//
// # XML
//
// Requests are parsed into a small tree (node.go) with bounds on size and depth and no document type. Every client
// chooses its own prefixes, also inside values like i:type="l28:string", so all names are resolved to their namespace
// and never compared by prefix. Responses are written by hand (writer.go), because clients differ the other way
// round: some of them look at prefixes, count attributes, or match texts in which a quote must not be escaped.
//
// A filter or action of a type unknown here is kept as it came, with the namespaces it needs, and returned like that.
//
// # Updates
//
// An update replaces the whole description: what is absent has its default again, and absence is how a client takes a
// ForwardTo away. That makes leaving out RequiresSession an attempt to change it, which is refused, as the service
// does.
//
// # Not emulated
//
// Shared access keys of single entities are kept and open nothing. The right to forward to another entity is not asked
// for (ServiceBusSupplementaryAuthorization). If-Match compares nothing: any value means an update.
package atom
