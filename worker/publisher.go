package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/uuid"
)

// publishLimit bounds one batch on its way.
const publishLimit = 30 * time.Second

// Publisher sends terminate requests, as upstream systems do. It is for one goroutine.
type Publisher struct {
	client *azservicebus.Client
	sender *azservicebus.Sender
}

// NewPublisher returns a publisher to the queue or topic of b. Nothing is dialled before the first Publish.
func NewPublisher(b ServiceBus) (*Publisher, error) {
	client, err := b.client(b.transport())
	if err != nil {
		return nil, fmt.Errorf("service bus client: %w", err)
	}
	target := b.Queue
	if target == "" {
		target = b.Topic
	}
	sender, err := client.NewSender(target, nil)
	if err != nil {
		return nil, fmt.Errorf("service bus sender: %w", err)
	}
	return &Publisher{client: client, sender: sender}, nil
}

// Outgoing is one message to publish.
type Outgoing struct {
	Body []byte
	// MessageID is the request's identity; "" makes a new one.
	MessageID string
	// Traceparent names the span that the request comes from, as in W3C Trace Context; "" for none.
	Traceparent string
	// TimeToLive ends the request's use, 0 for the queue's default.
	TimeToLive time.Duration
}

// Publish sends the messages in as few batches as they fit into and reports each batch's size to progress, which may be
// nil. A batch is stored whole or not at all. On an error sent says how many messages the broker has confirmed; the batch
// that failed may have been stored even so, which is why message ids should be the caller's own.
func (p *Publisher) Publish(ctx context.Context, messages []Outgoing, progress func(n int)) (sent int, err error) {
	for sent < len(messages) {
		n, err := p.publishBatch(ctx, messages[sent:])
		sent += n
		if err != nil {
			return sent, err
		}
		if progress != nil {
			progress(n)
		}
	}
	return sent, nil
}

// publishBatch sends as many of the messages as fit into one batch.
func (p *Publisher) publishBatch(ctx context.Context, messages []Outgoing) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	batch, err := p.sender.NewMessageBatch(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("connect: %w (%s)", err, hint(err, senderRole))
	}
	n := 0
	for _, m := range messages {
		err := batch.AddMessage(m.message(), nil)
		if errors.Is(err, azservicebus.ErrMessageTooLarge) && n > 0 {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("message %q: %w", m.MessageID, err)
		}
		n++
	}
	if err := p.sender.SendMessageBatch(ctx, batch, nil); err != nil {
		return 0, fmt.Errorf("send: %w (%s)", err, hint(err, senderRole))
	}
	return n, nil
}

func (m Outgoing) message() *azservicebus.Message {
	id, contentType := m.MessageID, "application/json"
	if id == "" {
		id = uuid.NewString()
	}
	message := &azservicebus.Message{Body: m.Body, MessageID: &id, ContentType: &contentType}
	if m.Traceparent != "" {
		message.ApplicationProperties = map[string]any{propTraceparent: m.Traceparent, propDiagnosticID: m.Traceparent}
	}
	if m.TimeToLive > 0 {
		message.TimeToLive = &m.TimeToLive
	}
	return message
}

// Close ends the connection.
func (p *Publisher) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if err := p.client.Close(ctx); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
