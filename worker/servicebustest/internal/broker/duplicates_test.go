package broker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var detecting = Config{RequiresDuplicateDetection: true, DuplicateDetectionWindow: time.Minute}

func TestRepeatedIDIsAcceptedAndDroppedWithinTheWindow(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		q := p.queue("q", detecting)
		send(t, q, Message{ID: "a"}, Message{ID: "b"})
		time.Sleep(time.Minute - 1)
		if got := send(t, q, Message{ID: "b"}, Message{ID: "c"}, Message{ID: "c"}); !slices.Equal(got, []int64{2, 3, 3}) {
			t.Fatalf("numbers %v", got)
		}
		settle(t, q, acquireOne(t, q), Complete)
		wantCounts(t, q, Counts{Accepted: 3, Active: 2, Completed: 1})
		if got := kinds(q.History("b")); !slices.Equal(got, []EventKind{Enqueued, Duplicate}) {
			t.Errorf("history is %v", got)
		}
		time.Sleep(time.Nanosecond)
		send(t, q, Message{ID: "a"}, Message{ID: "b"}, Message{ID: "c"})
		wantIDs(t, q, "b", "c", "a", "b") // c was first seen later
	})
}

func TestWhatIsNoDuplicate(t *testing.T) {
	for name, test := range map[string]struct {
		cfg           Config
		first, second Message
		want          int
	}{
		"the same":                             {detecting, Message{ID: "a"}, Message{ID: "a", Size: 1}, 1},
		"detection is off":                     {Config{}, Message{ID: "a"}, Message{ID: "a"}, 2},
		"another id":                           {detecting, Message{ID: "a"}, Message{ID: "A"}, 2},
		"no id":                                {detecting, Message{}, Message{}, 2},
		"another key":                          {detecting, Message{ID: "a", PartitionKey: "1"}, Message{ID: "a", PartitionKey: "2"}, 1},
		"another key on a partitioned entity":  {partitioned(), Message{ID: "a", PartitionKey: "1"}, Message{ID: "a", PartitionKey: "2"}, 2},
		"the same key on a partitioned entity": {partitioned(), Message{ID: "a", PartitionKey: "1"}, Message{ID: "a", PartitionKey: "1"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, test.cfg, func(t *testing.T, q *Queue) {
				send(t, q, test.first)
				send(t, q, test.second)
				if got := q.Counts().Accepted; got != test.want {
					t.Fatalf("%d accepted, want %d", got, test.want)
				}
			})
		})
	}
}

func partitioned() Config {
	cfg := detecting
	cfg.Partitioned = true
	return cfg
}

func TestScheduledMessagesAreDuplicatesFromTheTimeTheyWereSent(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		q := p.queue("q", detecting)
		due := time.Now().Add(time.Hour)
		numbers := send(t, q, Message{ID: "a", ScheduledFor: due})
		if got := send(t, q, Message{ID: "a"}); !slices.Equal(got, numbers) {
			t.Fatalf("numbers %v, want %v", got, numbers)
		}
		time.Sleep(time.Hour)
		send(t, q, Message{ID: "a"})
		wantIDs(t, q, "a", "a") // activation does not begin a window
	})
}

func TestDuplicatesAreFoundWhereTheEntityAsksForIt(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		topic := p.topic("topic", detecting)
		target := p.queue("target", detecting)
		for _, name := range []string{"one", "two"} {
			p.subscription("topic", name, Config{ForwardTo: "target"})
		}
		kept := p.subscription("topic", "kept", Config{}, Rule{Name: "a", Filter: TrueFilter{}, Action: stamp("1")}, Rule{Name: "b", Filter: TrueFilter{}})
		send(t, topic, Message{ID: "m"})
		send(t, topic, Message{ID: "m"})
		wantIDs(t, kept, "m", "m") // one message, two rules
		wantIDs(t, target, "m")    // one message, two ways
		wantCounts(t, topic, Counts{Accepted: 1, Forwarded: 1})
	})
}

func TestDuplicateDetectionAgreesWithASimpleModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		synctest.Test(t, func(*testing.T) {
			n := NewNamespace(false)
			defer n.Close()
			q, err := n.CreateQueue("q", detecting)
			if err != nil {
				r.Fatal(err)
			}
			type sent struct {
				id string
				at time.Time
			}
			var accepted []sent
			for range rapid.IntRange(1, 60).Draw(r, "steps") {
				time.Sleep(time.Duration(rapid.IntRange(0, 40).Draw(r, "seconds")) * time.Second)
				now := time.Now()
				id := fmt.Sprint(rapid.IntRange(1, 4).Draw(r, "id"))
				if !slices.ContainsFunc(accepted, func(s sent) bool { return s.id == id && now.Sub(s.at) < time.Minute }) {
					accepted = append(accepted, sent{id, now})
				}
				if _, err := q.Enqueue(Message{ID: id}); err != nil {
					r.Fatal(err)
				}
				if got := q.Counts().Accepted; got != len(accepted) {
					r.Fatalf("%d accepted, want %d", got, len(accepted))
				}
			}
			if remembered := len(q.entity.recent.byID); remembered > 4 {
				r.Fatalf("%d ids are remembered", remembered)
			}
		})
	})
}
