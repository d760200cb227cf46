package servicebustest

import "fmt"

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
	Deliver                  // after a message was locked, before it is written
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

// Call describes one operation to the predicate of When. Fields that an operation has no use for are empty.
type Call struct {
	Op         Op
	Connection uint64
	Entity     string // address as the client wrote it, without "/$management"
	Operation  string // CBS, RenewLock, Management, Reply: like "com.microsoft:renew-lock"
	MessageID  string // Deliver, Settle, SettleEcho; the first one's of RenewLock and other requests about locks
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
	fault      Fault
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

// state says how often the fault has struck, and how often it will: 0 when it is over, negative without end.
func (i *Injection) state() (fired, left int) {
	i.owner.mu.Lock()
	defer i.owner.mu.Unlock()
	return i.fired, i.left
}

// Remove takes the fault back.
func (i *Injection) Remove() {
	i.owner.mu.Lock()
	defer i.owner.mu.Unlock()
	i.left = 0
	i.owner.drop(i)
}

// OnNext has a fault strike at the next operation of the kind: once unless Keep or Times say otherwise. Of several
// that fit, the one injected first strikes, and one operation meets one fault.
func (s *Server) OnNext(op Op, f Fault, opts ...FaultOption) *Injection {
	i := &Injection{op: op, fault: f, owner: &s.faults, left: 1}
	for _, opt := range opts {
		opt(i)
	}
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.waiting = append(s.faults.waiting, i)
	s.faults.arm()
	return i
}
