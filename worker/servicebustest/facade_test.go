package servicebustest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/go-amqp"
	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest"
)

func TestQueueViewShowsWhatWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := servicebustest.New(t, servicebustest.WithQueue("q", servicebustest.QueueConfig{DefaultTTL: time.Hour})).Queue("Q")
		due := time.Now().Add(time.Minute)
		numbers, err := q.Send(
			servicebustest.Message{
				ID: "a", Body: []byte("body"), ContentType: "text/plain", Subject: "s", CorrelationID: "c",
				Properties: map[string]any{"n": 1, "s": "x"}, TTL: time.Minute,
			},
			servicebustest.Message{ID: "b", ScheduledFor: due},
		)
		if err != nil || !cmp.Equal(numbers, []int64{1, 2}) {
			t.Fatalf("send returned %v, %v", numbers, err)
		}
		want := []servicebustest.StoredMessage{
			{
				ID: "a", Body: []byte("body"), ContentType: "text/plain", Subject: "s", CorrelationID: "c",
				Properties: map[string]any{"n": int64(1), "s": "x"}, SequenceNumber: 1, EnqueuedAt: time.Now(),
				ExpiresAt: time.Now().Add(time.Minute), State: servicebustest.Active,
			},
			{
				ID: "b", Properties: map[string]any{}, SequenceNumber: 2, EnqueuedAt: time.Now(), ScheduledFor: due,
				State: servicebustest.Scheduled,
			},
		}
		if diff := cmp.Diff(want, q.Messages()); diff != "" {
			t.Errorf("messages differ (-want +got):\n%s", diff)
		}
		if dead := q.DeadLettered(); len(dead) != 0 {
			t.Errorf("dead-lettered: %+v", dead)
		}
	})
}

func TestSendRefusesWhatAClientCouldNotSend(t *testing.T) {
	t.Parallel()
	q := servicebustest.New(t, servicebustest.WithQueue("q", servicebustest.QueueConfig{MaxMessageSize: 1000})).Queue("q")
	for name, m := range map[string]servicebustest.Message{
		"property type": {Properties: map[string]any{"x": struct{}{}}},
		"size":          {Body: make([]byte, 1001)},
	} {
		if _, err := q.Send(servicebustest.Message{}, m); err == nil {
			t.Errorf("%s: sent", name)
		}
	}
	wantCounts(t, q, servicebustest.Counts{})
}

func TestWaitReturnsAtTheChangeOrWithTheLastCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := servicebustest.New(t, servicebustest.WithQueue("q", servicebustest.QueueConfig{})).Queue("q")
		if _, err := q.Send(servicebustest.Message{ScheduledFor: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		active := func(c servicebustest.Counts) bool { return c.Active == 1 }
		if err := q.Wait(context.Background(), active); err != nil || time.Since(before) != time.Hour {
			t.Fatalf("waited %v: %v", time.Since(before), err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := q.Wait(ctx, func(c servicebustest.Counts) bool { return c.Completed == 1 })
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Active:1") {
			t.Fatalf("wait in vain returned %v", err)
		}
	})
}

func TestStartRefusesWhatIsNotEmulated(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]servicebustest.Option{
		"bad name": servicebustest.WithQueue("", servicebustest.QueueConfig{}),
	} {
		if _, err := servicebustest.Start(opt); err == nil {
			t.Errorf("%s: started", name)
		}
	}
}

func TestUnknownQueueIsLoud(t *testing.T) {
	t.Parallel()
	s, err := servicebustest.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "nobody") {
			t.Errorf("recovered %v", r)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	s.Queue("nobody")
}

// failures is a TB that notes what it is told.
type failures struct {
	testing.TB
	said []string
}

func (f *failures) Fatalf(format string, args ...any) {
	f.said = append(f.said, fmt.Sprintf(format, args...))
}

func TestNewReportsToTheTest(t *testing.T) {
	t.Parallel()
	f := &failures{TB: t}
	s := servicebustest.New(f, servicebustest.WithQueue("q", servicebustest.QueueConfig{}))
	if s.Queue("nobody") != nil || len(f.said) != 1 {
		t.Fatalf("an unknown queue said %v", f.said)
	}
}

func TestClosedServerTakesNobody(t *testing.T) {
	t.Parallel()
	s, err := servicebustest.Start(servicebustest.WithQueue("q", servicebustest.QueueConfig{}))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice: Close is idempotent
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Dial(context.Background()); !errors.Is(err, servicebustest.ErrClosed) {
		t.Errorf("dial returned %v", err)
	}
	if _, err := s.Listen("127.0.0.1:0"); err == nil {
		t.Error("listened")
	}
	if _, err := s.Queue("q").Send(servicebustest.Message{}); err == nil {
		t.Error("sent")
	}
}

func TestCloseCutsAClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s, err := servicebustest.Start(servicebustest.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err != nil {
			t.Fatal(err)
		}
		nc, err := s.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if s.Connections() != 1 {
			t.Fatalf("%d connections", s.Connections())
		}
		synctest.Wait() // until it is being served
		before := time.Now()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(before); waited > 10*time.Second {
			t.Errorf("close took %v", waited)
		}
		if !strings.Contains(log.String(), "connection ended") {
			t.Errorf("the log says %q", log.String())
		}
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Error("the client's end is open")
		}
	})
}

func TestCloseTellsClientsAndWaitsForThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := servicebustest.Start()
		if err != nil {
			t.Fatal(err)
		}
		conn := rawConn(t, s)
		before := time.Now()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(before); waited != 0 {
			t.Errorf("close took %v with a client that reads", waited)
		}
		<-conn.Done()
		var closed *amqp.ConnError
		if !errors.As(conn.Err(), &closed) || closed.RemoteErr == nil || closed.RemoteErr.Condition != amqp.ErrCondConnectionForced {
			t.Errorf("the client was told %v", conn.Err())
		}
	})
}

func TestConnectionsCountsTheLiveOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servicebustest.New(t)
		first, second := rawConn(t, s), rawConn(t, s)
		for i, conn := range []*amqp.Conn{first, second} {
			if got := s.Connections(); got != 2-i {
				t.Errorf("%d connections, want %d", got, 2-i)
			}
			_ = conn.Close() // an error is about who closed the pipe first
			synctest.Wait()
		}
		if got := s.Connections(); got != 0 {
			t.Errorf("%d connections after the last was closed", got)
		}
	})
}

func TestWithoutHistoryThereIsNoLedger(t *testing.T) {
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig) {
		r.fill(t, 1)
		receiver := r.receiver(t)
		complete(t, receiver, receiveOne(t, receiver))
		if r.queue.Ledger() != nil || r.queue.History("m1") != nil {
			t.Fatal("history was kept")
		}
		wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Completed: 1})
	}, servicebustest.WithoutHistory())
}
