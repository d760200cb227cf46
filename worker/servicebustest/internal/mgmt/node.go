package mgmt

import (
	"fmt"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
	"batchterminator/worker/servicebustest/internal/transport"
)

const (
	statusOK        = 200
	statusNoContent = 204
)

// associatedLink is the application property that names the receiver or sender link a request belongs to. Go says with
// it alone which session it means.
const associatedLink = "associated-link-name"

// Node is the management node of one queue or dead-letter sub-queue. It has no state: any number of links may share
// it, or have their own.
type Node struct{ queue *broker.Queue }

// New returns the management node of q.
func New(q *broker.Queue) *Node { return &Node{queue: q} }

// target is what an operation works on.
type target struct {
	*broker.Queue
	owner broker.Owner // the receiver link that the request says it belongs to
	named bool         // it does say so
}

// operation performs one request and returns the reply's body. A nil body answers 204.
type operation func(target, codec.Map) (codec.Map, error)

var operations = map[string]operation{
	"com.microsoft:renew-lock":                 renewLock,
	"com.microsoft:peek-message":               peekMessage,
	"com.microsoft:receive-by-sequence-number": receiveBySequenceNumber,
	"com.microsoft:update-disposition":         updateDisposition,
	"com.microsoft:schedule-message":           scheduleMessage,
	"com.microsoft:cancel-scheduled-message":   cancelScheduledMessage,
	"com.microsoft:renew-session-lock":         renewSessionLock,
	"com.microsoft:get-session-state":          getSessionState,
	"com.microsoft:set-session-state":          setSessionState,
	"com.microsoft:get-message-sessions":       getMessageSessions,
	"com.microsoft:enumerate-rules":            enumerateRules,
	"com.microsoft:add-rule":                   addRule,
	"com.microsoft:remove-rule":                removeRule,
	"com.microsoft:batch-delete-messages":      batchDelete,
}

// Respond implements transport.Node.
func (n *Node) Respond(r transport.Request, req *message.Message) *message.Message {
	body, err := n.perform(r.Link, req)
	switch {
	case err != nil:
		return Refuse(err)
	case body == nil:
		return reply(statusNoContent, "No Content", "", nil)
	}
	return reply(statusOK, "OK", "", body)
}

// Refuse is the answer to a request that fails with err.
func Refuse(err error) *message.Message {
	spoken := dialect.Error(err)
	return reply(dialect.Status(spoken.Condition), spoken.Description, spoken.Condition, nil)
}

func (n *Node) perform(link transport.Link, req *message.Message) (codec.Map, error) {
	name, _ := req.ApplicationProperties.Get("operation")
	text, _ := codec.Text(name)
	perform, ok := operations[text]
	if !ok {
		return nil, fmt.Errorf("operation %q: %w", text, broker.ErrNotImplemented)
	}
	value, err := req.Value()
	if err != nil {
		return nil, badArgument("request body: %v", err)
	}
	body, ok := value.(codec.Map)
	if !ok {
		return nil, badArgument("request body is %T, not a map", value)
	}
	on := target{Queue: n.queue}
	if v, _ := req.ApplicationProperties.Get(associatedLink); v != nil {
		name, _ := codec.Text(v)
		on.owner, on.named = broker.Owner{Connection: link.Conn, Link: name}, true
	}
	return perform(on, body)
}

// reply builds the envelope. Clients disagree about the spelling of the error condition, so both are sent; .NET
// insists on a symbol, Go on an int status.
func reply(status int32, description, condition string, body codec.Map) *message.Message {
	m := &message.Message{}
	set := func(key string, value any) {
		if err := m.ApplicationProperties.Set(key, value); err != nil {
			panic("mgmt: " + err.Error()) // an int, a string and a symbol encode
		}
	}
	set("statusCode", status)
	set("statusDescription", description)
	if condition != "" {
		set("errorCondition", codec.Symbol(condition))
		set("error-condition", codec.Symbol(condition))
	}
	if body == nil {
		return m
	}
	if err := m.SetValue(body); err != nil {
		panic("mgmt: reply body: " + err.Error()) // built from types the codec has
	}
	return m
}
