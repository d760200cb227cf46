package servicebustest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/transport"
)

// Op is a point at which a fault can strike.
type Op uint8

// The operations, from a client's first byte to its last. "Before" means that a fault other than Delay keeps the
// operation from having any effect.
const (
	Connect    Op = iota + 1 // before a connection is served; only Delay, Fail, DropConnection and Swallow
	Open                     // before the AMQP open is answered
	CBS                      // before a put-token is looked at
	Attach                   // before a link to an entity is answered
	AttachNode               // before a link to $cbs or $management is answered
	Detach                   // before a client's detach from an entity is answered
	Send                     // before a message from a client is accepted
	Flow                     // before credit from a client for messages is counted
	Deliver                  // after a message was locked, before it is written; Swallow uses up the client's credit for it
	Settle                   // before a settlement is applied
	SettleEcho               // after a settlement was applied, before the client hears of it
	RenewLock                // before a renew-lock request is performed
	Management               // before any $management request, renew-lock included, is performed
	Reply                    // after a $cbs or $management request was performed, before the client hears of it
)

var opNames = [...]string{
	Connect: "connect", Open: "open", CBS: "cbs", Attach: "attach", AttachNode: "attach node", Detach: "detach",
	Send: "send", Flow: "flow", Deliver: "deliver", Settle: "settle", SettleEcho: "settle echo",
	RenewLock: "renew lock", Management: "management", Reply: "reply",
}

