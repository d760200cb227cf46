package mgmt

import (
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/message"
)

func deletion(count int32, before time.Time, more ...codec.Pair) codec.Map {
	return append(codec.Map{{Key: "message-count", Value: count}, {Key: "enqueued-time-utc", Value: before}}, more...)
}

func deleteMessages(t *testing.T, q *broker.Queue, body codec.Map, wantStatus, wantDeleted int32) {
	t.Helper()
	status, condition, reply := request(t, q, "com.microsoft:batch-delete-messages", body)
	want(t, status, condition, wantStatus, "")
	if v, _ := reply.Get("message-count"); wantStatus == 200 && v != wantDeleted {
		t.Fatalf("deleted %v (%T), want %d", v, v, wantDeleted)
	}
}

func TestBatchDeleteTakesTheOldestAndSparesWhatIsHeldOrLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, broker.Config{})
		store(t, q, "locked", "deferred", "a", "b", "c")
		lock(t, q)
		if err := q.Settle(broker.Outcome{Kind: broker.Defer}, lock(t, q).LockToken); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		cut := time.Now()
		deleteMessages(t, q, deletion(10, cut.Add(-time.Hour)), 204, 0)
		deleteMessages(t, q, deletion(1, cut), 200, 1)
		time.Sleep(time.Millisecond)
		store(t, q, "later")
		deleteMessages(t, q, deletion(10, cut), 200, 2)
		deleteMessages(t, q, deletion(10, cut), 204, 0)
		if got := q.Counts(); got != (broker.Counts{Accepted: 6, Active: 1, Locked: 1, Deferred: 1, Completed: 3}) {
			t.Fatalf("counts are %+v", got)
		}
		for _, m := range q.Ledger()[2:5] {
			if last := m.Events[len(m.Events)-1]; last.Kind != broker.Deleted {
				t.Errorf("message %d ended as %v", m.SequenceNumber, last.Kind)
			}
		}
	})
}

func TestBatchDeleteHasALimitOfItsOwn(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	messages := make([]broker.Message, 4001)
	for i := range messages {
		messages[i].Payload = &message.Message{}
	}
	if _, err := q.Enqueue(messages...); err != nil {
		t.Fatal(err)
	}
	deleteMessages(t, q, deletion(1<<30, time.Now().Add(time.Hour)), 200, 4000)
	deleteMessages(t, q, deletion(1<<30, time.Now().Add(time.Hour)), 200, 1)
}

func TestBatchDeleteInASession(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{RequiresSession: true})
	for _, id := range []string{"a", "b", "a", ""} {
		if _, err := q.Enqueue(broker.Message{SessionID: id, InSession: true, Payload: &message.Message{}}); err != nil {
			t.Fatal(err)
		}
	}
	soon := time.Now().Add(time.Hour)
	deleteMessages(t, q, deletion(10, soon, codec.Pair{Key: "session-id", Value: "nobody"}), 204, 0)
	deleteMessages(t, q, deletion(10, soon, codec.Pair{Key: "session-id", Value: "a"}), 200, 2)
	deleteMessages(t, q, deletion(10, soon, codec.Pair{Key: "session-id", Value: ""}), 200, 1)
	deleteMessages(t, q, deletion(10, soon, codec.Pair{Key: "session-id", Value: nil}), 200, 1)
	if sessions := q.Sessions(); len(sessions) != 0 {
		t.Errorf("sessions are left without a message: %+v", sessions)
	}
}

func TestBatchDeleteEmptiesADeadLetterQueue(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, "a")
	if err := q.Settle(broker.Outcome{Kind: broker.DeadLetter}, lock(t, q).LockToken); err != nil {
		t.Fatal(err)
	}
	deleteMessages(t, q.DeadLetter(), deletion(10, time.Now().Add(time.Hour)), 200, 1)
	if got := q.Counts(); got != (broker.Counts{Accepted: 1, Completed: 1}) {
		t.Errorf("counts are %+v", got)
	}
}

func TestBatchDeleteRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	q := newQueue(t, broker.Config{})
	store(t, q, "a")
	for name, body := range map[string]codec.Map{
		"no count":         {{Key: "enqueued-time-utc", Value: time.Now()}},
		"count is 0":       deletion(0, time.Now()),
		"no time":          {{Key: "message-count", Value: int32(1)}},
		"session is a map": deletion(1, time.Now(), codec.Pair{Key: "session-id", Value: codec.Map{}}),
	} {
		status, condition, _ := request(t, q, "com.microsoft:batch-delete-messages", body)
		if status != 400 || condition != "com.microsoft:argument-error" {
			t.Errorf("%s: answered %d %s", name, status, condition)
		}
	}
	disabled := newQueue(t, broker.Config{Status: broker.StatusReceiveDisabled})
	status, condition, _ := request(t, disabled, "com.microsoft:batch-delete-messages", deletion(1, time.Now()))
	want(t, status, condition, 403, "com.microsoft:entity-disabled")
	if got := q.Counts(); got.Active != 1 {
		t.Errorf("a refused request had an effect: %+v", got)
	}
}
