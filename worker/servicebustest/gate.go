package servicebustest

import (
	"strings"

	"batchterminator/worker/servicebustest/internal/cbs"
	"batchterminator/worker/servicebustest/internal/claims"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
	"batchterminator/worker/servicebustest/internal/mgmt"
	"batchterminator/worker/servicebustest/internal/transport"
)

// gate stands before a namespace and asks for claims. Without one, whoever connects may do everything.
type gate struct {
	transport.Namespace
	book *claims.Book
}

// permit says whether a link may be there. Service Bus: a sender needs Send, a receiver Listen; a management node is
// open to whoever has any right, and each of its operations asks for its own.
func (g *gate) permit(l transport.Link) error {
	entity, isManaged := managed(l.Address)
	switch {
	case strings.EqualFold(l.Address, cbsAddress):
		return nil
	case isManaged:
		return g.allows(l.Conn, entity, claims.All)
	case l.Sender:
		return g.allows(l.Conn, l.Address, claims.Send)
	}
	return g.allows(l.Conn, l.Address, claims.Listen)
}

func (g *gate) allows(conn uint64, entity string, oneOf claims.Rights) error {
	if err := g.book.Allows(conn, entity, oneOf); err != nil {
		return &transport.Error{Condition: dialect.Unauthorized, Description: err.Error()}
	}
	return nil
}

// OpenSource implements transport.Namespace.
func (g *gate) OpenSource(l transport.Link) (transport.Source, error) {
	if err := g.permit(l); err != nil {
		return nil, err
	}
	return g.Namespace.OpenSource(l)
}

// OpenSink implements transport.Namespace.
func (g *gate) OpenSink(l transport.Link) (transport.Sink, error) {
	if err := g.permit(l); err != nil {
		return nil, err
	}
	return g.Namespace.OpenSink(l)
}

// OpenNode implements transport.Namespace.
func (g *gate) OpenNode(l transport.Link) (transport.Node, error) {
	entity, isManaged := managed(l.Address)
	if !isManaged {
		return g.Namespace.OpenNode(l)
	}
	if err := g.permit(l); err != nil {
		return nil, err
	}
	node, err := g.Namespace.OpenNode(l)
	if err != nil {
		return nil, err
	}
	return guardedNode{Node: node, gate: g, entity: entity}, nil
}

// guardedNode is a management node whose operations need rights.
type guardedNode struct {
	transport.Node
	gate   *gate
	entity string
}

// Respond implements transport.Node.
func (n guardedNode) Respond(r transport.Request, req *message.Message) *message.Message {
	v, _ := req.ApplicationProperties.Get("operation")
	operation, _ := codec.Text(v)
	if err := n.gate.allows(r.Link.Conn, n.entity, neededFor(operation)); err != nil {
		return mgmt.Refuse(err)
	}
	return n.Node.Respond(r, req)
}

// neededFor returns the rights of which an operation needs one. Service Bus: rules are for whoever manages or receives.
func neededFor(operation string) claims.Rights {
	switch operation {
	case "com.microsoft:schedule-message", "com.microsoft:cancel-scheduled-message":
		return claims.Send
	case "com.microsoft:add-rule", "com.microsoft:remove-rule", "com.microsoft:enumerate-rules":
		return claims.Manage | claims.Listen
	}
	return claims.Listen
}

// admit returns the namespace as clients get to see it. The claims of a connection are asked for only on request.
func (s *Server) admit(set settings) transport.Namespace {
	authority := claims.NewAuthority(set.rules)
	grant := func(uint64, string, claims.Claim) {}
	ns := &namespace{broker: s.broker}
	g := &gate{Namespace: ns}
	g.book = claims.NewBook(func(conn uint64, why error) { s.detachUnpermitted(g, conn, why) })
	s.claims = g.book
	var admitted transport.Namespace = ns
	if set.claims {
		s.authorize = authorize(authority)
		grant = g.book.Grant
		admitted = g
	}
	resolve := func(address string) error {
		_, err := s.broker.Resolve(address)
		return err
	}
	ns.cbs = cbs.New(cbs.Config{Resolve: resolve, Authority: authority, Grant: grant})
	return admitted
}

// authorize judges an HTTP request's token: manage says whether its holder may manage what the URL names, an error
// that the token is no good.
func authorize(authority *claims.Authority) func(token, url string) (manage bool, err error) {
	return func(token, url string) (bool, error) {
		claim, err := authority.Authorization(token, url)
		return claim.Rights&claims.Manage != 0, err
	}
}

// detachUnpermitted detaches the links of a connection that no claim covers any more.
func (s *Server) detachUnpermitted(g *gate, conn uint64, why error) {
	refusal := &transport.Error{Condition: dialect.Unauthorized, Description: why.Error()}
	unpermitted := func(l transport.Link) bool { return g.permit(l) != nil }
	s.eachConnection(func(c *transport.Conn) {
		if c.ID() == conn {
			c.Detach(unpermitted, refusal)
		}
	})
}
