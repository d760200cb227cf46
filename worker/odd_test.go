package worker_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker/servicebustest"
)

// unreadable are messages on which the SDK fails or panics, before anyone of ours sees them.
func unreadable() map[string]*azservicebus.AMQPAnnotatedMessage {
	body := azservicebus.AMQPAnnotatedMessageBody{Data: [][]byte{[]byte(`{"jobId":"j","taskId":"t"}`)}}
	all := map[string]*azservicebus.AMQPAnnotatedMessage{
		"array beyond the SDK's limit": {Body: azservicebus.AMQPAnnotatedMessageBody{Value: make([]int64, 1<<17)}},
	}
	for name, value := range odd() {
		for _, property := range []string{"DeadLetterReason", "DeadLetterErrorDescription"} {
			all[property+" "+name] = &azservicebus.AMQPAnnotatedMessage{Body: body, ApplicationProperties: map[string]any{property: value}}
		}
	}
	return all
}

// One message that the SDK cannot read, among others: it goes to the dead-letter queue in the end, if it must, and alone. The
// others are done at once, or when the locks have ended that it cost them.
//
// Scorecard: M10, F14, R10.
func TestMessageThatTheSDKCannotReadTakesNobodyDown(t *testing.T) {
	t.Parallel()
	for name, poison := range unreadable() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, servicebustest.QueueConfig{MaxMessageSize: 2 << 20, LockDuration: 30 * time.Second}, func(t *testing.T, s *stack) {
				time.Sleep(10 * time.Second)
				s.end()
				s.account.AddTask("j", "t", batchtest.TaskCompleted)
				s.task(t, "a", "b")
				poison.Properties = &azservicebus.AMQPAnnotatedMessageProperties{MessageID: "poison"}
				s.publish(t, poison)
				for i := range 20 {
					s.task(t, fmt.Sprint("t", i))
				}
				s.start(t)
				time.Sleep(time.Hour)
				s.task(t, "late")
				s.until(t, 10*time.Minute, "an empty queue", empty)
				equal(t, "terminated", s.outcomes()["terminated"], 23)
				for _, m := range s.queue.Ledger() {
					if delivered, burned := s.deliveries(m.MessageID); m.MessageID != "poison" && burned > 1 {
						t.Errorf("%s was delivered %d times, and burned %d: %+v\n%s", m.MessageID, delivered, burned, m.Events, s.entries(100))
					}
				}
			})
		})
	}
}

// odd is what a sender may put where text or a time is usual.
func odd() map[string]any {
	return map[string]any{
		"int": int64(1), "bool": true, "float": 1.5, "time": time.Unix(0, 0), "bytes": []byte("x"), "uuid": amqp.UUID{1}, "null": nil,
		"symbol": amqp.Symbol("x"), "empty": "", "long": strings.Repeat("x", 8<<10), "control": "a\x00\r\nb",
	}
}

