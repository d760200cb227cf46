package servicebustest

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/transport"
)

// faults is the list of what waits to strike.
type faults struct {
	tokens tokenBook

	armed   atomic.Bool // there is anything to ask for: written under mu, read without it on the path of every message
	mu      sync.Mutex
	waiting []*Injection // any goroutine, under mu
	skews   []skew       // of the clock so far, under mu
}

// skew is by how much the clock is off from a time on, in whole milliseconds as on the wire.
type skew struct {
	since time.Time
	by    time.Duration
}

// skewed tells whether the clock has ever been off.
func (f *faults) skewed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.skews) > 0
}

// skewAt is by how much the clock was off at a time.
func (f *faults) skewAt(at time.Time) (by time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.skews {
		if !at.Before(s.since) {
			by = s.by
		}
	}
	return by
}

// tokenBook is what faults know about locks.
type tokenBook interface {
	// MessageID is the id of the message a token locks, or locked.
	MessageID(address string, token codec.UUID) string
	// EndLock ends a lock at a time its holder is not told.
	EndLock(address string, token codec.UUID, at time.Time)
}

// arm keeps armed up to date; mu is held.
func (f *faults) arm() { f.armed.Store(len(f.waiting) > 0 || len(f.skews) > 0) }

// drop forgets an injection; mu is held.
func (f *faults) drop(i *Injection) {
	f.waiting = slices.DeleteFunc(f.waiting, func(other *Injection) bool { return other == i })
	f.arm()
}

// connect decides about a new connection, before there is anything to intercept on it.
func (f *faults) connect() Fault {
	if !f.armed.Load() {
		return Fault{}
	}
	return f.strike(Call{Op: Connect})
}

// intercept implements transport.Interceptor.
func (f *faults) intercept(e transport.Event) transport.Action {
	if !f.armed.Load() {
		return transport.Action{}
	}
	entity := e.Link.Address
	if of, ok := managed(entity); ok {
		entity = of
	}
	call := Call{Op: opOf(e), Connection: e.Link.Conn, Entity: entity, Operation: e.Operation}
	tokens := tokensOf(e)
	if len(tokens) > 0 {
		call.MessageID = f.tokens.MessageID(entity, tokens[0])
	}
	if e.Settlement != 0 {
		call.Settlement = e.Settlement.String()
	}
	met := f.strike(call)
	if met.end != nil {
		end := time.Now().Add(met.action.Delay + *met.end)
		for _, token := range tokens {
			f.tokens.EndLock(entity, token, end)
		}
	}
	if (call.Op == Deliver || call.Op == Reply) && f.skewed() {
		met.action.Rewrite = f.byTheClock(met.action.Rewrite)
	}
	return met.action
}

// byTheClock puts the skew of the clock behind what else is done to a message.
func (f *faults) byTheClock(first func([]byte) []byte) func([]byte) []byte {
	shift := shifted(f.skewAt)
	if first == nil {
		return shift
	}
	return func(wire []byte) []byte { return shift(first(wire)) }
}

// tokensOf are the lock tokens that an operation is about.
func tokensOf(e transport.Event) []codec.UUID {
	if e.Token != (codec.UUID{}) {
		return []codec.UUID{e.Token}
	}
	if e.Request == nil {
		return nil
	}
	value, err := e.Request.Value()
	if err != nil {
		return nil // a request that will be refused
	}
	body, _ := value.(codec.Map)
	listed, _ := body.Get("lock-tokens")
	tokens, _ := listed.([]codec.UUID)
	return tokens
}

// strike finds the fault that an operation meets; the zero Fault is none.
func (f *faults) strike(call Call) Fault {
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
		return i.fault
	}
	return Fault{}
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
