package worker

import (
	"strconv"
	"sync"

	"github.com/google/uuid"

	"batchterminator/handler"
)

// twins collapses the copies of one request that a lost answer has multiplied. A copy whose sending went unanswered may
// have been stored: its original comes back and is copied again, the stored one is copied in its turn, and a broker that
// answers late would turn one request into thousands. The redelivery number makes the copy's message id, so all of them
// carry the same one. One that arrives proves that the copy was stored: its original only has to be completed from then on, and
// so have its twins but the one with the lowest sequence number, which carries the request. Workers that see the twins in another
// order agree on that one; if each kept the first that it saw, they could drop them all.
//
// Only copies whose sending by this process went unanswered are looked at, so that nobody can end a request by sending a
// message that looks like its copy.
type twins struct {
	mu sync.Mutex
	// unsure holds, by the copy's message id, the lowest place from which one arrived, zero before; under mu.
	unsure memory[string, place]
}

func newTwins() *twins { return &twins{unsure: newMemory[string, place]()} }

// copyNamespace is the name space of the copies' message ids (RFC 9562 §5.5).
var copyNamespace = uuid.MustParse("0d1f0c0e-6a6b-4c55-8a3e-2f3a3f0a9d44")

// copyID is the message id of a request's copy for the redelivery of this number. The copies of two requests differ even
// where their sender gave both the same message id: duplicate detection would drop the second one, and that request with it.
func (d *delivery) copyID(number int) string {
	name := d.message.RequestIdentity + "\n" + strconv.Itoa(number) + "\n" + strconv.FormatInt(d.origin(), 10)
	return uuid.NewSHA1(copyNamespace, []byte(name)).String()
}

// suspect notes that the copy of d may have been stored.
func (t *twins) suspect(d *delivery) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := d.copyID(d.message.Redeliveries + 1)
	if _, ok := t.unsure.get(id); !ok {
		t.unsure.put(id, place{})
	}
}

// redundant tells whether another message carries d's request: its own copy, or one of its twins.
func (t *twins) redundant(d *delivery) (handler.Result, bool) {
	own, ok := d.place()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !ok || t.unsure.empty() { // nearly always, which saves the making of ids
		return handler.Result{}, false
	}
	if lowest, ok := t.unsure.get(d.msg.MessageID); ok && d.msg.MessageID == d.copyID(d.message.Redeliveries) {
		if lowest != (place{}) && lowest.before(own) {
			return handler.Result{Outcome: handler.DuplicateDelivery, Detail: "a twin of this copy carries the request"}, true
		}
		t.unsure.put(d.msg.MessageID, own)
	}
	if lowest, ok := t.unsure.get(d.copyID(d.message.Redeliveries + 1)); ok && lowest != (place{}) {
		return handler.Result{Outcome: handler.DuplicateDelivery, Detail: "the copy that takes its place has arrived"}, true
	}
	return handler.Result{}, false
}
