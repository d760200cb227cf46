package worker

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

func TestClientGetsOneConnection(t *testing.T) {
	t.Parallel()
	dials := 0
	b := ServiceBus{Dial: func(context.Context) (net.Conn, error) {
		dials++
		ours, theirs := net.Pipe()
		t.Cleanup(func() { _ = theirs.Close() })
		return ours, nil
	}}
	args := azservicebus.NewWebSocketConnArgs{Host: "wss://localhost/$servicebus/websocket"}
	first, next := b.transport(), b.transport()
	t.Cleanup(first.sever)
	t.Cleanup(next.sever)
	if _, err := first.connect(t.Context(), args); err != nil {
		t.Fatal(err)
	}
	if _, err := first.connect(t.Context(), args); !errors.Is(err, errDialled) {
		t.Errorf("a second connection: %v; want it refused", err)
	}
	if _, err := next.connect(t.Context(), args); err != nil {
		t.Errorf("the next client's connection: %v", err)
	}
	if dials != 2 {
		t.Errorf("dialled %d times; want 2", dials)
	}
}
