package worker

// The only file that creates clients of the Service Bus SDK.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
)

// ServiceBus names the entity to work on and the way to it.
type ServiceBus struct {
	// Namespace is the fully qualified host, used with Credential.
	Namespace  string
	Credential azcore.TokenCredential
	// ConnectionString is used instead of Namespace and Credential: emulator, SAS. It is a secret.
	ConnectionString string
	// Queue, or Topic and Subscription.
	Queue, Topic, Subscription string
	// SDKTransport leaves dialling to the SDK and its frames unwatched: a way out, should the transport of this package
	// not suit a network.
	SDKTransport bool
	// Dial replaces dialling; tests hand over in-memory connections. Nil in production.
	Dial func(context.Context) (net.Conn, error)
}

// Validate reports what is missing or contradictory. It never prints the connection string.
func (b ServiceBus) Validate() error {
	var errs []error
	switch {
	case b.Namespace == "" && b.ConnectionString == "":
		errs = append(errs, errors.New("no namespace and no connection string; one of them is needed"))
	case b.Namespace != "" && b.ConnectionString != "":
		errs = append(errs, errors.New("both a namespace and a connection string; only one of them may be given"))
	case b.Namespace != "" && b.Credential == nil:
		errs = append(errs, errors.New("a namespace without a credential"))
	}
	switch {
	case (b.Topic == "") != (b.Subscription == ""):
		errs = append(errs, errors.New("topic and subscription belong together"))
	case b.Queue == "" && b.Topic == "":
		errs = append(errs, errors.New("no queue, and no topic and subscription"))
	case b.Queue != "" && b.Topic != "":
		errs = append(errs, errors.New("both a queue and a topic; only one of them may be given"))
	}
	if b.ConnectionString != "" {
		if err := checkConnectionString(b.ConnectionString); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// checkConnectionString lets the SDK parse it, which connects to nothing, and repeats nothing of it.
func checkConnectionString(s string) error {
	if !strings.Contains(strings.ToLower(s), "endpoint=sb://") {
		return errors.New("connection string: no Endpoint=sb://<namespace>/")
	}
	if _, err := azservicebus.NewClientFromConnectionString(s, nil); err != nil {
		return errors.New("connection string: not one of Service Bus; want Endpoint, SharedAccessKeyName and SharedAccessKey, or SharedAccessSignature")
	}
	return nil
}

// Entity names what is received from, for logs.
func (b ServiceBus) Entity() string {
	if b.Queue != "" {
		return b.Queue
	}
	return b.Topic + "/subscriptions/" + b.Subscription
}

// receiver and sender are what the worker needs of the SDK; the SDK's types are asserted below, and tests script them.
type receiver interface {
	ReceiveMessages(ctx context.Context, maxMessages int, options *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	PeekMessages(ctx context.Context, maxMessageCount int, options *azservicebus.PeekMessagesOptions) ([]*azservicebus.ReceivedMessage, error)
	RenewMessageLock(ctx context.Context, msg *azservicebus.ReceivedMessage, options *azservicebus.RenewMessageLockOptions) error
	CompleteMessage(ctx context.Context, message *azservicebus.ReceivedMessage, options *azservicebus.CompleteMessageOptions) error
	AbandonMessage(ctx context.Context, message *azservicebus.ReceivedMessage, options *azservicebus.AbandonMessageOptions) error
	DeadLetterMessage(ctx context.Context, message *azservicebus.ReceivedMessage, options *azservicebus.DeadLetterOptions) error
}

type sender interface {
	SendAMQPAnnotatedMessage(ctx context.Context, message *azservicebus.AMQPAnnotatedMessage, options *azservicebus.SendAMQPAnnotatedMessageOptions) error
	NewMessageBatch(ctx context.Context, options *azservicebus.MessageBatchOptions) (*azservicebus.MessageBatch, error)
}

var (
	_ receiver = (*azservicebus.Receiver)(nil)
	_ sender   = (*azservicebus.Sender)(nil)
)

// connection is one SDK client with its receiver and sender. Nothing is dialled before its first call.
type connection struct {
	receiver receiver
	// sender is nil where a copy would reach other readers too: a topic's other subscriptions.
	sender sender
	clock  brokerClock
	close  func(context.Context) error
	// ended returns why the transport ended a connection of its own accord; nil if it did not.
	ended func() error
	// arrived counts what has come from the broker, 0 before there is a connection. Nil where the transport is not ours.
	arrived func() uint64
	// severed is closed when the broker ends the receiver's management link. Nil where the transport is not ours.
	severed <-chan struct{}
	// gone is closed when the connection has ended. Nil where the transport is not ours.
	gone <-chan struct{}
	// credit can be taken back. Nil where the transport is not ours.
	credit *withdrawal
}

// transport returns how to reach Service Bus, nil for the SDK's own way.
func (b ServiceBus) transport() *transport {
	switch {
	case b.Dial != nil:
		return newTransport(func(ctx context.Context, _ string) (net.Conn, error) { return b.Dial(ctx) })
	case b.SDKTransport:
		return nil
	case emulated(b.ConnectionString):
		return newTransport(dialPlain)
	}
	return newTransport(dialTLS)
}

func (b ServiceBus) client(t *transport) (*azservicebus.Client, error) {
	options := &azservicebus.ClientOptions{
		ApplicationID: "batch-terminator",
		// Ours are the only retries: the SDK's ladder holds a call for 50 s and rebuilds links under concurrent callers.
		RetryOptions: azservicebus.RetryOptions{MaxRetries: -1},
	}
	if t != nil {
		options.NewWebSocketConn = t.connect
	}
	if b.ConnectionString != "" {
		return azservicebus.NewClientFromConnectionString(b.ConnectionString, options)
	}
	return azservicebus.NewClient(b.Namespace, b.Credential, options)
}

func (b ServiceBus) connect() (*connection, error) { return b.connectTo(false, b.Queue) }

// connectTo makes a receiver of the entity, or of its dead-letter queue, and a sender to the target, a queue or a topic,
// unless that is "".
func (b ServiceBus) connectTo(deadLetters bool, target string) (*connection, error) {
	t := b.transport()
	client, err := b.client(t)
	if err != nil {
		return nil, fmt.Errorf("service bus client: %w", err)
	}
	c := &connection{close: client.Close, ended: func() error { return nil }}
	if t != nil {
		c.close = t.closing(client.Close)
		c.ended, c.credit, c.arrived, c.severed, c.gone = t.ended, &t.credit, t.arrived.Load, t.node.severed, t.gone
	}
	options := &azservicebus.ReceiverOptions{}
	if deadLetters {
		options.SubQueue = azservicebus.SubQueueDeadLetter
	}
	if b.Queue == "" {
		c.receiver, err = client.NewReceiverForSubscription(b.Topic, b.Subscription, options)
	} else {
		c.receiver, err = client.NewReceiverForQueue(b.Queue, options)
	}
	if err != nil {
		return nil, fmt.Errorf("service bus receiver: %w", err)
	}
	if target == "" {
		return c, nil
	}
	if c.sender, err = client.NewSender(target, nil); err != nil {
		return nil, fmt.Errorf("service bus sender: %w", err)
	}
	return c, nil
}

// lockLost tells whether the broker no longer knows the lock.
func lockLost(err error) bool { return hasCode(err, azservicebus.CodeLockLost) }

// unauthorized tells whether the identity lacks the right, by whichever of its forms the SDK lets through.
func unauthorized(err error) bool {
	return hasCode(err, azservicebus.CodeUnauthorizedAccess) || hasCondition(err, amqp.ErrCondUnauthorizedAccess)
}

// refusesSend tells whether the broker refuses this message, or every message, for a reason that neither another try nor
// another client changes: no right, an entity closed to senders, a full queue, a message too large.
func refusesSend(err error) bool {
	// The SDK looks at the size by itself, too.
	return errors.Is(err, azservicebus.ErrMessageTooLarge) || unauthorized(err) || hasCondition(err, "com.microsoft:entity-disabled") || hasCondition(err, amqp.ErrCondResourceLimitExceeded) ||
		hasCondition(err, amqp.ErrCondMessageSizeExceeded) || hasCondition(err, amqp.ErrCondNotAllowed)
}

// detached tells whether an error is the end of a link, by itself or with its session or connection, rather than the answer
// to a message. Of an unauthorized link the SDK may tell no more than a code.
func detached(err error) bool {
	_, link := errors.AsType[*amqp.LinkError](err)
	_, session := errors.AsType[*amqp.SessionError](err)
	_, conn := errors.AsType[*amqp.ConnError](err)
	return link || session || conn || hasCode(err, azservicebus.CodeUnauthorizedAccess)
}

// throttled tells whether the broker asked for a pause; its documentation asks for at least 2 seconds.
func throttled(err error) bool {
	wedge, ok := errors.AsType[*wedgeError](err)
	return ok && wedge.condition == conditionServerBusy || answersBusy(err)
}

// answersBusy is throttled for the answer to a call: by an AMQP condition, or the status of the management node, which the
// SDK tells in a type of its own.
func answersBusy(err error) bool {
	status, ok := errors.AsType[interface {
		error
		RPCCode() int
	}](err)
	return ok && status.RPCCode() == http.StatusServiceUnavailable || hasCondition(err, conditionServerBusy)
}

const conditionServerBusy = "com.microsoft:server-busy"

func hasCode(err error, code azservicebus.Code) bool {
	e, ok := errors.AsType[*azservicebus.Error](err)
	return ok && e.Code == code
}

func hasCondition(err error, condition amqp.ErrCond) bool {
	e, ok := errors.AsType[*amqp.Error](err)
	return ok && e.Condition == condition
}
