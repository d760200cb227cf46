package servicebustest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest"
)

func TestF4RefusedTokenAndSilentCBS(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		receiveWithin := func(d time.Duration) error {
			return within(d, func(ctx context.Context) error {
				_, err := receiver.ReceiveMessages(ctx, 1, nil)
				return err
			})
		}
		r.OnNext(servicebustest.CBS, servicebustest.Fail("amqp:unauthorized-access", "InvalidSignature"))
		wantCode(t, receiveWithin(patience), azservicebus.CodeUnauthorizedAccess)
		silence := r.OnNext(servicebustest.CBS, servicebustest.Swallow(), servicebustest.Keep())
		if err := receiveWithin(5 * time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("receive beside a silent $cbs returned %v", err)
		}
		silence.Remove()
		complete(t, receiver, receiveOne(t, receiver))
	})
}

func TestF8ThrottledSendIsRetried(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		sender := r.sender(t)
		throttle := r.OnNext(servicebustest.Send, servicebustest.ServerBusy(), servicebustest.Times(2))
		start := time.Now()
		if err := sender.SendMessage(context.Background(), &azservicebus.Message{}, nil); err != nil {
			t.Fatal(err)
		}
		if throttle.Fired() != 2 || time.Since(start) == 0 {
			t.Errorf("throttled %d times, sent after %v", throttle.Fired(), time.Since(start))
		}
		r.OnNext(servicebustest.Send, servicebustest.ServerBusy(), servicebustest.Keep())
		err := sender.SendMessage(context.Background(), &azservicebus.Message{}, nil)
		if err == nil || !strings.Contains(err.Error(), "Error code : 50009") {
			t.Errorf("a send that is always throttled returned %v", err)
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Active: 1})
	})
}

func TestF8ThrottledRenewalIsRetried(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		throttle := r.OnNext(servicebustest.RenewLock, servicebustest.ServerBusy())
		if err := receiver.RenewMessageLock(context.Background(), m, nil); err != nil || throttle.Fired() != 1 {
			t.Errorf("renewal returned %v after %d refusals", err, throttle.Fired())
		}
	})
}

// The SDK retries what was throttled, finds the message settled in its own books, and reports success.
func TestF8ThrottledSettlementIsReportedAsDone(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{LockDuration: 20 * time.Second}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		throttle := r.OnNext(servicebustest.Settle, servicebustest.ServerBusy())
		complete(t, receiver, m)
		if throttle.Fired() != 1 {
			t.Errorf("throttled %d times", throttle.Fired())
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Locked: 1})
		if again := receiveOne(t, receiver); again.DeliveryCount != 2 {
			t.Errorf("delivery count %d, want 2", again.DeliveryCount)
		}
	})
}

func TestF12ConnectionGoesDarkAtASettlement(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 2)
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		r.OnNext(servicebustest.Settle, servicebustest.MuteConnection())
		err := within(5*time.Second, func(ctx context.Context) error { return receiver.CompleteMessage(ctx, m, nil) })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("complete returned %v", err)
		}
		start := time.Now()
		other, err := receiver.ReceiveMessages(context.Background(), 1, nil)
		if took := time.Since(start); took == 0 || took > 5*time.Minute {
			t.Errorf("received %d messages, %v, after %v", len(other), err, took)
		}
		// Another connection has taken its place.
		complete(t, receiver, receive(t, receiver, 2-len(other))...)
		complete(t, receiver, other...)
	})
}

func TestF12ResetReachesTheClientAsOne(t *testing.T) {
	t.Parallel()
	s := servicebustest.New(t, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
	address, err := s.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		strike func()
		want   error
	}{
		"reset": {func() { s.OnNext(servicebustest.Open, servicebustest.ResetConnection()) }, syscall.ECONNRESET},
		"drop":  {func() { s.OnNext(servicebustest.Open, servicebustest.DropConnection()) }, nil}, // nil: end of stream
	} {
		c.strike()
		nc, err := net.Dial("tcp", address.String())
		if err != nil {
			t.Fatal(err)
		}
		const open = "\x00\x00\x00\x12\x02\x00\x00\x00\x00\x53\x10\xc0\x05\x01\xa1\x02me"
		if _, err := io.WriteString(nc, "AMQP\x00\x01\x00\x00"+open); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, nc); !errors.Is(err, c.want) {
			t.Errorf("%s: the client reads %v, want %v", name, err, c.want)
		}
		_ = nc.Close()
	}
}

func TestF12ClientRecoversFromAReset(t *testing.T) {
	t.Parallel()
	s := servicebustest.New(t, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
	if _, err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	r := rig{s, newClientWith(t, s.ConnectionString(), nil), s.Queue(queueName)}
	r.fill(t, 2)
	receiver := r.receiver(t)
	complete(t, receiver, receiveOne(t, receiver))
	if n := s.ResetConnections(); n != 1 {
		t.Fatalf("reset %d connections", n)
	}
	complete(t, receiver, receiveOne(t, receiver))
}

func TestF13SlowTransferArrivesFrameByFrame(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		body := bytes.Repeat([]byte("0123456789"), 1000)
		if _, err := r.queue.Send(servicebustest.Message{ID: "slow", Body: body}, servicebustest.Message{ID: "next"}); err != nil {
			t.Fatal(err)
		}
		r.OnNext(servicebustest.Deliver, servicebustest.SlowTransfer(10, time.Second))
		receiver := r.receiver(t)
		start := time.Now()
		m := receiveOne(t, receiver)
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("ten frames took %v", took)
		}
		if !bytes.Equal(m.Body, body) {
			t.Errorf("the body has %d bytes, want %d", len(m.Body), len(body))
		}
		complete(t, receiver, m, receiveOne(t, receiver))
	})
}

