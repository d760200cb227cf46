package broker

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// plan builds a namespace; it ends the test where an entity cannot be created.
type plan struct {
	*Namespace
	t *testing.T
}

// planned runs a test in virtual time against an empty namespace and closes that before the bubble ends.
func planned(t *testing.T, test func(t *testing.T, p plan)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := plan{NewNamespace(true), t}
		defer p.Close()
		test(t, p)
	})
}

func (p plan) queue(name string, cfg Config) *Queue {
	p.t.Helper()
	q, err := p.CreateQueue(name, cfg)
	return p.created(q, err)
}

func (p plan) topic(name string, cfg Config) *Queue {
	p.t.Helper()
	q, err := p.CreateTopic(name, cfg)
	return p.created(q, err)
}

func (p plan) subscription(topic, name string, cfg Config, rules ...Rule) *Queue {
	p.t.Helper()
	q, err := p.CreateSubscription(topic, name, cfg, rules...)
	return p.created(q, err)
}

func (p plan) created(q *Queue, err error) *Queue {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	return q
}

func (p plan) resolve(address string) *Queue {
	p.t.Helper()
	return p.created(p.Resolve(address))
}

func ids(stored []Stored) []string {
	all := make([]string, len(stored))
	for i, m := range stored {
		all[i] = m.ID
	}
	return all
}

func wantIDs(t *testing.T, q *Queue, want ...string) {
	t.Helper()
	if got := ids(q.Peek(0, 1000)); !slices.Equal(got, want) {
		t.Fatalf("%s holds %q, want %q", q.Path(), got, want)
	}
}

func TestEverySubscriptionGetsACopyOfItsOwn(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		topic := p.topic("events", Config{})
		first, second := p.subscription("events", "first", Config{}), p.subscription("EVENTS", "second", Config{})
		payload := new(int)
		send(t, topic, Message{ID: "early"})
		settle(t, first, acquireOne(t, first), Complete)
		p.subscription("events", "late", Config{})
		send(t, topic, Message{ID: "1", Payload: payload})

		got, other := acquireOne(t, first), acquireOne(t, second)
		if other.ID != "early" || got.ID != "1" || got.Payload != payload {
			t.Fatalf("received %+v and %+v", got, other)
		}
		if got.SequenceNumber != 2 || got.EnqueuedSequence != 2 || other.SequenceNumber != 1 {
			t.Errorf("received numbers %d (topic %d) and %d", got.SequenceNumber, got.EnqueuedSequence, other.SequenceNumber)
		}
		settle(t, first, got, DeadLetter)
		wantIDs(t, first.DeadLetter(), "1")
		wantIDs(t, second, "early", "1")
		wantIDs(t, p.resolve("events/subscriptions/LATE"), "1")
		wantIDs(t, topic)
		wantCounts(t, topic, Counts{Accepted: 2, Forwarded: 2})
	})
}

func TestTopicKeepsWhatIsScheduledUntilItsTime(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		topic, sub := p.topic("events", Config{}), p.subscription("events", "all", Config{})
		due := time.Now().Add(time.Minute)
		numbers := send(t, topic, Message{ID: "kept", ScheduledFor: due}, Message{ID: "cancelled", ScheduledFor: due})
		if err := topic.Cancel(numbers[1]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute - 1)
		wantIDs(t, topic, "kept")
		wantIDs(t, sub)
		time.Sleep(time.Nanosecond)
		wantIDs(t, topic)
		m := acquireOne(t, sub)
		if m.ID != "kept" || !m.EnqueuedAt.Equal(due) || m.EnqueuedSequence != 3 {
			t.Fatalf("received %+v", m)
		}
		wantCounts(t, topic, Counts{Accepted: 2, Cancelled: 1, Forwarded: 1})
	})
}

func TestTimeToLiveOfATopicCapsThatOfItsSubscriptions(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		topic := p.topic("events", Config{DefaultTTL: time.Minute})
		long, short := p.subscription("events", "long", Config{}), p.subscription("events", "short", Config{DefaultTTL: time.Second})
		send(t, topic, Message{TTL: time.Hour}, Message{})
		now := time.Now()
		for q, want := range map[*Queue]time.Duration{long: time.Minute, short: time.Second} {
			for _, m := range q.Peek(0, 2) {
				if !m.ExpiresAt.Equal(now.Add(want)) {
					t.Errorf("message %d of %s expires in %v, want %v", m.SequenceNumber, q.Path(), m.ExpiresAt.Sub(now), want)
				}
			}
		}
	})
}

