package transport

import (
	"context"
	"net"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/message"
)

// SettleMode says how a receiver takes messages.
type SettleMode uint8

const (
	// PeekLock delivers unsettled; the receiver settles by lock token.
	PeekLock SettleMode = iota
	// ReceiveAndDelete delivers settled: what is handed over is gone.
	ReceiveAndDelete
)

// Link describes a link to the namespace that resolves its address and to the
// interceptor.
type Link struct {
	Conn    uint64     // number of the connection, unique in the process
	Name    string     // the client's name for the link
	Address string     // without scheme, authority and leading slash; case as sent
	Sender  bool       // the client sends on this link
	Mode    SettleMode // meaningful if the client receives
	Session *Session   // what a session receiver asks for, then what it has; else nil
}

// Session names the session that a client receives from (Service Bus: the source
// filter com.microsoft:session-filter).
type Session struct {
	ID   string // a blank one is legal
	Next bool   // any that is free; ID is yet to be found
	// Wait is how long the client waits for the next one.
	Wait codec.Option[time.Duration]
}

// Namespace resolves addresses. Its methods run on the goroutine of a connection,
// must not block, and are called by many connections at once. An error refuses
// the link; it should be an *Error, anything else becomes amqp:internal-error.
type Namespace interface {
	// OpenSource opens what a client receives from.
	OpenSource(l Link) (Source, error)
	// OpenSession opens the session that l.Session asks for. It may take its time:
	// it returns at once, and opened is called once, from any goroutine and maybe
	// before the return; the attach is answered then. cancel gives up what is, or
	// would be, opened. It is called if the link ends before the source is in use.
	OpenSession(l Link, opened func(SessionSource, error)) (cancel func())
	// OpenSink opens what a client sends to.
	OpenSink(l Link) (Sink, error)
	// OpenNode opens a request/response node: "$cbs" or "<entity>/$management".
	// It is asked first; (nil, nil) says that the address is none.
	OpenNode(l Link) (Node, error)
}

// Delivery is one message on its way out.
type Delivery struct {
	Token   codec.UUID // lock token in RFC order; any value in ReceiveAndDelete
	Payload []byte     // all sections, encoded; not changed afterwards
}

// Source is what one client link receives from. All methods are called on the
// connection's goroutine and must not block.
type Source interface {
	// Acquire appends at most limit deliveries to into: locked, or in
	// ReceiveAndDelete removed. Fewer than limit says that there is no more now.
	Acquire(into []Delivery, limit int) []Delivery
	// Settle applies an outcome to a delivery of this source, of this link or of
	// an earlier one. An error becomes the rejected echo. For a delivery that never
	// reached the client, Release undoes Acquire in either mode.
	Settle(token codec.UUID, o Outcome) error
	// Watch has wake called whenever Acquire may yield more. wake does not block
	// and may be called from any goroutine, also while stop runs and after it.
	Watch(wake func()) (stop func())
	// Close ends the link's use of the source. Locks stay as they are.
	Close()
}

// SessionSource is the source of a session receiver.
type SessionSource interface {
	Source
	// ID is the session's id.
	ID() string
	// LockedUntil is when the session's lock expires.
	LockedUntil() time.Time
	// Lost says why the session is no longer held, for the detach that follows.
	// Watch tells of it, as of messages.
	Lost() error
}

// Sink is what one client link sends to.
type Sink interface {
	// Accept stores all messages or none. It owns them, and reads their headers
	// and annotations as the client wrote them: nothing is stripped yet.
	Accept(msgs []*message.Message) error
	// MaxMessageSize is the limit announced to the client and enforced here.
	MaxMessageSize() uint64
}

// Request identifies a request to a node.
type Request struct {
	Link    Link // the link it came on
	ReplyTo string
}

// Node answers requests.
type Node interface {
	// Respond answers one request; nil answers nothing. Correlation id and To are
	// filled in by the transport unless they are set.
	Respond(r Request, req *message.Message) *message.Message
}

// Settlement is what a receiver decided about a delivery.
type Settlement uint8

const (
	Complete Settlement = iota + 1
	Abandon
	Defer
	DeadLetter
	Release
)

// String names the settlement as Service Bus does.
func (s Settlement) String() string {
	return [...]string{"none", "complete", "abandon", "defer", "dead-letter", "release"}[s]
}