func TestF13TrickleSplitsBytesAnywhere(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		r.OnNext(servicebustest.Connect, servicebustest.Trickle(7, time.Millisecond))
		receiver := r.receiver(t)
		start := time.Now()
		complete(t, receiver, receiveOne(t, receiver))
		if time.Since(start) == 0 {
			t.Error("it took no time")
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Completed: 1})
	})
}

func TestF14OddMessagesReachTheClient(t *testing.T) {
	big := strings.Repeat("x", 32<<10)
	for name, c := range map[string]struct {
		fault servicebustest.Fault
		check func(m *azservicebus.ReceivedMessage) (got, want any)
	}{
		"no annotations": {servicebustest.Alter(servicebustest.NoAnnotations()), func(m *azservicebus.ReceivedMessage) (got, want any) {
			return []any{m.SequenceNumber, m.EnqueuedTime, m.LockedUntil}, []any{(*int64)(nil), (*time.Time)(nil), (*time.Time)(nil)}
		}},
		"nil annotation": {servicebustest.Alter(servicebustest.Annotation("x-opt-partition-key", nil)), func(m *azservicebus.ReceivedMessage) (got, want any) {
			return m.PartitionKey, (*string)(nil)
		}},
		"odd annotation": {servicebustest.Alter(servicebustest.Annotation("x-opt-what", 7)), func(m *azservicebus.ReceivedMessage) (got, want any) {
			return m.RawAMQPMessage.MessageAnnotations["x-opt-what"], int64(7)
		}},
		"value body": {servicebustest.Alter(servicebustest.ValueBody("text")), func(m *azservicebus.ReceivedMessage) (got, want any) {
			return []any{m.Body, m.RawAMQPMessage.Body.Value}, []any{[]byte(nil), "text"}
		}},
		"two data sections": {servicebustest.Alter(servicebustest.DataBody([]byte("a"), []byte("b"))), func(m *azservicebus.ReceivedMessage) (got, want any) {
			return []any{m.Body, m.RawAMQPMessage.Body.Data}, []any{[]byte(nil), [][]byte{[]byte("a"), []byte("b")}}
		}},
		"big property": {servicebustest.Alter(servicebustest.Property("big", big)), func(m *azservicebus.ReceivedMessage) (got, want any) {
			return m.ApplicationProperties["big"], big
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
				r.fill(t, 1)
				r.OnNext(servicebustest.Deliver, c.fault)
				receiver := r.receiver(t)
				m := receiveOne(t, receiver)
				if got, want := c.check(m); !cmp.Equal(got, want) {
					t.Errorf("received %v, want %v", got, want)
				}
				complete(t, receiver, m)
				wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Completed: 1})
			})
		})
	}
}

func TestF14UnreadableMessageCostsTheLinkAndADelivery(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{LockDuration: 10 * time.Second}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		r.OnNext(servicebustest.Deliver, servicebustest.Rewrite(func([]byte) []byte { return []byte("not a message") }))
		receiver := r.receiver(t)
		m := receiveOne(t, receiver)
		if m.DeliveryCount != 2 {
			t.Errorf("delivery count %d, want 2", m.DeliveryCount)
		}
		complete(t, receiver, m)
	})
}

func TestAlterRefusesAValueWithoutAnAMQPType(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a struct was taken for a property")
		}
	}()
	servicebustest.Property("x", struct{}{})
}

func TestF15SkewedClockShowsInEveryTimeTold(t *testing.T) {
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			inBubble(t, servicebustest.QueueConfig{LockDuration: time.Minute}, func(t *testing.T, r rig) {
				r.SkewClock(skew)
				r.fill(t, 2)
				stamped := time.Now().Add(skew)
				receiver := r.receiver(t)
				now := time.Now()
				m := receiveOne(t, receiver)
				if !m.EnqueuedTime.Equal(now.Add(skew)) || !m.LockedUntil.Equal(now.Add(skew+time.Minute)) {
					t.Errorf("enqueued %v, locked until %v at %v", m.EnqueuedTime, m.LockedUntil, now)
				}
				if err := receiver.RenewMessageLock(context.Background(), m, nil); err != nil {
					t.Fatal(err)
				}
				if want := time.Now().Add(skew + time.Minute); !m.LockedUntil.Equal(want) {
					t.Errorf("renewed until %v, want %v", m.LockedUntil, want)
				}
				if err := receiver.DeferMessage(context.Background(), m, nil); err != nil {
					t.Fatal(err)
				}
				now = time.Now()
				deferred, err := receiver.ReceiveDeferredMessages(context.Background(), []int64{*m.SequenceNumber}, nil)
				if err != nil || !deferred[0].LockedUntil.Equal(now.Add(skew+time.Minute)) {
					t.Fatalf("received %v, %v", deferred, err)
				}
				complete(t, receiver, deferred[0])

				time.Sleep(time.Second)
				r.SkewClock(0)
				synctest.Wait()
				now = time.Now()
				if m := receiveOne(t, receiver); !m.EnqueuedTime.Equal(stamped) || !m.LockedUntil.Equal(now.Add(time.Minute)) {
					t.Errorf("enqueued %v, locked until %v; it was stamped %v", m.EnqueuedTime, m.LockedUntil, stamped)
				}
			})
		})
	}
}
