package servicebustest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/worker/servicebustest"
)

const queueName = "orders"

// rig is one server, one real client and one queue.
type rig struct {
	*servicebustest.Server
	client *azservicebus.Client
	queue  *servicebustest.Queue
}

// inBubble runs a test with the real SDK in virtual time, over an in-memory connection.
func inBubble(t *testing.T, cfg servicebustest.QueueConfig, test func(t *testing.T, r rig), opts ...servicebustest.Option) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servicebustest.New(t, append(opts, servicebustest.WithQueue(queueName, cfg))...)
		test(t, rig{s, newClient(t, s), s.Queue(queueName)})
	})
}

// newClient returns a client that reaches s in memory. It is closed before s is.
func newClient(t testing.TB, s *servicebustest.Server) *azservicebus.Client {
	t.Helper()
	return newClientWith(t, s.ConnectionString(), inMemoryOptions(s))
}

func inMemoryOptions(s *servicebustest.Server) *azservicebus.ClientOptions {
	return &azservicebus.ClientOptions{
		NewWebSocketConn: func(ctx context.Context, _ azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
			return s.Dial(ctx)
		},
	}
}

func newClientWith(t testing.TB, connectionString string, options *azservicebus.ClientOptions) *azservicebus.Client {
	t.Helper()
	client, err := azservicebus.NewClientFromConnectionString(connectionString, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(context.Background()); err != nil {
			t.Errorf("close client: %v", err)
		}
	})
	return client
}

func (r rig) sender(t testing.TB) *azservicebus.Sender {
	t.Helper()
	sender, err := r.client.NewSender(queueName, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLink(t, sender.Close) })
	return sender
}

func (r rig) receiver(t testing.TB) *azservicebus.Receiver {
	t.Helper()
	return r.receiverWith(t, nil)
}

func (r rig) receiverWith(t testing.TB, options *azservicebus.ReceiverOptions) *azservicebus.Receiver {
	t.Helper()
	receiver, err := r.client.NewReceiverForQueue(queueName, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLink(t, receiver.Close) })
	return receiver
}

func (r rig) deadLetterReceiver(t testing.TB) *azservicebus.Receiver {
	t.Helper()
	return r.receiverWith(t, &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
}

func closeLink(t testing.TB, close func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := close(ctx); err != nil {
		t.Errorf("close link: %v", err)
	}
}

// fill puts n messages m1, m2, … into the queue without a client.
func (r rig) fill(t testing.TB, n int) {
	t.Helper()
	messages := make([]servicebustest.Message, n)
	for i := range messages {
		messages[i] = servicebustest.Message{ID: fmt.Sprintf("m%d", i+1), Body: fmt.Appendf(nil, "body %d", i+1)}
	}
	if _, err := r.queue.Send(messages...); err != nil {
		t.Fatal(err)
	}
}

// patience bounds every call: with heartbeats running, virtual time never stands still, so a call without an end would
// turn a mistake into a test that hangs.
const patience = 30 * time.Second

// receive collects exactly n messages, however many calls the SDK takes for it.
func receive(t testing.TB, receiver *azservicebus.Receiver, n int) []*azservicebus.ReceivedMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var got []*azservicebus.ReceivedMessage
	for len(got) < n {
		messages, err := receiver.ReceiveMessages(ctx, n-len(got), nil)
		if err != nil {
			t.Fatalf("received %d of %d messages, then: %v", len(got), n, err)
		}
		got = append(got, messages...)
	}
	return got
}

func receiveOne(t testing.TB, receiver *azservicebus.Receiver) *azservicebus.ReceivedMessage {
	t.Helper()
	return receive(t, receiver, 1)[0]
}

// receiveNothing waits for a message that must not come.
func receiveNothing(t testing.TB, receiver *azservicebus.Receiver) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if got, err := receiver.ReceiveMessages(ctx, 1, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("received %d messages, %v; want to wait in vain", len(got), err)
	}
}

func complete(t testing.TB, receiver *azservicebus.Receiver, messages ...*azservicebus.ReceivedMessage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, m := range messages {
		if err := receiver.CompleteMessage(ctx, m, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func wantCode(t testing.TB, err error, want azservicebus.Code) {
	t.Helper()
	var sdk *azservicebus.Error
	if !errors.As(err, &sdk) || sdk.Code != want {
		t.Fatalf("error is %v, want code %s", err, want)
	}
}

func wantCounts(t testing.TB, q *servicebustest.Queue, want servicebustest.Counts) {
	t.Helper()
	if got := q.Counts(); got != want {
		t.Fatalf("counts are\n%+v, want\n%+v", got, want)
	}
}

func kinds(events []servicebustest.Event) []servicebustest.EventKind {
	var kinds []servicebustest.EventKind
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}
