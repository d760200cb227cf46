package dialect

import (
	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/transport"
)

// Owner is how the broker knows a link that holds a session. A request on $management names that link alone; the
// connection they share completes the name.
func Owner(l transport.Link) broker.Owner { return broker.Owner{Connection: l.Conn, Link: l.Name} }