// Outcome is a settlement with what came along.
type Outcome struct {
	Settlement  Settlement
	Reason      string    // DeadLetter: DeadLetterReason, may be empty
	Description string    // DeadLetter: DeadLetterErrorDescription
	Properties  codec.Map // Abandon, Defer, DeadLetter: application properties to change, keyed by string
}

// Error is an AMQP error: a condition and what to tell about it.
type Error struct {
	Condition   string
	Description string
	Info        codec.Map
}

// Error makes it a Go error.
func (e *Error) Error() string { return e.Condition + ": " + e.Description }

// Op is a point at which the interceptor is asked.
type Op uint8

const (
	OpOpen           Op = iota + 1 // the client's open
	OpAttach                       // the client's attach
	OpDetach                       // the client's detach
	OpFlow                         // a flow of the client for a link
	OpTransferIn                   // a message from the client to a sink
	OpTransferOut                  // a message to the client, acquired and not yet written
	OpDispositionIn                // a settlement, before it is applied
	OpDispositionOut               // its echo, after it was applied
	OpRequest                      // a request to $cbs or $management
	OpResponse                     // its response, after the request had its effect
)

// Event is what the interceptor gets to see. Fields that an Op has no use for are
// zero.
type Event struct {
	Op         Op
	Link       Link
	Operation  string           // OpRequest, OpResponse: the application property "operation"
	Request    *message.Message // OpRequest, OpResponse: what was asked; read only
	Token      codec.UUID       // OpTransferOut, OpDispositionIn, OpDispositionOut
	Settlement Settlement       // OpDispositionIn, OpDispositionOut
}

// ActionKind says what to do instead of the usual.
type ActionKind uint8

const (
	Pass       ActionKind = iota // do the usual
	Fail                         // answer with Err: refuse, reject, or a failed status
	DetachLink                   // detach the link with Err
	EndSession                   // end the session with Err
	CloseConn                    // close the connection with Err
	DropConn                     // cut the connection without a word
	Swallow                      // do nothing and say nothing
	ResetConn                    // DropConn, with an RST where the transport is TCP
	MuteConn                     // swallow, and all that follows: the connection is half-open
	MuteLink                     // do the usual, but send nothing more to the link's receiver
	Duplicate                    // OpTransferIn, OpTransferOut: do the usual twice
)

// Action is the interceptor's answer; the zero value passes. A Delay comes before
// Kind takes effect and holds up the one operation, never the connection.
type Action struct {
	Kind  ActionKind
	Err   *Error
	Delay time.Duration
	// Rewrite changes the encoded message of OpTransferIn, OpTransferOut and
	// OpResponse. It returns new bytes or its argument, never changed in place.
	Rewrite func(payload []byte) []byte
	// Parts has OpTransferOut written in about as many frames, with a Pause between
	// two of them.
	Parts int
	Pause time.Duration
}

// passes says whether there is nothing to do about an operation.
func (a *Action) passes() bool {
	return a.Kind == Pass && a.Delay == 0 && a.Rewrite == nil && a.Parts == 0
}

// Interceptor decides about one operation. It runs on the connection's goroutine,
// concurrently for several connections, and must not block.
type Interceptor func(Event) Action

// Tracer sees every frame in wire order: body is the performative and its payload,
// empty for a heartbeat, and must not be kept. It runs on the connection's
// goroutine.
type Tracer func(conn uint64, out bool, channel uint16, body []byte)

// Config is what a connection needs to know. Only Namespace is required.
type Config struct {
	Namespace   Namespace
	Interceptor Interceptor
	Tracer      Tracer
	// ContainerID is our name in open. Default "servicebustest".
	ContainerID string
	// MaxFrameSize is the largest frame we take, and we write none larger.
	// Default 256 KiB as the real service's standard tier.
	MaxFrameSize uint32
	// IdleTimeout is announced to the client; a connection silent for twice as long
	// is closed. Default 2 minutes.
	IdleTimeout time.Duration
	// Socket is what carries the connection, below TLS and the like; ResetConn resets
	// it. Default: the connection itself.
	Socket net.Conn
	// Idle is when unused links and connections are given up. The zero value: never.
	Idle IdleLimits
}

// Serve speaks AMQP on nc until the connection is over, and returns when nothing
// of it is left. The error says why it ended; nil means that the client closed it.
// When ctx ends, the client gets a close with amqp:connection:forced.
func Serve(ctx context.Context, nc net.Conn, cfg Config) error {
	return NewConn(nc, cfg).Serve(ctx)
}
