package worker_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// publish sends with a client of its own what no method of the broker's façade can.
func (s *stack) publish(t *testing.T, messages ...*azservicebus.AMQPAnnotatedMessage) {
	t.Helper()
	client, err := azservicebus.NewClientFromConnectionString(s.bus.ConnectionString(), &azservicebus.ClientOptions{
		NewWebSocketConn: func(ctx context.Context, _ azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
			return s.bus.Dial(ctx)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close(context.Background()) }()
	sender, err := client.NewSender(queueName, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := sender.SendAMQPAnnotatedMessage(t.Context(), m, nil); err != nil {
			t.Fatalf("%+v: %v", m.Properties, err)
		}
	}
}

// Each body that must be refused is dead-lettered at its first delivery with the outcome that its file is named after, and
// makes no call. What it says reaches no log.
//
// Scorecard: M1, M2, M5, M6, M7, M8.
func TestRefusedBodiesAreDeadLetteredOnceWithoutACall(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		files, err := filepath.Glob("../testdata/messages/*.json")
		if err != nil || len(files) < 100 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		want := map[string]string{}
		for _, file := range files {
			name := filepath.Base(file)
			reason, _, _ := strings.Cut(name, "-")
			if reason == "valid" {
				continue
			}
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want[name] = reason
			m := servicebustest.Message{ID: name, Body: body}
			if strings.Contains(name, "cloudevent") {
				m.ContentType = "application/cloudevents+json"
			}
			if _, err := s.queue.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		s.until(t, time.Minute, "dead letters", func(c servicebustest.Counts) bool { return c.DeadLettered == len(want) })
		for _, dead := range s.queue.DeadLettered() {
			delivered, burned := s.deliveries(dead.ID)
			if dead.Reason != want[dead.ID] || delivered != 1 || burned != 0 {
				t.Errorf("%s: dead-lettered as %s after %d deliveries, %d burned", dead.ID, dead.Reason, delivered, burned)
			}
			if text := dead.Reason + dead.Description; strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s: %q is not one line of ASCII", dead.ID, text)
			}
		}
		equal(t, "calls", s.account.CallCount(), 0)
	})
}

// Scorecard: M4.
func TestNestingCostsNoMoreThanItsLength(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{MaxMessageSize: 4 << 20}, func(t *testing.T, s *stack) {
		n := 0
		for _, depth := range []int{10, 1_000, 10_000, 16_000, 1_000_000} { // the last two beyond what JSON and a body may have
			for _, pair := range []string{"[]", `{"a":}`} {
				inner := strings.Repeat(pair[:len(pair)-1], depth) + "1" + strings.Repeat(pair[len(pair)-1:], depth)
				for _, body := range []string{inner, `{"jobId":` + inner + `,"taskId":"t"}`, `{"jobId":"j","taskId":"t","x":` + inner + `}`, strings.Repeat(pair[:1], depth)} {
					if len(body) < 4<<20 {
						s.send(t, fmt.Sprint(n), body)
						n++
					}
				}
			}
		}
		s.until(t, time.Minute, "dead letters", func(c servicebustest.Counts) bool { return c.DeadLettered == n })
		equal(t, "calls", s.account.CallCount(), 0)
	})
}

// Bodies of every kind that are too large to be a request: each is refused, few are held at once, and what is small gets
// through between them.
//
// Scorecard: M3, S4, F14.
func TestLargeBodiesAreRefusedFewAtATime(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	text := strings.Repeat("x", mb)
	for name, body := range map[string]azservicebus.AMQPAnnotatedMessageBody{
		"256 KB":            {Data: [][]byte{make([]byte, mb/4)}},
		"1 MB":              {Data: [][]byte{make([]byte, mb)}},
		"several sections":  {Data: [][]byte{make([]byte, mb/2), nil, make([]byte, mb/2)}},
		"a text":            {Value: text},
		"a map":             {Value: map[string]any{"jobId": text}},
		"a list":            {Value: []any{text, int64(1)}},
		"an array":          {Value: make([]int64, 60_000)},
		"sequences":         {Sequence: [][]any{{text[:mb/2]}, {text[:mb/2], true}}},
		"one of many parts": {Sequence: [][]any{make([]any, 1000)}},
		"4 MB":              {Data: [][]byte{make([]byte, 4*mb)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{MaxMessageSize: 5 * mb}, func(t *testing.T, s *stack) {
				s.end()
				const large = 10
				for i := range large {
					s.publish(t, &azservicebus.AMQPAnnotatedMessage{Body: body, Properties: &azservicebus.AMQPAnnotatedMessageProperties{MessageID: fmt.Sprint("large", i)}})
					s.task(t, fmt.Sprint("t", i))
				}
				s.account.OnNext(batchtest.Delay(time.Second), batchtest.Keep()) // the small ones take their time, too
				s.start(t)
				s.until(t, 10*time.Minute, "an empty queue", empty)
				equal(t, "dead letters", len(s.deadLetters()), large)
				equal(t, "completed", s.queue.Counts().Completed, large)
				equal(t, "burned deliveries", s.burned(), 0)
			}, func(s *stack) { s.config.MaxHeldBytes = 2 * mb })
		})
	}
}

// A queue of nothing but large bodies: the limit on bytes, not the number of slots, says how many are held.
//
// Scorecard: M3, S4.
func TestHeldBytesAreBoundedFromTheFirstReceive(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{MaxMessageSize: 2 << 20}, func(t *testing.T, s *stack) {
		s.end()
		for i := range 40 {
			s.send(t, fmt.Sprint(i), strings.Repeat("x", 1<<20))
		}
		s.start(t)
		s.until(t, 10*time.Minute, "an empty queue", empty)
		if n := s.queue.MaxLocked(); n > 8 { // those held, and as many again that are being settled
			t.Errorf("%d messages of 1 MB were locked at once; 4 MB may be held", n)
		}
	}, func(s *stack) { s.config.MaxHeldBytes, s.config.Concurrency = 4<<20, 32 })
}
