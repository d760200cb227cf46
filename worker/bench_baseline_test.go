package worker_test

// What the worker is measured against: the least that a program can do with the same libraries.

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
)

// rawLoop receives and completes with the SDK and nothing else: no guard, no lock renewal, no metrics, no log.
type rawLoop struct {
	receiver *azservicebus.Receiver
	slots    chan struct{} // one token for each message that may be asked for
	work     func(ctx context.Context, body []byte) error
}

// startRawLoop runs the loop over one connection, with at most held messages at a time.
func startRawLoop(b *testing.B, connectionString string, held int, work func(context.Context, []byte) error) {
	b.Helper()
	client, err := azservicebus.NewClientFromConnectionString(connectionString, nil)
	if err != nil {
		b.Fatal(err)
	}
	l := &rawLoop{slots: make(chan struct{}, held), work: work}
	if l.receiver, err = client.NewReceiverForQueue("sdk", nil); err != nil {
		b.Fatal(err)
	}
	for range held {
		l.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var owner sync.WaitGroup
	owner.Go(func() { l.run(ctx, b) })
	b.Cleanup(func() {
		cancel()
		owner.Wait()
		if err := client.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
}

func (l *rawLoop) run(ctx context.Context, b *testing.B) {
	var messages sync.WaitGroup
	defer messages.Wait()
	for {
		n := l.free(ctx)
		got, err := l.receiver.ReceiveMessages(ctx, n, &azservicebus.ReceiveMessagesOptions{TimeAfterFirstMessage: time.Millisecond})
		if err != nil {
			if ctx.Err() == nil {
				b.Error(err)
			}
			return
		}
		for _, m := range got {
			messages.Go(func() { l.one(ctx, b, m) })
		}
		for range n - len(got) {
			l.slots <- struct{}{}
		}
	}
}

// free takes all slots that are free, at least one.
func (l *rawLoop) free(ctx context.Context) (n int) {
	select {
	case <-l.slots:
	case <-ctx.Done():
	}
	for n = 1; ; n++ {
		select {
		case <-l.slots:
		default:
			return n
		}
	}
}

func (l *rawLoop) one(ctx context.Context, b *testing.B, m *azservicebus.ReceivedMessage) {
	defer func() { l.slots <- struct{}{} }()
	err := l.work(ctx, m.Body)
	if err == nil {
		err = l.receiver.CompleteMessage(ctx, m, nil)
	}
	if err != nil && ctx.Err() == nil {
		b.Error(err)
	}
}

func nothing(context.Context, []byte) error { return nil }

func sleeping(d time.Duration) func(context.Context, []byte) error {
	return func(context.Context, []byte) error {
		time.Sleep(d)
		return nil
	}
}

// bareHTTP makes the call with net/http alone, as one would without a client library.
func bareHTTP(b *testing.B, endpoint string, connections int) func(context.Context, []byte) error {
	transport := &http.Transport{MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: time.Minute}
	return func(ctx context.Context, body []byte) error {
		var request struct{ JobID, TaskID string }
		if err := json.Unmarshal(body, &request); err != nil {
			return err
		}
		url := endpoint + "/jobs/" + request.JobID + "/tasks/" + request.TaskID + "/terminate?api-version=2025-06-01"
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Accept", "application/json")
		req.Header.Set("Authorization", "Bearer token")
		req.Header.Set("Client-Request-Id", "9c4d50ee-2d56-4cd3-8152-34347dc9f2b0")
		req.Header.Set("Return-Client-Request-Id", "true")
		req.Header.Set("Ocp-Date", time.Now().UTC().Format(http.TimeFormat))
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body) // there is none to speak of
		return resp.Body.Close()
	}
}

// startBareAMQP receives and completes with the AMQP client below the SDK: the ceiling.
func startBareAMQP(b *testing.B, address string, credit, settlers int) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := amqp.Dial(ctx, "amqp://"+address, &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		b.Fatal(err)
	}
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		b.Fatal(err)
	}
	receiver, err := session.NewReceiver(ctx, "amqp", &amqp.ReceiverOptions{Credit: int32(credit), SettlementMode: amqp.ReceiverSettleModeSecond.Ptr()})
	if err != nil {
		b.Fatal(err)
	}
	var owner sync.WaitGroup
	for range settlers {
		owner.Go(func() {
			for {
				m, err := receiver.Receive(ctx, nil)
				if err == nil {
					err = receiver.AcceptMessage(ctx, m)
				}
				if err != nil {
					if ctx.Err() == nil {
						b.Error(err)
					}
					return
				}
			}
		})
	}
	b.Cleanup(func() {
		cancel()
		owner.Wait()
		if err := conn.Close(); err != nil {
			b.Error(err)
		}
	})
}
