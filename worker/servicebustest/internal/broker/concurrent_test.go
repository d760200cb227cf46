package broker

import (
	"fmt"
	"sync"
	"testing"
)

// The race detector is half of this test; the other half is that a subscription that was there all the time misses
// nothing, whatever happens beside it.
func TestTopologyMayChangeWhileMessagesPassThroughIt(t *testing.T) {
	t.Parallel()
	const rounds = 200
	n := NewNamespace(true)
	defer n.Close()
	p := plan{n, t}
	topic := p.topic("topic", Config{RequiresDuplicateDetection: true})
	kept := p.subscription("topic", "kept", Config{})
	p.queue("target", Config{})
	moving := p.subscription("topic", "moving", Config{})

	var users sync.WaitGroup
	loop := func(step func(i int) error) {
		users.Go(func() {
			for i := range rounds {
				if err := step(i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for s := range 2 {
		loop(func(i int) error { _, err := topic.Enqueue(Message{ID: fmt.Sprint(s, i)}); return err })
	}
	loop(func(i int) error {
		target := [...]string{"", "target"}[i%2]
		_, err := n.Update(KindSubscription, "topic/subscriptions/moving", Config{ForwardTo: target})
		return err
	})
	loop(func(int) error {
		if _, err := moving.AddRule(Rule{Name: "more", Filter: TrueFilter{}, Action: stamp("s")}); err != nil {
			return err
		}
		if _, err := moving.UpdateRule(Rule{Name: "more", Filter: FalseFilter{}}); err != nil {
			return err
		}
		return moving.RemoveRule("more")
	})
	loop(func(int) error {
		if _, err := n.CreateSubscription("topic", "brief", Config{ForwardTo: "target"}); err != nil {
			return err
		}
		n.Topics()
		return n.Delete(KindSubscription, "topic/subscriptions/brief")
	})
	users.Wait()

	wantCounts(t, topic, Counts{Accepted: 2 * rounds, Forwarded: 2 * rounds})
	wantCounts(t, kept, Counts{Accepted: 2 * rounds, Active: 2 * rounds})
	if c := moving.Counts(); c.Accepted < 2*rounds || c.Accepted != c.Active+c.Forwarded {
		t.Errorf("the moving subscription has %+v", c)
	}
}
