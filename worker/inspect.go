package worker

// What can be found out about an entity and the rights to it without taking a message, locking one, or sending one.

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
)

// TokenScope is what the SDK asks a credential for, in every cloud.
const TokenScope = "https://servicebus.azure.net//.default" //nolint:gosec // G101: an address

// SafeLock is the shortest lock duration that survives a renewal without an answer: the first one is due at half of it, may
// take its whole limit, and the next has to be granted in time.
const SafeLock = 2 * (renewLimit + renewAgain + renewLimit)

// DrainTime returns how long work in flight may go on after a stop signal, of a grace period.
func DrainTime(grace time.Duration) time.Duration {
	return grace - exitReserve - farewellReserve - settleReserve
}

// Unsuspected returns how many deliveries of a message pass, without a word of how they ended, before it is dead-lettered
// as crash_suspect. A queue that allows fewer dead-letters it first, without a reason.
const Unsuspected = crashSuspectAt

// Host is the host of the namespace, with its port if one is named; "" if a connection string has none.
func (b ServiceBus) Host() string {
	if b.ConnectionString == "" {
		return b.Namespace
	}
	for pair := range strings.SplitSeq(b.ConnectionString, ";") {
		if key, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(key), "Endpoint") {
			u, err := url.Parse(strings.TrimSpace(value))
			if err != nil {
				return ""
			}
			return u.Host
		}
	}
	return ""
}

// Reach dials Service Bus as the worker does, TLS included, and hangs up. It returns the version of TLS, "" if there is none.
func (b ServiceBus) Reach(ctx context.Context) (version string, err error) {
	dial := dialTLS
	if t := b.transport(); t != nil {
		dial = t.dial
	} else if emulated(b.ConnectionString) {
		dial = dialPlain
	}
	conn, err := dial(ctx, b.Host())
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if secure, ok := conn.(*tls.Conn); ok {
		return tls.VersionName(secure.ConnectionState().Version), nil
	}
	return "", nil
}

// TryReceive attaches a receiver, which takes the right to receive, and looks at the first message: no lock is taken and no
// delivery counted. It tells whether there is one.
func (b ServiceBus) TryReceive(ctx context.Context) (waiting bool, err error) {
	messages, err := try(ctx, b, func(ctx context.Context, c *connection) ([]*azservicebus.ReceivedMessage, error) {
		return c.receiver.PeekMessages(ctx, 1, nil)
	})
	return len(messages) > 0, err
}

// ErrNoCopies says that copies are not sent to what is received from: a topic's other subscriptions would get them too.
var ErrNoCopies = errors.New("a copy would reach the topic's other subscriptions too")

// TrySend attaches a sender, which takes the right to send; nothing is sent.
func (b ServiceBus) TrySend(ctx context.Context) error {
	if b.Queue == "" {
		return ErrNoCopies
	}
	_, err := try(ctx, b, func(ctx context.Context, c *connection) (*azservicebus.MessageBatch, error) {
		return c.sender.NewMessageBatch(ctx, nil)
	})
	return err
}

// try makes one call on a connection of its own.
func try[T any](ctx context.Context, b ServiceBus, call func(context.Context, *connection) (T, error)) (value T, err error) {
	conn, err := b.connect()
	if err != nil {
		return value, err
	}
	c := newClient(conn, new(atomic.Int64), func(error) {})
	defer func() {
		c.fail("", context.Canceled)
		conn.dismiss()
	}()
	value, err = do(ctx, c, warmLimit, func(ctx context.Context) (T, error) { return call(ctx, conn) })
	if err != nil {
		err = cmp.Or(c.ended(), err) // the SDK saw no more than the end of a connection
	}
	return value, err
}

// Trouble is the kind of fault that an error of Service Bus tells of, as far as it decides what to do about it.
type Trouble uint8

// The kinds. [TroubleOther] is what is left.
const (
	TroubleOther Trouble = iota
	TroubleUnauthorized
	TroubleNotFound
	TroubleDisabled
	TroubleNotAllowed // an entity with sessions, or one that forwards
	TroubleFull
	TroubleThrottled
	TroubleUntrusted // the peer's certificate
	TroubleUnknownHost
	TroubleUnreachable
	TroubleNoAnswer
)

// TroubleOf returns the kind of an error from this package's calls to Service Bus.
func TroubleOf(err error) Trouble {
	for _, row := range troubles {
		if row.when(err) {
			return row.trouble
		}
	}
	return TroubleOther
}

// The first that fits decides: what the broker said before what the network did.
var troubles = []struct {
	trouble Trouble
	when    func(error) bool
}{
	{TroubleUnauthorized, func(err error) bool { return unauthorized(err) || hasStatus(err, 401, 403) }},
	{TroubleNotFound, func(err error) bool {
		return errors.Is(err, errNoEntity) || hasCode(err, azservicebus.CodeNotFound) || hasCondition(err, amqp.ErrCondNotFound)
	}},
	{TroubleDisabled, func(err error) bool { return hasCondition(err, "com.microsoft:entity-disabled") }},
	{TroubleNotAllowed, func(err error) bool { return hasCondition(err, amqp.ErrCondNotAllowed) }},
	{TroubleFull, func(err error) bool { return hasCondition(err, amqp.ErrCondResourceLimitExceeded) }},
	{TroubleThrottled, func(err error) bool { return throttled(err) || hasStatus(err, 429, 503) }},
	{TroubleUntrusted, untrusted},
	{TroubleUnknownHost, func(err error) bool { dns, ok := errors.AsType[*net.DNSError](err); return ok && dns.IsNotFound }},
	{TroubleNoAnswer, func(err error) bool {
		failure, ok := errors.AsType[net.Error](err)
		return ok && failure.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errHung)
	}},
	{TroubleUnreachable, func(err error) bool { _, ok := errors.AsType[net.Error](err); return ok }},
}

func untrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return verification || host || authority || record
}

func (t Trouble) String() string {
	names := [...]string{"other", "unauthorized", "not found", "disabled", "not allowed", "full", "throttled", "untrusted", "unknown host", "unreachable", "no answer"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("trouble %d", t)
}