// Odd values everywhere that a sender may put one, on requests that have to come back later: each is carried along in its
// copy or left out of it, and every request is done.
//
// Scorecard: M10, M11, F14.
func TestOddMessagesAreProcessedAndComeBackLikeOthers(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, s *stack) {
		rule := s.account.OnNext(batchtest.Status(http.StatusConflict, "JobDisabled", 0), batchtest.Keep())
		sent := 0
		publish := func(name string, change func(*azservicebus.AMQPAnnotatedMessage)) {
			task := fmt.Sprint("t", sent)
			sent++
			s.account.AddTask("j", task, batchtest.TaskRunning)
			m := &azservicebus.AMQPAnnotatedMessage{
				Body:       azservicebus.AMQPAnnotatedMessageBody{Data: [][]byte{[]byte(`{"jobId":"j","taskId":"` + task + `"}`)}},
				Properties: &azservicebus.AMQPAnnotatedMessageProperties{}, ApplicationProperties: map[string]any{}, MessageAnnotations: map[any]any{},
			}
			change(m)
			s.publish(t, m)
		}
		for name, value := range odd() {
			for _, property := range []string{"bt-request-id", "bt-attempts", "bt-redeliveries", "bt-first-enqueued", "bt-ledger", "x", ""} {
				publish(property+" "+name, func(m *azservicebus.AMQPAnnotatedMessage) { m.ApplicationProperties[property] = value })
			}
			publish("annotation "+name, func(m *azservicebus.AMQPAnnotatedMessage) { m.MessageAnnotations["x-opt-odd"] = value })
			publish("footer "+name, func(m *azservicebus.AMQPAnnotatedMessage) { m.Footer = map[any]any{"odd": value} })
			publish("everything "+name, func(m *azservicebus.AMQPAnnotatedMessage) {
				for property := range maps.Keys(odd()) {
					m.ApplicationProperties[property] = value
				}
			})
		}
		for name, id := range map[string]any{"number": uint64(7), "zero": uint64(0), "uuid": amqp.UUID{1}, "bytes": []byte("x"), "empty": "", "none": nil, "long": strings.Repeat("x", 128)} {
			for range 3 { // the same for different requests
				publish("id "+name, func(m *azservicebus.AMQPAnnotatedMessage) { m.Properties.MessageID = id })
			}
			if name != "empty" && name != "none" {
				publish("correlation "+name, func(m *azservicebus.AMQPAnnotatedMessage) { m.Properties.CorrelationID = id })
			}
		}
		time.Sleep(5 * time.Minute)
		equal(t, "dead letters", s.deadLetters(), nil)
		rule.Remove()
		s.until(t, 2*time.Hour, "an empty queue", empty)
		equal(t, "burned deliveries", s.burned(), 0)
		equal(t, "dead letters", s.deadLetters(), nil)
		for i := range sent {
			equal(t, fmt.Sprint("terminations of t", i), s.account.Terminations("j", fmt.Sprint("t", i)), 1)
		}
		if s.logs.FilterMessageSnippet("connection to Service Bus failed").Len() > 0 {
			t.Errorf("a message cost a client:\n%s", s.transcript())
		}
	})
}

// The broker's own annotations with values that nobody expects, at every delivery of one message.
//
// Scorecard: M10, F14.
func TestOddAnnotationsTakeNobodyDown(t *testing.T) {
	t.Parallel()
	values := map[string]any{"null": nil, "text": "x", "number": int64(-1), "large": uint64(1<<64 - 1), "bool": true, "bytes": []byte{1}, "time": time.Unix(1<<33, 0), "list": []any{"x"}}
	for _, key := range []string{"x-opt-enqueued-time", "x-opt-sequence-number", "x-opt-locked-until", "x-opt-partition-key", "x-opt-enqueue-sequence-number",
		"x-opt-deadletter-source", "x-opt-message-state", "x-opt-scheduled-enqueue-time", "x-opt-via-partition-key"} {
		for name, value := range values {
			t.Run(key+" "+name, func(t *testing.T) {
				t.Parallel()
				oddDelivery(t, servicebustest.Alter(servicebustest.Annotation(key, value)))
			})
		}
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		oddDelivery(t, servicebustest.Alter(servicebustest.NoAnnotations()))
	})
	for name, wire := range map[string]string{"nothing": "", "garbage": "\xff\xff\xff", "half a section": "\x00\x53\x75\xb0\xff\xff\xff\xff", "descriptor alone": "\x00\x53\x75"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oddDelivery(t, servicebustest.Rewrite(func([]byte) []byte { return []byte(wire) }))
		})
	}
}

// oddDelivery lets each delivery of one message among ten go odd, which may cost that message its end and no other anything.
func oddDelivery(t *testing.T, fault servicebustest.Fault) {
	t.Helper()
	inBubble(t, servicebustest.QueueConfig{LockDuration: 30 * time.Second}, func(t *testing.T, s *stack) {
		s.bus.OnNext(servicebustest.Deliver, fault, servicebustest.OnMessage("t5"), servicebustest.Keep())
		for i := range 10 {
			s.task(t, fmt.Sprint("t", i))
		}
		time.Sleep(20 * time.Minute)
		s.task(t, "late")
		s.until(t, time.Hour, "an empty queue", empty)
		if n := s.outcomes()["terminated"]; n < 10 {
			t.Errorf("%d of 10 others were terminated\n%s", n, s.transcript())
		}
		for _, m := range s.queue.Ledger() {
			if delivered, burned := s.deliveries(m.MessageID); m.MessageID != "t5" && burned > 1 {
				t.Errorf("%s was delivered %d times, and burned %d", m.MessageID, delivered, burned)
			}
		}
	})
}