func TestOnlyTheRightEndOfAnEntityIsOpen(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		p.queue("target", Config{})
		p.queue("plain", Config{})
		p.queue("forwards", Config{ForwardTo: "target", ForwardDeadLetteredTo: "target"})
		p.topic("topic", Config{})
		p.subscription("topic", "sub", Config{})
		for address, want := range map[string]struct{ send, receive error }{
			"plain":                                    {},
			"plain/$DeadLetterQueue":                   {send: ErrNotAllowed},
			"plain/$Transfer/$DeadLetterQueue":         {send: ErrNotAllowed},
			"forwards":                                 {receive: ErrNotAllowed},
			"forwards/$DeadLetterQueue":                {send: ErrNotAllowed, receive: ErrNotAllowed},
			"forwards/$Transfer/$DeadLetterQueue":      {send: ErrNotAllowed},
			"topic":                                    {receive: ErrNotAllowed},
			"topic/Subscriptions/sub":                  {send: ErrNotAllowed},
			"Topic/subscriptions/SUB/$deadletterqueue": {send: ErrNotAllowed},
		} {
			q := p.resolve(address)
			if got := q.Sendable(); !errors.Is(got, want.send) {
				t.Errorf("send to %s: %v, want %v", address, got, want.send)
			}
			if got := q.Receivable(); !errors.Is(got, want.receive) {
				t.Errorf("receive from %s: %v, want %v", address, got, want.receive)
			}
		}
		for _, address := range []string{"topic/$DeadLetterQueue", "topic/Subscriptions", "topic/sub", "plain/Subscriptions/sub"} {
			if _, err := p.Resolve(address); !errors.Is(err, ErrEntityNotFound) {
				t.Errorf("resolve %s: %v", address, err)
			}
		}
	})
}

func TestNamesOfTheTopologyAreHeldToTheRules(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		p.topic("topic", Config{})
		p.queue("queue", Config{})
		p.subscription("topic", "sub", Config{})
		for name, test := range map[string]struct {
			create func() (*Queue, error)
			want   error
		}{
			"topic named like a queue":      {func() (*Queue, error) { return p.CreateTopic("Queue", Config{}) }, ErrEntityExists},
			"subscription twice":            {func() (*Queue, error) { return p.CreateSubscription("topic", "SUB", Config{}) }, ErrEntityExists},
			"subscription of a queue":       {func() (*Queue, error) { return p.CreateSubscription("queue", "sub", Config{}) }, ErrEntityNotFound},
			"subscription of nothing":       {func() (*Queue, error) { return p.CreateSubscription("nothing", "sub", Config{}) }, ErrEntityNotFound},
			"slash in a subscription":       {func() (*Queue, error) { return p.CreateSubscription("topic", "a/b", Config{}) }, ErrInvalid},
			"long subscription":             {func() (*Queue, error) { return p.CreateSubscription("topic", strings.Repeat("s", 51), Config{}) }, ErrInvalid},
			"rule without a filter":         {func() (*Queue, error) { return p.CreateSubscription("topic", "x", Config{}, Rule{Name: "r"}) }, ErrInvalid},
			"forward to nothing":            {func() (*Queue, error) { return p.CreateQueue("x", Config{ForwardTo: "nothing"}) }, ErrEntityNotFound},
			"forward to a subscription":     {func() (*Queue, error) { return p.CreateQueue("x", Config{ForwardTo: "topic/subscriptions/sub"}) }, ErrEntityNotFound},
			"forward to itself":             {func() (*Queue, error) { return p.CreateQueue("x", Config{ForwardDeadLetteredTo: "sb://host/X"}) }, ErrInvalid},
			"forward with sessions":         {func() (*Queue, error) { return p.CreateQueue("x", Config{ForwardTo: "queue", RequiresSession: true}) }, ErrInvalid},
			"window below the limit":        {func() (*Queue, error) { return p.CreateQueue("x", Config{DuplicateDetectionWindow: 19 * time.Second}) }, ErrInvalid},
			"window above the limit":        {func() (*Queue, error) { return p.CreateQueue("x", Config{DuplicateDetectionWindow: 169 * time.Hour}) }, ErrInvalid},
			"idle time below the limit":     {func() (*Queue, error) { return p.CreateQueue("x", Config{AutoDeleteOnIdle: time.Minute}) }, ErrInvalid},
			"deliveries above the limit":    {func() (*Queue, error) { return p.CreateQueue("x", Config{MaxDeliveryCount: 2001}) }, ErrInvalid},
			"message size above the limit":  {func() (*Queue, error) { return p.CreateQueue("x", Config{MaxMessageSize: 100<<20 + 1}) }, ErrInvalid},
			"user metadata above the limit": {func() (*Queue, error) { return p.CreateQueue("x", Config{UserMetadata: strings.Repeat("m", 1025)}) }, ErrInvalid},
		} {
			if _, err := test.create(); !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
		}
		var topics []string
		for _, d := range p.Topics() {
			topics = append(topics, d.Path)
		}
		if diff := cmp.Diff([]string{"topic"}, topics); diff != "" {
			t.Errorf("topics differ (-want +got):\n%s", diff)
		}
	})
}
