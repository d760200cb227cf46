package servicebustest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/Azure/go-amqp"

	"batchterminator/worker/servicebustest"
)

// The tests of this file hold the gap list of doc.go: what is not emulated is refused, with a condition that says so.

// rawConn is a client below the SDK, for what the SDK does not do.
func rawConn(t *testing.T, s *servicebustest.Server) *amqp.Conn {
	t.Helper()
	nc, err := s.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := amqp.NewConn(context.Background(), nc, &amqp.ConnOptions{SASLType: amqp.SASLTypeAnonymous()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // a test may have ended it already
	return conn
}

func rawSession(t *testing.T, s *servicebustest.Server) *amqp.Session {
	t.Helper()
	session, err := rawConn(t, s).NewSession(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func wantRefusal(t *testing.T, err error, want amqp.ErrCond) {
	t.Helper()
	var refusal *amqp.Error
	if !errors.As(err, &refusal) || refusal.Condition != want || refusal.Description == "" {
		t.Fatalf("error is %v, want condition %s and a text", err, want)
	}
}

func TestAddressesThatAreNotEmulatedAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servicebustest.New(t, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
		session := rawSession(t, s)
		for address, want := range map[string]amqp.ErrCond{
			"topic/Subscriptions/sub": amqp.ErrCondNotFound,
			"nobody":                  amqp.ErrCondNotFound,
			"nobody/$management":      amqp.ErrCondNotFound,
		} {
			_, err := session.NewReceiver(context.Background(), address, nil)
			wantRefusal(t, err, want)
		}
		_, err := session.NewSender(context.Background(), "orders/$DeadLetterQueue", nil)
		wantRefusal(t, err, amqp.ErrCondNotAllowed)
	})
}

func TestDynamicNodesAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servicebustest.New(t, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
		_, err := rawSession(t, s).NewReceiver(context.Background(), "", &amqp.ReceiverOptions{DynamicAddress: true})
		wantRefusal(t, err, amqp.ErrCondNotImplemented)
	})
}

func TestSecondCBSLinkOnAConnectionIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servicebustest.New(t, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
		session := rawSession(t, s)
		first, err := session.NewSender(context.Background(), "$cbs", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = session.NewSender(context.Background(), "$cbs", nil)
		wantRefusal(t, err, amqp.ErrCondNotAllowed)
		if err := first.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := session.NewSender(context.Background(), "$cbs", nil); err != nil {
			t.Fatalf("after the first was closed: %v", err)
		}
	})
}
