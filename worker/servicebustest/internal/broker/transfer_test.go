package broker

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestForwardedMessageIsANewOneThatRemembersItsNumber(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		target := p.queue("target", Config{})
		sendN(t, target, 5)
		source := p.queue("source", Config{ForwardTo: "sb://host/Target"})
		payload := new(int)
		send(t, source, Message{ID: "m", Payload: payload})
		m := target.Peek(6, 1)[0]
		if m.ID != "m" || m.Payload != payload || m.EnqueuedSequence != 1 || m.DeliveryCount != 0 {
			t.Fatalf("forwarded as %+v", m)
		}
		wantCounts(t, source, Counts{Accepted: 1, Forwarded: 1})
		wantCounts(t, target, Counts{Accepted: 6, Active: 6})
		if got := kinds(source.History("m")); !slices.Equal(got, []EventKind{Enqueued, Forwarded}) {
			t.Errorf("history is %v", got)
		}
	})
}

func TestScheduledMessageIsForwardedWhenItIsDue(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		target := p.queue("target", Config{})
		source := p.queue("source", Config{ForwardTo: "target"})
		// Nobody looks at the target meanwhile: its receivers must hear of it all the same.
		woken := make(chan struct{}, 1)
		defer target.Watch(func() { woken <- struct{}{} })()
		send(t, source, Message{ID: "m", ScheduledFor: time.Now().Add(time.Minute)})
		before := time.Now()
		<-woken
		if got := time.Since(before); got != time.Minute {
			t.Fatalf("arrived after %v", got)
		}
		wantIDs(t, target, "m")
	})
}

func TestForwardingEndsAfterFourHops(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		p.queue("q5", Config{})
		for i := 4; i >= 0; i-- {
			p.queue(fmt.Sprint("q", i), Config{ForwardTo: fmt.Sprint("q", i+1)})
		}
		send(t, p.resolve("q1"), Message{ID: "four"})
		send(t, p.resolve("q0"), Message{ID: "five"})
		wantIDs(t, p.resolve("q5"), "four")
		kept := p.resolve("q4/$Transfer/$DeadLetterQueue")
		wantIDs(t, kept, "five")
		m := acquireOne(t, kept)
		wantOverlay(t, m, "MaxTransferHopCountExceeded", "more than 4 hops")
		if m.DeadLetterSource != "q4" {
			t.Errorf("it comes from %q", m.DeadLetterSource)
		}
		settle(t, kept, m, Complete)
		wantCounts(t, p.resolve("q4"), Counts{Accepted: 2, Forwarded: 1, Completed: 1})
	})
}

func TestForwardingInACircleEnds(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		p.queue("a", Config{})
		p.queue("b", Config{ForwardTo: "a"})
		if _, err := p.Update(KindQueue, "a", Config{ForwardTo: "b"}); err != nil {
			t.Fatal(err)
		}
		send(t, p.resolve("a"), Message{ID: "m"})
		wantIDs(t, p.resolve("a/$Transfer/$DeadLetterQueue"), "m") // a b a b a
	})
}

func TestWhatTheTargetDoesNotTakeIsKeptByTheSource(t *testing.T) {
	for name, refuse := range map[string]func(p plan) error{
		"deleted": func(p plan) error { return p.Delete(KindQueue, "target") },
		"disabled": func(p plan) error {
			_, err := p.Update(KindQueue, "target", Config{Status: StatusSendDisabled})
			return err
		},
		"too large": func(p plan) error {
			_, err := p.Update(KindQueue, "target", Config{MaxMessageSize: 9})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			planned(t, func(t *testing.T, p plan) {
				p.queue("target", Config{})
				source := p.queue("source", Config{ForwardTo: "target"})
				if err := refuse(p); err != nil {
					t.Fatal(err)
				}
				send(t, source, Message{ID: "m", Size: 10})
				wantIDs(t, p.resolve("source/$transfer/$deadletterqueue"), "m")
				wantCounts(t, source, Counts{Accepted: 1, DeadLettered: 1})
				if got := kinds(source.History("m")); !slices.Equal(got, []EventKind{Enqueued, Forwarded, DeadLettered}) {
					t.Errorf("history is %v", got)
				}
			})
		})
	}
}

func TestDeadLettersAreForwardedWithTheirReason(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		morgue := p.queue("morgue", Config{MaxDeliveryCount: 2})
		source := p.queue("source", Config{ForwardDeadLetteredTo: "morgue", MaxDeliveryCount: 1})
		send(t, source, Message{ID: "1"}, Message{ID: "2"})
		settle(t, source, acquireOne(t, source), Abandon)
		if err := source.Settle(Outcome{Kind: DeadLetter, Reason: "why"}, acquireOne(t, source).LockToken); err != nil {
			t.Fatal(err)
		}
		first, second := acquireOne(t, morgue), acquireOne(t, morgue)
		wantOverlay(t, first, ReasonMaxDeliveryCount, "Message could not be consumed after 1 delivery attempts.")
		if second.Overlay[PropertyDeadLetterReason] != "why" || second.DeadLetterSource != "source" || second.DeliveryCount != 0 {
			t.Errorf("forwarded as %+v", second)
		}
		wantCounts(t, source, Counts{Accepted: 2, Forwarded: 2})
	})
}

