package worker

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// Whatever the SDK does with the connection that it was given, it ends with its client, and with it the goroutine that
// writes to it: the bubble would not end otherwise.
func TestConnectionEndsWithItsClient(t *testing.T) {
	t.Parallel()
	hangs := func(ctx context.Context) error {
		time.Sleep(time.Hour)
		return nil
	}
	for name, close := range map[string]func(context.Context) error{
		"the SDK forgets it": func(context.Context) error { return nil }, "the SDK hangs": hangs,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				transport := newTransport(func(context.Context, string) (net.Conn, error) { return ours, nil })
				if _, err := transport.connect(t.Context(), azservicebus.NewWebSocketConnArgs{Host: "wss://acme"}); err != nil {
					t.Fatal(err)
				}
				ended := make(chan time.Duration)
				begun := time.Now()
				go func() {
					_, _ = io.ReadAll(peer)
					ended <- time.Since(begun)
				}()
				c := &connection{close: transport.closing(close)}
				c.dismiss()
				if after := <-ended; after > closeLimit {
					t.Errorf("the peer saw the end after %v, want at most %v", after, closeLimit)
				}
				time.Sleep(time.Hour) // the SDK comes back
			})
		})
	}
}

// A dial that outlasts its client brings a connection that nobody asked for any more.
func TestConnectionThatComesAfterItsClientEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, peer := net.Pipe()
		transport := newTransport(func(context.Context, string) (net.Conn, error) { return ours, nil })
		transport.sever()
		if _, err := transport.connect(t.Context(), azservicebus.NewWebSocketConnArgs{Host: "wss://acme"}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("error %v; want the connection refused", err)
		}
		if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the peer reads %v; want the end", err)
		}
	})
}
