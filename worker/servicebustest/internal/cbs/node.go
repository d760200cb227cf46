package cbs

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/claims"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
	"batchterminator/worker/servicebustest/internal/transport"
)

// Config is what the node needs to know.
type Config struct {
	// Resolve returns an error when the address names no entity.
	Resolve func(address string) error
	// Authority judges the tokens.
	Authority *claims.Authority
	// Grant takes the claim of every token that was good.
	Grant func(conn uint64, address string, c claims.Claim)
}

// Node is the "$cbs" node. It remembers nothing itself: what a token allows is in the hands of Grant.
type Node struct{ cfg Config }

// New returns a node.
func New(cfg Config) *Node { return &Node{cfg: cfg} }

// Respond implements transport.Node.
func (n *Node) Respond(r transport.Request, req *message.Message) *message.Message {
	if err := n.putToken(r.Link.Conn, req); err != nil {
		return reply(err.status, err.description, err.condition)
	}
	return reply(202, "Accepted", "")
}

// refusal is a failed put-token.
type refusal struct {
	status                 int32
	condition, description string
}

// putToken judges the token before it looks for the entity: who has no right does not learn what exists.
func (n *Node) putToken(conn uint64, req *message.Message) *refusal {
	if operation := property(req, "operation"); operation != "put-token" {
		return &refusal{501, dialect.NotImplemented, "operation \"" + operation + "\" is not implemented"}
	}
	audience := property(req, "name")
	value, _ := req.Value()
	token, _ := codec.Text(value)
	var claim claims.Claim
	var err error
	switch kind := property(req, "type"); kind {
	case "jwt":
		claim, err = n.cfg.Authority.JWT(token, expiration(req))
	case "servicebus.windows.net:sastoken":
		claim, err = n.cfg.Authority.SharedAccess(token, audience)
	default:
		return &refusal{400, dialect.ArgumentError, "token type \"" + kind + "\" is unknown"}
	}
	if err != nil {
		return &refusal{401, dialect.Unauthorized, err.Error()}
	}
	if err := n.entityExists(audience); err != nil {
		return err
	}
	n.cfg.Grant(conn, audience, claim)
	return nil
}

// expiration is until when the client says that its token is good: Go writes seconds as text, Python and .NET write a
// timestamp, JavaScript nothing. Zero: not said.
func expiration(req *message.Message) time.Time {
	v, _ := req.ApplicationProperties.Get("expiration")
	if at, ok := v.(time.Time); ok {
		return at
	}
	text, _ := codec.Text(v)
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds > 0 {
		return time.Unix(seconds, 0)
	}
	return time.Time{}
}

// entityExists answers for the entity, and for an entity's management node. Service Bus: this 404, and no attach
// error, is what the Go SDK turns into its not-found code.
func (n *Node) entityExists(audience string) *refusal {
	path := broker.EntityPath(audience)
	const management = "/$management"
	if cut := len(path) - len(management); cut > 0 && strings.EqualFold(path[cut:], management) {
		path = path[:cut]
	}
	err := n.cfg.Resolve(path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, broker.ErrEntityNotFound):
		return &refusal{404, dialect.NotFound, dialect.EntityNotFound(audience).Description}
	}
	spoken := dialect.Error(err)
	return &refusal{dialect.Status(spoken.Condition), spoken.Condition, spoken.Description}
}

func property(m *message.Message, key string) string {
	v, _ := m.ApplicationProperties.Get(key)
	text, _ := codec.Text(v)
	return text
}

// reply builds the answer. Unlike $management, $cbs spells its keys with a dash; the Go SDK panics unless the status
// is an int of 32 bits.
func reply(status int32, description, condition string) *message.Message {
	m := &message.Message{}
	set := func(key string, value any) {
		if err := m.ApplicationProperties.Set(key, value); err != nil {
			panic("cbs: " + err.Error()) // an int, a string and a symbol encode
		}
	}
	set("status-code", status)
	set("status-description", description)
	if condition != "" {
		set("error-condition", codec.Symbol(condition))
	}
	return m
}