func TestMessageWithoutASessionIsDeadLetteredWhereItIsForwardedTo(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		target := p.queue("target", Config{RequiresSession: true})
		topic := p.topic("topic", Config{})
		sub := p.subscription("topic", "sub", Config{RequiresSession: true})
		p.subscription("topic", "on", Config{ForwardTo: "target"})
		send(t, topic, Message{ID: "none"}, Message{ID: "some", InSession: true})
		for _, q := range []*Queue{target, sub} {
			wantIDs(t, q, "some")
			wantOverlay(t, acquireOne(t, q.DeadLetter()), "Session ID is null.", ErrNoSessionID.Error())
		}
	})
}

func TestWhatWaitsIsSentOnWhenForwardingBegins(t *testing.T) {
	planned(t, func(t *testing.T, p plan) {
		target, source := p.queue("target", Config{}), p.queue("source", Config{})
		sendN(t, source, 4)
		locked := acquireOne(t, source)
		dead := acquireOne(t, source)
		settle(t, source, dead, DeadLetter)
		if _, err := p.Update(KindQueue, "source", Config{ForwardTo: "target", ForwardDeadLetteredTo: "target"}); err != nil {
			t.Fatal(err)
		}
		if got := target.Counts().Accepted; got != 3 {
			t.Fatalf("%d messages arrived", got)
		}
		settle(t, source, locked, Abandon)
		wantCounts(t, target, Counts{Accepted: 4, Active: 4})
		wantCounts(t, source, Counts{Accepted: 4, Forwarded: 4})
	})
}

func TestConcurrentSendersKeepTheirOrderThroughATopicAndFindTheirMessagesArrived(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 400
	n := NewNamespace(false)
	defer n.Close()
	p := plan{n, t}
	target := p.queue("target", Config{})
	topic := p.topic("topic", Config{})
	p.subscription("topic", "sub", Config{ForwardTo: "target"})
	var sending sync.WaitGroup
	for s := range senders {
		sending.Go(func() {
			for i := range each {
				if _, err := topic.Enqueue(Message{ID: fmt.Sprint(s, " ", i)}); err != nil {
					t.Error(err)
				}
				if target.Counts().Accepted <= i {
					t.Errorf("sent %d messages, and fewer have arrived", i+1)
				}
			}
		})
	}
	sending.Wait()
	next := [senders]int{}
	last := int64(0)
	for _, m := range target.Acquire(nil, senders*each+1, PeekLock) {
		var s, i int
		if _, err := fmt.Sscan(m.ID, &s, &i); err != nil {
			t.Fatal(err)
		}
		if i != next[s] || m.EnqueuedSequence <= last {
			t.Fatalf("message %q, number %d, came after %d", m.ID, m.EnqueuedSequence, last)
		}
		next[s]++
		last = m.EnqueuedSequence
	}
	if last != senders*each {
		t.Fatalf("%d messages arrived", last)
	}
}

func TestStatusClosesOneEndOrBoth(t *testing.T) {
	for status, want := range map[Status]struct{ send, receive error }{
		StatusActive:          {},
		StatusSendDisabled:    {send: ErrEntityDisabled},
		StatusReceiveDisabled: {receive: ErrEntityDisabled},
		StatusDisabled:        {send: ErrEntityDisabled, receive: ErrEntityDisabled},
	} {
		t.Run(status.String(), func(t *testing.T) {
			planned(t, func(t *testing.T, p plan) {
				q := p.queue("q", Config{})
				sendN(t, q, 2)
				settle(t, q, acquireOne(t, q), Defer)
				woken := 0
				defer q.Watch(func() { woken++ })()
				if _, err := p.Update(KindQueue, "q", Config{Status: status}); err != nil {
					t.Fatal(err)
				}
				if got := q.Sendable(); !errors.Is(got, want.send) {
					t.Errorf("send: %v, want %v", got, want.send)
				}
				if _, got := q.Enqueue(Message{}); !errors.Is(got, want.send) {
					t.Errorf("enqueue: %v, want %v", got, want.send)
				}
				if got := q.Receivable(); !errors.Is(got, want.receive) {
					t.Errorf("receive: %v, want %v", got, want.receive)
				}
				if _, got := q.ReceiveDeferred([]int64{1}, PeekLock); !errors.Is(got, want.receive) {
					t.Errorf("receive deferred: %v, want %v", got, want.receive)
				}
				if got := len(q.Acquire(nil, 1, PeekLock)) == 1; got != (want.receive == nil) {
					t.Errorf("acquired a message: %v", got)
				}
				if _, err := p.Update(KindQueue, "q", Config{}); err != nil {
					t.Fatal(err)
				}
				if q.Sendable() != nil || q.Receivable() != nil || woken == 0 {
					t.Errorf("after it was enabled: %v, %v, woken %d times", q.Sendable(), q.Receivable(), woken)
				}
			})
		})
	}
}
