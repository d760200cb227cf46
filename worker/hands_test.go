package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// P9: what is in the way of an errand is held up to a bound, and no body of it.
func TestErrandHoldsNoMoreThanItsBound(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancelCause(t.Context())
	r := newErrand(&DeadLetters{}, Errand{})
	r.stop = stop
	c := newClient(&connection{}, nil, nil)
	for from := 0; from < holdAtMost; from += 1000 {
		var page []*azservicebus.ReceivedMessage
		for i := range 1000 {
			m := message("m", int64(from+i))
			m.Body = make([]byte, 1<<10)
			page = append(page, m)
		}
		r.admit(c, page)
	}
	if ctx.Err() != nil || len(r.held) != holdAtMost {
		t.Fatalf("ended at %d: %v", len(r.held), context.Cause(ctx))
	}
	for sequence, h := range r.held {
		if h.d.msg.Body != nil || h.d.msg.RawAMQPMessage != nil {
			t.Fatalf("the body of %d is held", sequence)
		}
	}
	r.admit(c, []*azservicebus.ReceivedMessage{message("m", holdAtMost)})
	if !errors.Is(context.Cause(ctx), errTooMany) {
		t.Errorf("one more: %v", context.Cause(ctx))
	}
}

// A lock that is lost during the work brings the dead letter again before the work notices. That delivery is ours too, and
// waiting for it to come would be waiting for ourselves.
func TestErrandGoesOnWithTheDeliveryThatCameMeanwhile(t *testing.T) {
	t.Parallel()
	r := newErrand(&DeadLetters{}, Errand{})
	c := newClient(&connection{}, nil, nil)
	w := &wanted{sequence: 7}
	r.wanted[7] = w
	r.admit(c, []*azservicebus.ReceivedMessage{message("m", 7)})
	first, _ := r.next()
	r.admit(c, []*azservicebus.ReceivedMessage{message("m", 7)})
	r.letGo(w)
	r.putBack(w, nil) // the first lock is lost
	again, h := r.next()
	if first != w || again != w || h == nil {
		t.Errorf("worked on %v, then %v under %v", first, again, h)
	}
}