func (o Op) String() string {
	if int(o) < len(opNames) && opNames[o] != "" {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// Fault is what happens instead of the usual.
type Fault struct{ action transport.Action }

// Delay holds the one operation up and then lets it pass; the connection goes on meanwhile.
func Delay(d time.Duration) Fault { return Fault{transport.Action{Delay: d}} }

// Fail answers with an AMQP error in the operation's own way: a refused attach, a rejected settlement or message, a
// reply with a failed status.
func Fail(condition, description string) Fault {
	return fault(transport.Fail, condition, description)
}

// DetachLink detaches the operation's link with an AMQP error.
func DetachLink(condition, description string) Fault {
	return fault(transport.DetachLink, condition, description)
}

// EndSession ends the operation's session with an AMQP error.
func EndSession(condition, description string) Fault {
	return fault(transport.EndSession, condition, description)
}

// CloseConnection closes the connection with an AMQP error.
func CloseConnection(condition, description string) Fault {
	return fault(transport.CloseConn, condition, description)
}

// DropConnection cuts the connection without a word.
func DropConnection() Fault { return Fault{transport.Action{Kind: transport.DropConn}} }

// Swallow does nothing and never answers. At Connect it makes the whole connection a half-open one.
func Swallow() Fault { return Fault{transport.Action{Kind: transport.Swallow}} }

// After puts a delay before the fault.
func (f Fault) After(d time.Duration) Fault {
	f.action.Delay = d
	return f
}

func fault(kind transport.ActionKind, condition, description string) Fault {
	return Fault{transport.Action{Kind: kind, Err: &transport.Error{Condition: condition, Description: description}}}
}

// Call describes one operation to the predicate of When. Fields that an operation has no use for are empty.
type Call struct {
	Op         Op
	Connection uint64
	Entity     string // address as the client wrote it, without "/$management"
	Operation  string // CBS, RenewLock, Management, Reply: like "com.microsoft:renew-lock"
	MessageID  string // Deliver, Settle, SettleEcho
	Settlement string // Settle, SettleEcho: complete, abandon, defer, dead-letter or release
}

// FaultOption narrows or repeats a fault.
type FaultOption func(*Injection)

// Keep has the fault strike every time, until Remove.
func Keep() FaultOption { return func(i *Injection) { i.left = -1 } }

// Times has the fault strike n times.
func Times(n int) FaultOption { return func(i *Injection) { i.left = n } }

// OnEntity limits the fault to one queue, or one dead-letter sub-queue.
func OnEntity(name string) FaultOption {
	return When(func(c Call) bool { return sameEntity(c.Entity, name) })
}

// OnMessage limits the fault to one message id.
func OnMessage(id string) FaultOption {
	return When(func(c Call) bool { return c.MessageID == id })
}

// When limits the fault to the calls a predicate accepts. It runs while a connection waits, possibly on several at
// once, and must not call the server. Several conditions must all hold.
func When(match func(Call) bool) FaultOption {
	return func(i *Injection) { i.conditions = append(i.conditions, match) }
}

// Injection is a fault that waits for its operation.
type Injection struct {
	op         Op
	action     transport.Action
	conditions []func(Call) bool // not changed once OnNext has returned
	owner      *faults

	// Below: any goroutine, under owner.mu.
	left  int // strikes to come; negative: no end
	fired int
}

// Fired is how often the fault has struck.
func (i *Injection) Fired() int {
	i.owner.mu.Lock()
	defer i.owner.mu.Unlock()
	return i.fired
}

// Remove takes the fault back.
func (i *Injection) Remove() {
	i.owner.mu.Lock()
	defer i.owner.mu.Unlock()
	i.owner.drop(i)
}

// OnNext has a fault strike at the next operation of the kind: once unless Keep or Times say otherwise. Of several
// that fit, the one injected first strikes, and one operation meets one fault.
func (s *Server) OnNext(op Op, f Fault, opts ...FaultOption) *Injection {
	i := &Injection{op: op, action: f.action, owner: &s.faults, left: 1}
	for _, opt := range opts {
		opt(i)
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.waiting = append(s.faults.waiting, i)
	s.faults.armed.Store(true)
	return i
}

// faults is the list of what waits to strike.
type faults struct {
	messageID func(address string, token codec.UUID) string

	armed   atomic.Bool // waiting is not empty: written under mu, read without it on the path of every message
	mu      sync.Mutex
	waiting []*Injection // any goroutine, under mu
}

// drop forgets an injection; mu is held.
func (f *faults) drop(i *Injection) {
	f.waiting = slices.DeleteFunc(f.waiting, func(other *Injection) bool { return other == i })
	f.armed.Store(len(f.waiting) > 0)
}

// connect decides about a new connection, before there is anything to intercept on it.
func (f *faults) connect() transport.Action {
	if !f.armed.Load() {
		return transport.Action{}
	}
	return f.strike(Call{Op: Connect})
}

// intercept implements transport.Interceptor.
func (f *faults) intercept(e transport.Event) transport.Action {
	if !f.armed.Load() {
		return transport.Action{}
	}
	call := Call{Op: opOf(e), Connection: e.Link.Conn, Entity: e.Link.Address, Operation: e.Operation}
	if entity, ok := managed(e.Link.Address); ok {
		call.Entity = entity
	}
	if e.Token != (codec.UUID{}) {
		call.MessageID = f.messageID(e.Link.Address, e.Token)
	}
	if e.Settlement != 0 {
		call.Settlement = e.Settlement.String()
	}
	return f.strike(call)
}

func (f *faults) strike(call Call) transport.Action {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, i := range f.waiting {
		if !i.fits(call) {
			continue
		}
		i.fired++
		if i.left--; i.left == 0 {
			f.drop(i)
		}
		return i.action
	}
	return transport.Action{}
}

func (i *Injection) fits(call Call) bool {
	if i.op != call.Op && (i.op != Management || call.Op != RenewLock) {
		return false
	}
	return !slices.ContainsFunc(i.conditions, func(match func(Call) bool) bool { return !match(call) })
}

// entityOps are the points of a link to an entity, in the words of a test.
var entityOps = map[transport.Op]Op{
	transport.OpAttach: Attach, transport.OpDetach: Detach, transport.OpFlow: Flow,
	transport.OpTransferIn: Send, transport.OpTransferOut: Deliver,
	transport.OpDispositionIn: Settle, transport.OpDispositionOut: SettleEcho,
}

// opOf names a point of the wire. The transfers and credit of $cbs and $management have no name of their own, or a
// fault meant for messages would strike a reply: there, Reply and the requests' names are the ones to use.
func opOf(e transport.Event) Op {
	_, isManaged := managed(e.Link.Address)
	isCBS := strings.EqualFold(e.Link.Address, cbsAddress)
	switch {
	case e.Op == transport.OpOpen:
		return Open
	case !isManaged && !isCBS:
		return entityOps[e.Op]
	case e.Op == transport.OpAttach:
		return AttachNode
	case e.Op == transport.OpResponse:
		return Reply
	case e.Op != transport.OpRequest:
		return 0
	case isCBS:
		return CBS
	case e.Operation == "com.microsoft:renew-lock":
		return RenewLock
	}
	return Management
}
