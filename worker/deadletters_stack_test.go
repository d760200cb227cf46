package worker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/batchapi/batchtest"
	"batchterminator/worker"
	"batchterminator/worker/servicebustest"
)

// morgue is a queue with dead letters, in a bubble, without a worker.
type morgue struct {
	bus   *servicebustest.Server
	queue *servicebustest.Queue
}

func inMorgue(t *testing.T, queue servicebustest.QueueConfig, test func(t *testing.T, m *morgue), options ...servicebustest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		bus, err := servicebustest.Start(append(options, servicebustest.WithQueue(queueName, queue))...)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := bus.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, &morgue{bus: bus, queue: bus.Queue(queueName)})
	})
}

func (m *morgue) entity() worker.ServiceBus {
	return worker.ServiceBus{ConnectionString: m.bus.ConnectionString(), Queue: queueName, Dial: m.bus.Dial}
}

// bury makes dead letters of messages, whose reason is what their id begins with.
func (m *morgue) bury(t *testing.T, messages ...servicebustest.Message) {
	t.Helper()
	if _, err := m.queue.Send(messages...); err != nil {
		t.Fatal(err)
	}
	client := m.client(t)
	defer func() { _ = client.Close(t.Context()) }()
	receiver, err := client.NewReceiverForQueue(queueName, nil)
	if err != nil {
		t.Fatal(err)
	}
	for left := len(messages); left > 0; {
		got, err := receiver.ReceiveMessages(t.Context(), left, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range got {
			reason, _, _ := strings.Cut(g.MessageID, "-")
			description := "because of " + reason
			if err := receiver.DeadLetterMessage(t.Context(), g, &azservicebus.DeadLetterOptions{Reason: &reason, ErrorDescription: &description}); err != nil {
				t.Fatal(err)
			}
		}
		left -= len(got)
	}
}

// client is another one than ours.
func (m *morgue) client(t *testing.T) *azservicebus.Client {
	t.Helper()
	client, err := azservicebus.NewClientFromConnectionString(m.bus.ConnectionString(), &azservicebus.ClientOptions{
		NewWebSocketConn: func(ctx context.Context, _ azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
			return m.bus.Dial(ctx)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// corpses are n messages that die of the reason.
func corpses(reason string, n int) (all []servicebustest.Message) {
	for i := range n {
		id := fmt.Sprintf("%s-%d", reason, i)
		all = append(all, servicebustest.Message{ID: id, Body: fmt.Appendf(nil, `{"jobId":"j","taskId":%q}`, id), ContentType: "application/json"})
	}
	return all
}

func (m *morgue) run(t *testing.T, e worker.Errand) (worker.Tally, error) {
	t.Helper()
	q := worker.NewDeadLetters(m.entity(), queueName, false)
	defer q.Close()
	return q.Run(t.Context(), e)
}

func reasoned(reason string) func(worker.Stored) bool {
	return func(s worker.Stored) bool { return s.Reason == reason }
}

func (m *morgue) burned() (n int) {
	for _, message := range m.queue.Ledger() {
		for _, e := range message.Events {
			if e.Kind == servicebustest.EventLockExpired {
				n++
			}
		}
	}
	return n
}

// The others are in the way, since they came first, and are there again at the end, with no delivery burned.
func TestResubmitTakesWhatIsAskedForAndLeavesTheRest(t *testing.T) {
	t.Parallel()
	inMorgue(t, servicebustest.QueueConfig{LockDuration: 5 * time.Second}, func(t *testing.T, m *morgue) {
		m.bury(t, corpses("refused", 150)...)
		m.bury(t, corpses("expired", 60)...)
		m.bury(t, corpses("refused", 10)...)
		tally, err := m.run(t, worker.Errand{Match: reasoned("expired"), Rate: 2}) // for 30 s: six locks long
		equal(t, "error", err, nil)
		equal(t, "tally", tally, worker.Tally{Found: 60, Resubmitted: 60, TargetComplete: true})
		counts := m.queue.Counts()
		equal(t, "active, dead, locked", [3]int{counts.Active, counts.DeadLettered, counts.Locked}, [3]int{60, 160, 0})
		for _, dead := range m.queue.DeadLettered() {
			equal(t, "state and deliveries of "+dead.ID, fmt.Sprint(dead.State, dead.DeliveryCount), "active0")
		}
		equal(t, "locks that ended by themselves", m.burned(), 0)
	})
}

// P3: what comes back is the request it was, without what ended it.
func TestResubmittedRequestKeepsItsBodyPropertiesAndIdentity(t *testing.T) {
	t.Parallel()
	inMorgue(t, servicebustest.QueueConfig{}, func(t *testing.T, m *morgue) {
		long := strings.Repeat("x", 3)
		m.bury(t, servicebustest.Message{
			ID: "expired-copy", Body: []byte(`{"jobId":"j","taskId":"t"}`), ContentType: "application/json", Subject: "s", CorrelationID: "c", ReplyTo: "r", TTL: time.Hour,
			Properties: map[string]any{
				"own": int64(7), "traceparent": "00-" + long, "bt-request-id": "original", "bt-attempts": int64(9), "bt-redeliveries": int64(4),
				"bt-first-enqueued": "2020-01-31T17:00:00Z", "bt-ledger": "2020-01-31T17:00:00Z throttled/4", "bt-accounted": int64(2), "bt-suspect": int64(3),
			},
		})
		tally, err := m.run(t, worker.Errand{Match: reasoned("expired")})
		equal(t, "error", err, nil)
		equal(t, "resubmitted", tally.Resubmitted, 1)
		got := m.queue.Messages()[0]
		if got.ID == "expired-copy" || got.ID == "" {
			t.Errorf("its message id is %q: duplicate detection would drop it", got.ID)
		}
		history, _ := got.Properties["bt-ledger"].(string)
		if !strings.HasPrefix(history, "2020-01-31T17:00:00Z throttled/4; ") || !strings.HasSuffix(history, " resubmitted") {
			t.Errorf("its ledger is %q", history)
		}
		delete(got.Properties, "bt-ledger")
		mark, _ := got.Properties["bt-dead-letter"].(string)
		if !strings.HasPrefix(mark, "1@") {
			t.Errorf("it comes from dead letter %q", mark)
		}
		delete(got.Properties, "bt-dead-letter")
		equal(t, "properties", got.Properties, map[string]any{"own": int64(7), "traceparent": "00-xxx", "bt-request-id": "original", "bt-attempts": int64(9), "bt-resubmissions": int64(1)})
		equal(t, "body and the rest", fmt.Sprint(string(got.Body), got.ContentType, got.Subject, got.CorrelationID), `{"jobId":"j","taskId":"t"}application/jsonsc`)
		if !got.ExpiresAt.IsZero() && time.Until(got.ExpiresAt) < 24*time.Hour {
			t.Errorf("it expires at %v: what was left of its time to live came along", got.ExpiresAt)
		}
	})
}

// A request can die and come back more than once, also where duplicate detection remembers all its former copies.
func TestResubmittedRequestIsNoDuplicateOfItself(t *testing.T) {
	t.Parallel()
	inBubble(t, servicebustest.QueueConfig{RequiresDuplicateDetection: true, DuplicateDetectionWindow: 24 * time.Hour}, func(t *testing.T, s *stack) {
		s.account.OnNext(batchtest.Status(http.StatusConflict, "JobDisabled", 0), batchtest.Times(4))
		s.task(t, "a")
		for round := range 2 { // in each round one copy, of the same number, is sent for later, and then the request is given up
			s.until(t, time.Hour, "a dead letter", func(c servicebustest.Counts) bool { return c.DeadLettered == 1 })
			q := worker.NewDeadLetters(worker.ServiceBus{ConnectionString: s.bus.ConnectionString(), Queue: queueName, Dial: s.bus.Dial}, queueName, false)
			tally, err := q.Run(t.Context(), worker.Errand{Match: reasoned("retries_exhausted")})
			q.Close()
			equal(t, fmt.Sprintf("round %d", round), tally.Resubmitted, 1)
			equal(t, "error", err, nil)
		}
		s.until(t, time.Hour, "the completion", func(servicebustest.Counts) bool {
			return s.account.Terminations("j", "a") == 1 && empty(s.queue.Counts())
		})
		equal(t, "dead letters", s.deadLetters(), nil)
		equal(t, "calls", s.account.CallCount(), 5)
	}, func(s *stack) { s.config.Redelivery.MaxCount = 1 })
}

// P1: whatever step goes unanswered, the same run ends with the right count.
//
// Scorecard: A1, A8, F6.
func TestResubmitSurvivesLostAnswers(t *testing.T) {
	t.Parallel()
	dead := queueName + "/$DeadLetterQueue"
	for name, arm := range map[string]func(*servicebustest.Server){
		"copies unheard": func(s *servicebustest.Server) {
			s.OnNext(servicebustest.Send, servicebustest.Swallow(), servicebustest.Times(3))
		},
		"connection cut by a copy": func(s *servicebustest.Server) { s.OnNext(servicebustest.Send, servicebustest.DropConnection()) },
		"send link detached": func(s *servicebustest.Server) {
			s.OnNext(servicebustest.Send, servicebustest.DetachLink("amqp:link:detach-forced", ""))
		},
		"busy": func(s *servicebustest.Server) { s.OnNext(servicebustest.Send, servicebustest.ServerBusy()) },
		"completions unheard": func(s *servicebustest.Server) {
			s.OnNext(servicebustest.Settle, servicebustest.Swallow(), servicebustest.Times(3))
		},
		"completions unanswered": func(s *servicebustest.Server) {
			s.OnNext(servicebustest.SettleEcho, servicebustest.Swallow(), servicebustest.Times(3))
		},
		"connection cut after a completion": func(s *servicebustest.Server) {
			s.OnNext(servicebustest.SettleEcho, servicebustest.DropConnection())
		},
		"locks that end early": func(s *servicebustest.Server) {
			s.OnNext(servicebustest.Deliver, servicebustest.ExpireLock(0), servicebustest.OnEntity(dead), servicebustest.Times(5))
		},
		"a receive link that detaches": func(s *servicebustest.Server) {
			s.OnNext(servicebustest.Deliver, servicebustest.DetachLink("amqp:link:detach-forced", ""), servicebustest.OnEntity(dead))
		},
		"a look without an answer": func(s *servicebustest.Server) {
			s.OnNext(servicebustest.Reply, servicebustest.Swallow(), servicebustest.When(func(c servicebustest.Call) bool { return strings.HasSuffix(c.Operation, "peek-message") }))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inMorgue(t, servicebustest.QueueConfig{LockDuration: 10 * time.Second}, func(t *testing.T, m *morgue) {
				m.bury(t, append(corpses("refused", 5), corpses("expired", 20)...)...)
				arm(m.bus)
				tally, err := m.run(t, worker.Errand{Match: reasoned("expired"), Rate: 10})
				equal(t, "error", err, nil)
				equal(t, "found, out, left", [3]int{tally.Found, tally.Resubmitted + tally.SentBefore, tally.Left}, [3]int{20, 20, 0})
				requests := map[any]int{}
				for _, got := range m.queue.Messages() {
					requests[got.Properties["bt-request-id"]]++
				}
				for id, n := range requests {
					equal(t, fmt.Sprint("copies of ", id), n, 1)
				}
				equal(t, "requests in the queue", len(requests), 20)
				equal(t, "dead letters", len(m.queue.DeadLettered()), 5)
			})
		})
	}
}

// Dead letters that another receiver holds are waited for; those that it takes are nobody's loss.
func TestResubmitWaitsForWhatOthersHold(t *testing.T) {
	t.Parallel()
	inMorgue(t, servicebustest.QueueConfig{LockDuration: time.Minute}, func(t *testing.T, m *morgue) {
		m.bury(t, corpses("expired", 10)...)
		other := m.client(t)
		defer func() { _ = other.Close(t.Context()) }()
		receiver, err := other.NewReceiverForQueue(queueName, &azservicebus.ReceiverOptions{SubQueue: azservicebus.SubQueueDeadLetter})
		if err != nil {
			t.Fatal(err)
		}
		held, err := receiver.ReceiveMessages(t.Context(), 4, nil)
		if err != nil || len(held) != 4 {
			t.Fatalf("%d held, %v", len(held), err)
		}
		go func() {
			time.Sleep(10 * time.Second)
			_ = receiver.CompleteMessage(context.Background(), held[0], nil)
		}()
		most := 0
		tally, err := m.run(t, worker.Errand{Match: reasoned("expired"), Progress: func(_, _, elsewhere int) { most = max(most, elsewhere) }})
		equal(t, "error", err, nil)
		equal(t, "tally", tally, worker.Tally{Found: 10, Resubmitted: 9, Gone: 1, TargetComplete: true})
		equal(t, "waited for", most, 4)
	})
}

// What a run decides to keep stays, what it decides to discard goes without a copy, and an error ends it with the rest left.
func TestErrandDoesAsDecided(t *testing.T) {
	t.Parallel()
	inMorgue(t, servicebustest.QueueConfig{}, func(t *testing.T, m *morgue) {
		m.bury(t, corpses("expired", 30)...)
		m.bury(t, corpses("refused", 30)...)
		decide := func(_ context.Context, s worker.Stored) (worker.Action, error) {
			n, err := strconv.Atoi(strings.TrimPrefix(s.MessageID, "expired-"))
			return worker.Action(n % 3), err
		}
		tally, err := m.run(t, worker.Errand{Match: reasoned("expired"), Decide: decide})
		equal(t, "error", err, nil)
		equal(t, "tally", tally, worker.Tally{Found: 30, Resubmitted: 10, Discarded: 10, Kept: 10, TargetComplete: true})
		equal(t, "in the queue", len(m.queue.Messages()), 10)
		stop := errors.New("Batch says no")
		tally, err = m.run(t, worker.Errand{Match: reasoned("refused"), Decide: func(_ context.Context, s worker.Stored) (worker.Action, error) {
			if s.MessageID == "refused-5" {
				return worker.Keep, stop
			}
			return worker.Discard, nil
		}})
		if !errors.Is(err, stop) || tally.Found != 30 || tally.Left == 0 || tally.Discarded+tally.Left != 30 {
			t.Errorf("%v, %+v", err, tally)
		}
		equal(t, "left", len(m.queue.DeadLettered()), 10+tally.Left)
		equal(t, "locked", m.queue.Counts().Locked, 0)
	})
}

// Nobody can end a request by sending something else that claims to be its copy.
func TestForgedCopyDoesNotTakeADeadLettersPlace(t *testing.T) {
	t.Parallel()
	inMorgue(t, servicebustest.QueueConfig{}, func(t *testing.T, m *morgue) {
		m.bury(t, corpses("expired", 1)...)
		dead := m.queue.DeadLettered()[0]
		mark := fmt.Sprintf("%d@%s", dead.SequenceNumber, dead.EnqueuedAt.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano))
		if _, err := m.queue.Send(servicebustest.Message{ID: "forged", Body: []byte(`{}`), Properties: map[string]any{"bt-dead-letter": mark, "bt-request-id": dead.ID}}); err != nil {
			t.Fatal(err)
		}
		tally, err := m.run(t, worker.Errand{Match: reasoned("expired")})
		equal(t, "error", err, nil)
		equal(t, "tally", tally, worker.Tally{Found: 1, Resubmitted: 1, TargetSeen: 1, TargetComplete: true})
		for _, got := range m.queue.Messages() {
			equal(t, "mark of "+got.ID, got.Properties["bt-dead-letter"], any(mark))
		}
	})
}

// A message that the SDK panics over hides no other.
func TestBrowserSkipsWhatTheSDKCannotRead(t *testing.T) {
	t.Parallel()
	inMorgue(t, servicebustest.QueueConfig{}, func(t *testing.T, m *morgue) {
		for i := range 12 {
			message := servicebustest.Message{ID: strconv.Itoa(i), Body: []byte("{}")}
			if i == 0 || i == 5 || i == 6 || i == 11 {
				message.Properties = map[string]any{"DeadLetterReason": int64(1)}
			}
			if _, err := m.queue.Send(message); err != nil {
				t.Fatal(err)
			}
		}
		b := worker.NewBrowser(m.entity(), false)
		defer b.Close()
		var seen []string
		walk, err := b.Each(t.Context(), 0, func(s worker.Stored) bool {
			seen = append(seen, s.MessageID)
			return true
		})
		equal(t, "error", err, nil)
		equal(t, "seen", seen, []string{"1", "2", "3", "4", "7", "8", "9", "10"})
		equal(t, "complete", walk.Complete, true)
		if walk.Unreadable != 3 { // two neighbours are one gap
			t.Errorf("%d unreadable", walk.Unreadable)
		}
	})
}

// A person waits: what cannot pass by itself is said at once.
func TestCommandsFailAtOnceWithoutAQueue(t *testing.T) {
	t.Parallel()
	inMorgue(t, servicebustest.QueueConfig{}, func(t *testing.T, m *morgue) {
		entity := m.entity()
		entity.Queue = "misspelt"
		b := worker.NewBrowser(entity, true)
		defer b.Close()
		begun := time.Now()
		_, err := b.Each(t.Context(), 0, func(worker.Stored) bool { return true })
		if !errors.Is(err, worker.ErrUnreachable) || !strings.Contains(err.Error(), "no such queue") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Errorf("after %v", took)
		}
	})
}

// A decision may take longer than a lock lasts: Batch is slow, and is asked again.
func TestErrandKeepsTheLockWhileItDecides(t *testing.T) {
	t.Parallel()
	inMorgue(t, servicebustest.QueueConfig{LockDuration: 5 * time.Second}, func(t *testing.T, m *morgue) {
		m.bury(t, corpses("expired", 3)...)
		var asked atomic.Int32
		tally, err := m.run(t, worker.Errand{Match: reasoned("expired"), Decide: func(context.Context, worker.Stored) (worker.Action, error) {
			asked.Add(1)
			time.Sleep(20 * time.Second)
			return worker.Resubmit, nil
		}})
		equal(t, "error", err, nil)
		equal(t, "tally", tally, worker.Tally{Found: 3, Resubmitted: 3, TargetComplete: true})
		equal(t, "decisions", asked.Load(), 3)
		equal(t, "locks that ended by themselves", m.burned(), 0)
	})
}
