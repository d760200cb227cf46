package broker

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDescriptionCountsWhatIsWhere(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		created := time.Now()
		q := p.queue("Orders", Config{UserMetadata: "mine", Attributes: 7})
		d, err := p.Describe(KindQueue, "orders")
		if err != nil || d.Path != "Orders" || d.Config != q.Config() || d.Config.UserMetadata != "mine" || d.Messages != 0 {
			t.Fatalf("described as %+v, %v", d, err)
		}
		time.Sleep(time.Second)
		sent := time.Now()
		send(t, q, Message{Size: 1}, Message{Size: 2}, Message{Size: 4}, Message{Size: 8},
			Message{Size: 16, ScheduledFor: sent.Add(time.Hour)})
		acquireOne(t, q)
		settle(t, q, acquireOne(t, q), Defer)
		settle(t, q, acquireOne(t, q), DeadLetter)
		time.Sleep(time.Second)
		updated := time.Now()
		if d, err = p.Update(KindQueue, "orders", Config{MaxDeliveryCount: 3}); err != nil {
			t.Fatal(err)
		}
		want := Description{
			Kind: KindQueue, Path: "Orders", Config: q.Config(),
			CreatedAt: created, UpdatedAt: updated, AccessedAt: sent,
			Active: 3, DeadLettered: 1, Scheduled: 1, SizeInBytes: 31, Messages: 5,
		}
		if diff := cmp.Diff(want, d); diff != "" || d.Config.MaxDeliveryCount != 3 || d.Config.UserMetadata != "" {
			t.Fatalf("described as %+v, difference:\n%s", d, diff)
		}
	})
}

func TestEntitiesAreListedByPathUnderTheirParents(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		for _, name := range []string{"b", "C", "a"} {
			p.queue(name, Config{})
			p.topic("t"+name, Config{})
		}
		for _, name := range []string{"b", "C", "a"} {
			p.subscription("ta", name, Config{})
		}
		paths := func(all []Description) (paths []string) {
			for _, d := range all {
				paths = append(paths, d.Path)
			}
			return paths
		}
		subscriptions, err := p.Subscriptions("TA")
		if err != nil {
			t.Fatal(err)
		}
		got := [][]string{paths(p.Queues()), paths(p.Topics()), paths(subscriptions)}
		want := [][]string{
			{"a", "b", "C"}, {"ta", "tb", "tC"},
			{"ta/Subscriptions/a", "ta/Subscriptions/b", "ta/Subscriptions/C"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("lists differ (-want +got):\n%s", diff)
		}
		if d, err := p.Describe(KindTopic, "ta"); err != nil || d.Subscriptions != 3 {
			t.Fatalf("topic is %+v, %v", d, err)
		}
		if _, err := p.Subscriptions("a"); !errors.Is(err, ErrEntityNotFound) {
			t.Fatalf("subscriptions of a queue: %v", err)
		}
	})
}

func TestUpdateRefusesWhatIsFixedOrWrong(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		p.queue("q", Config{})
		p.topic("t", Config{})
		p.subscription("t", "s", Config{})
		const sub = "t/subscriptions/s"
		for name, test := range map[string]struct {
			kind Kind
			path string
			cfg  Config
			text string // of an ImmutableError
			want error
		}{
			"sessions of a queue":        {KindQueue, "q", Config{RequiresSession: true}, "The value for the RequiresSession property of an existing Queue cannot be changed", nil},
			"sessions of a subscription": {KindSubscription, sub, Config{RequiresSession: true}, "The value for the RequiresSession property of an existing Subscription cannot be changed", nil},
			"duplicate detection":        {KindTopic, "t", Config{RequiresDuplicateDetection: true}, "The value for the RequiresDuplicateDetection property of an existing Topic cannot be changed", nil},
			"partitioning":               {KindTopic, "t", Config{Partitioned: true}, "Partitioning cannot be changed for Topic. ", nil},
			"not there":                  {KindQueue, "other", Config{}, "", ErrEntityNotFound},
			"another kind":               {KindTopic, "q", Config{}, "", ErrEntityNotFound},
			"bad value":                  {KindQueue, "q", Config{LockDuration: time.Hour}, "", ErrInvalid},
			"target not there":           {KindQueue, "q", Config{ForwardTo: "other"}, "", ErrEntityNotFound},
		} {
			_, err := p.Update(test.kind, test.path, test.cfg)
			var fixed *ImmutableError
			switch {
			case test.want != nil && !errors.Is(err, test.want):
				t.Errorf("%s: %v, want %v", name, err, test.want)
			case test.want == nil && (!errors.As(err, &fixed) || fixed.Error() != test.text):
				t.Errorf("%s: %v, want %s", name, err, test.text)
			}
		}
	})
}

func TestDeletedEntityIsNotFoundAnyMoreAndItsNameIsFree(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		topic := p.topic("t", Config{})
		sub := p.subscription("t", "s", Config{})
		kept := p.subscription("t", "kept", Config{})
		queue := p.queue("q", Config{})
		send(t, queue, Message{ScheduledFor: time.Now().Add(time.Hour)})
		send(t, topic, Message{})
		if err := p.Delete(KindSubscription, "t/subscriptions/s"); err != nil {
			t.Fatal(err)
		}
		wantEmpty(t, sub)
		send(t, topic, Message{})
		wantCounts(t, kept, Counts{Accepted: 2, Active: 2})
		for kind, path := range map[Kind]string{KindQueue: "Q", KindTopic: "T"} {
			if err := p.Delete(kind, path); err != nil {
				t.Fatal(err)
			}
			if err := p.Delete(kind, path); !errors.Is(err, ErrEntityNotFound) {
				t.Errorf("second delete of %s: %v", path, err)
			}
		}
		for _, path := range []string{"q", "t", "t/subscriptions/s", "t/subscriptions/kept"} {
			if _, err := p.Resolve(path); !errors.Is(err, ErrEntityNotFound) {
				t.Errorf("resolve %s: %v", path, err)
			}
		}
		if _, err := queue.Enqueue(Message{}); !errors.Is(err, ErrEntityNotFound) {
			t.Errorf("enqueue after delete: %v", err)
		}
		if again := p.queue("t", Config{}); again.Counts().Accepted != 0 {
			t.Error("the new entity remembers the old one")
		}
	})
}

func TestChangesAreToldToWhomTheyConcern(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		var told []Change
		p.Notify(func(c Change) { told = append(told, c) })
		p.topic("t", Config{})
		p.subscription("t", "s", Config{})
		for _, status := range []Status{StatusActive, StatusSendDisabled, StatusReceiveDisabled, StatusDisabled} {
			if _, err := p.Update(KindTopic, "t", Config{Status: status}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.Update(KindTopic, "t", Config{Partitioned: true}); err == nil {
			t.Fatal("changed what is fixed")
		}
		if err := p.Delete(KindTopic, "t"); err != nil {
			t.Fatal(err)
		}
		want := []Change{
			{"t", ErrEntityUpdated, true, true},
			{"t", ErrEntityUpdated, false, true}, {"t", ErrEntityDisabled, true, false},
			{"t", ErrEntityUpdated, true, false}, {"t", ErrEntityDisabled, false, true},
			{"t", ErrEntityDisabled, true, true},
			{"t", ErrEntityNotFound, true, true}, {"t/Subscriptions/s", ErrEntityNotFound, true, true},
		}
		same := cmp.Comparer(func(a, b error) bool { return errors.Is(a, b) })
		if diff := cmp.Diff(want, told, same); diff != "" {
			t.Fatalf("told differs (-want +got):\n%s", diff)
		}
	})
}
