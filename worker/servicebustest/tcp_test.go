package servicebustest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/worker/servicebustest"
)

// overTCP returns a rig on a real socket, as other processes and languages use it.
func overTCP(t testing.TB, cfg servicebustest.QueueConfig, opts ...servicebustest.Option) rig {
	t.Helper()
	s := servicebustest.New(t, append(opts, servicebustest.WithQueue(queueName, cfg))...)
	addr, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.ConnectionString(), "sb://"+addr.String()+";") {
		t.Fatalf("connection string %q does not name %v", s.ConnectionString(), addr)
	}
	return rig{s, newClientWith(t, s.ConnectionString(), nil), s.Queue(queueName)}
}

func TestConnectionStringIsAllAClientNeedsOverTCP(t *testing.T) {
	t.Parallel()
	r := overTCP(t, servicebustest.QueueConfig{})
	sender, receiver := r.sender(t), r.receiver(t)
	body := []byte(strings.Repeat("x", 250_000))
	if err := sender.SendMessage(context.Background(), &azservicebus.Message{Body: body}, nil); err != nil {
		t.Fatal(err)
	}
	m := receiveOne(t, receiver)
	if len(m.Body) != len(body) {
		t.Fatalf("received %d bytes of %d", len(m.Body), len(body))
	}
	if err := receiver.RenewMessageLock(context.Background(), m, nil); err != nil {
		t.Fatal(err)
	}
	complete(t, receiver, m)
	wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Completed: 1})
}

func TestSeveralListenersServeOneNamespace(t *testing.T) {
	t.Parallel()
	r := overTCP(t, servicebustest.QueueConfig{})
	second, err := r.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if firstHost(r.ConnectionString()) == second.String() {
		t.Fatal("the connection string names the second listener")
	}
	r.fill(t, 1)
	other := strings.Replace(r.ConnectionString(), firstHost(r.ConnectionString()), second.String(), 1)
	receiver := rig{r.Server, newClientWith(t, other, nil), r.queue}.receiver(t)
	complete(t, receiver, receiveOne(t, receiver))
}

func firstHost(connectionString string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(connectionString, "Endpoint=sb://"), ";")
	return host
}

func TestSharedAccessKeyIsVerifiedOnRequest(t *testing.T) {
	t.Parallel()
	for key, accepted := range map[string]bool{"SAS_KEY_VALUE": true, "ANOTHER": false} {
		r := overTCP(t, servicebustest.QueueConfig{}, servicebustest.WithSharedAccessRule("RootManageSharedAccessKey", key))
		r.fill(t, 1)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		_, err := r.receiver(t).ReceiveMessages(ctx, 1, nil)
		cancel()
		if accepted && err != nil {
			t.Errorf("the right key was refused: %v", err)
		}
		if !accepted {
			wantCode(t, err, azservicebus.CodeUnauthorizedAccess)
		}
	}
}

func TestConcurrentReceiversShareAQueueWithoutLossOrRepetition(t *testing.T) {
	t.Parallel()
	const receivers, messages = 4, 1000
	r := overTCP(t, servicebustest.QueueConfig{LockDuration: 5 * time.Minute})
	r.fill(t, messages)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var group sync.WaitGroup
	for range receivers {
		receiver := r.receiver(t)
		group.Go(func() { completeAll(ctx, t, receiver) })
	}
	done := func(c servicebustest.Counts) bool { return c.Completed == messages }
	if err := r.queue.Wait(ctx, done); err != nil {
		t.Error(err)
	}
	cancel()
	group.Wait()
	for _, m := range r.queue.Ledger() {
		last := m.Events[len(m.Events)-1]
		if last.Kind != servicebustest.EventCompleted || last.DeliveryCount != 0 {
			t.Fatalf("message %s ended as %v with %d failed deliveries", m.MessageID, last.Kind, last.DeliveryCount)
		}
	}
}

func completeAll(ctx context.Context, t *testing.T, receiver *azservicebus.Receiver) {
	for {
		messages, err := receiver.ReceiveMessages(ctx, 50, nil)
		for _, m := range messages {
			if err := receiver.CompleteMessage(context.WithoutCancel(ctx), m, nil); err != nil {
				t.Errorf("complete: %v", err)
			}
		}
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			t.Errorf("receive: %v", err)
			return
		}
	}
}
