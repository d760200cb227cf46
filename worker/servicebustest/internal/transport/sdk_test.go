package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/codec"
)

func TestSentMessageComesBackAsItWas(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		id, subject := "id-1", "greeting"
		props := map[string]any{"int": int32(1), "long": int64(1), "text": "t", "none": nil}
		big := bytes.Repeat([]byte("x"), 1<<20) // 16 frames in, as many out
		err := w.send("q", &azservicebus.Message{MessageID: &id, Subject: &subject, Body: big, ApplicationProperties: props})
		if err != nil {
			t.Fatal(err)
		}
		r := w.receiver("q", nil)
		m := w.receive(r, 1)[0]
		if !bytes.Equal(m.Body, big) || m.MessageID != id || *m.Subject != subject || m.DeliveryCount != 1 || *m.SequenceNumber != 1 {
			t.Errorf("got %d bytes, id %q, delivery %d, sequence %d", len(m.Body), m.MessageID, m.DeliveryCount, *m.SequenceNumber)
		}
		if fmt.Sprint(m.ApplicationProperties) != fmt.Sprint(props) {
			t.Errorf("properties %v, want %v", m.ApplicationProperties, props)
		}
		if want := [16]byte{0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 14: 1, 15: 1}; m.LockToken != want {
			t.Errorf("lock token % x", m.LockToken)
		}
	})
}

func TestBatchArrivesAsItsMessages(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		s, err := w.client.NewSender("q", nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.NewMessageBatch(w.ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if err := b.AddMessage(&azservicebus.Message{Body: fmt.Appendf(nil, "m%d", i)}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.SendMessageBatch(w.ctx, b, nil); err != nil {
			t.Fatal(err)
		}
		for i, m := range w.receive(w.receiver("q", nil), 100) {
			if string(m.Body) != fmt.Sprintf("m%d", i) {
				t.Fatalf("message %d is %q", i, m.Body)
			}
		}
	})
}

func TestEachSettlementReachesTheSourceAndIsAnswered(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		q := w.queue("q")
		q.put([]byte("1"), []byte("2"), []byte("3"), []byte("4"))
		r := w.receiver("q", nil)
		m := w.receive(r, 4)
		reason, text := "bad", "very bad"
		steps := []error{
			r.CompleteMessage(w.ctx, m[0], nil),
			r.DeferMessage(w.ctx, m[1], &azservicebus.DeferMessageOptions{PropertiesToModify: map[string]any{"k": "v"}}),
			r.DeadLetterMessage(w.ctx, m[2], &azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &text, PropertiesToModify: map[string]any{"k": int64(7)}}),
			r.AbandonMessage(w.ctx, m[3], nil),
		}
		if err := errors.Join(steps...); err != nil {
			t.Fatal(err)
		}
		want := []settled{
			{1, Outcome{Settlement: Complete}},
			{2, Outcome{Settlement: Defer, Properties: codec.Map{{Key: "k", Value: "v"}}}},
			{3, Outcome{Settlement: DeadLetter, Reason: reason, Description: text, Properties: codec.Map{{Key: "k", Value: int64(7)}}}},
			{4, Outcome{Settlement: Abandon}},
		}
		if diff := cmp.Diff(want, q.outcomes(), cmp.AllowUnexported(settled{})); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		if again := w.receive(r, 1)[0]; string(again.Body) != "4" || again.DeliveryCount != 2 {
			t.Errorf("abandoned message came back as %q, delivery %d", again.Body, again.DeliveryCount)
		}
	})
}

func TestLostLockFailsTheSettlement(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		w.queue("q").put([]byte("1"))
		r := w.receiver("q", nil)
		m := w.receive(r, 1)
		w.queue("q").unlock()
		err := r.CompleteMessage(w.ctx, m[0], nil)
		var sbErr *azservicebus.Error
		if !errors.As(err, &sbErr) || sbErr.Code != azservicebus.CodeLockLost {
			t.Errorf("complete without lock: %v", err)
		}
	})
}

func TestReceiveAndDeleteTakesNoMoreThanAsked(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		q := w.queue("q")
		for i := range 10 {
			q.put(fmt.Appendf(nil, "%d", i))
		}
		r := w.receiver("q", &azservicebus.ReceiverOptions{ReceiveMode: azservicebus.ReceiveModeReceiveAndDelete})
		w.receive(r, 3)
		if ready, _ := q.counts(); ready != 7 {
			t.Errorf("%d messages left of 7", ready)
		}
	})
}

func TestIdleConnectionLivesOnHeartbeats(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		r := w.receiver("q", nil)
		short, cancel := context.WithTimeout(w.ctx, 5*time.Minute)
		defer cancel()
		if _, err := r.ReceiveMessages(short, 1, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("idle receive: %v", err)
		}
		w.queue("q").put([]byte("late"))
		w.receive(r, 1)
		if len(w.conns) != 1 {
			t.Errorf("%d connections, want the first one to live", len(w.conns))
		}
	})
}

func TestRefusedLinkCarriesTheError(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		_, err := w.receiver("missing", nil).ReceiveMessages(w.ctx, 1, nil)
		var amqpErr *amqp.Error
		if !errors.As(err, &amqpErr) || amqpErr.Condition != amqp.ErrCondNotFound || !strings.Contains(amqpErr.Description, "missing") {
			t.Errorf("attach to a missing queue: %v", err)
		}
	})
}

func TestRefusedMessageCarriesTheError(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		subject := "refuse me"
		err := w.send("q", &azservicebus.Message{Subject: &subject})
		var amqpErr *amqp.Error
		if !errors.As(err, &amqpErr) || amqpErr.Condition != "com.microsoft:entity-disabled" {
			t.Errorf("send: %v", err)
		}
		if ready, _ := w.queue("q").counts(); ready != 0 {
			t.Errorf("%d messages stored", ready)
		}
	})
}

func TestManagementAnswersByReplyAddress(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		w.queue("q").put([]byte("1"))
		r := w.receiver("q", nil)
		m := w.receive(r, 1)[0]
		if err := r.RenewMessageLock(w.ctx, m, nil); err != nil {
			t.Fatal(err)
		}
		if left := time.Until(*m.LockedUntil); left < 59*time.Minute {
			t.Errorf("renewed for %v", left)
		}
	})
}

func TestReleasedLateArrivalsAreNotCounted(t *testing.T) {
	inBubble(t, Config{}, func(w *world) {
		r := w.receiver("q", nil)
		short, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		if _, err := r.ReceiveMessages(short, 5, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		w.queue("q").put([]byte("late")) // to the releaser, as often as credit is left
		synctest.Wait()
		if n := len(w.queue("q").outcomes()); n != 5 {
			t.Errorf("released %d times, want 5", n)
		}
		if m := w.receive(r, 1)[0]; m.DeliveryCount != 1 {
			t.Errorf("delivery count %d after releases", m.DeliveryCount)
		}
	})
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var read sync.WaitGroup
		read.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
		if err := Serve(ctx, ours, Config{Namespace: newBench()}); err == nil {
			t.Error("no reason given")
		}
		_ = theirs.Close()
		read.Wait()
	})
}
