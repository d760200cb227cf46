package transport

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

const connectionString = "Endpoint=sb://localhost;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true"

// world is the real client against the transport over pipes.
type world struct {
	*bench
	t      *testing.T
	client *azservicebus.Client
	ctx    context.Context

	mu    sync.Mutex
	conns []*Conn // under mu
}

// inBubble runs f with a client inside a bubble, and waits for everything.
func inBubble(t *testing.T, cfg Config, f func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, ok := cfg.Namespace.(*bench)
		if !ok {
			b = newBench()
			cfg.Namespace = b
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		w := &world{bench: b, t: t, ctx: ctx}
		var serving sync.WaitGroup
		client, err := azservicebus.NewClientFromConnectionString(connectionString, &azservicebus.ClientOptions{
			NewWebSocketConn: func(context.Context, azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
				ours, theirs := net.Pipe()
				c := NewConn(ours, cfg)
				w.mu.Lock()
				w.conns = append(w.conns, c)
				w.mu.Unlock()
				serving.Go(func() { _ = c.Serve(ctx) })
				return theirs, nil
			},
			RetryOptions: azservicebus.RetryOptions{MaxRetries: -1},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.client = client
		f(w)
		if err := client.Close(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		serving.Wait()
	})
}

func (w *world) conn() *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.conns[len(w.conns)-1]
}

func (w *world) receiver(queue string, o *azservicebus.ReceiverOptions) *azservicebus.Receiver {
	w.t.Helper()
	r, err := w.client.NewReceiverForQueue(queue, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// receive takes exactly n messages.
func (w *world) receive(r *azservicebus.Receiver, n int) []*azservicebus.ReceivedMessage {
	w.t.Helper()
	var got []*azservicebus.ReceivedMessage
	for len(got) < n {
		msgs, err := r.ReceiveMessages(w.ctx, n-len(got), nil)
		if err != nil || len(msgs) == 0 {
			w.t.Fatalf("received %d of %d: %v", len(got), n, err)
		}
		got = append(got, msgs...)
	}
	return got
}

func (w *world) send(queue string, msgs ...*azservicebus.Message) error {
	w.t.Helper()
	s, err := w.client.NewSender(queue, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, m := range msgs {
		if err := s.SendMessage(w.ctx, m, nil); err != nil {
			return errors.Join(err, s.Close(w.ctx))
		}
	}
	return s.Close(w.ctx)
}
