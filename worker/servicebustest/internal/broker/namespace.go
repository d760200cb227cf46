package broker

import (
	"math"
	"sync"
	"time"
)

// Forever is the time to live of a message that never expires.
const Forever = time.Duration(math.MaxInt64)

// Namespace is a set of entities by path.
type Namespace struct {
	history bool
	router  router

	mu       sync.Mutex
	entities map[string]*entity // by lower-case path; any goroutine, under mu
	notify   func(Change)       // nil: nobody asked; any goroutine, under mu
	closed   bool               // any goroutine, under mu

	idling sync.WaitGroup // idle timers; Add under the mutex of their entity while that is open, Close waits
}

// NewNamespace returns an empty namespace. With history each entity remembers every message it ever had, which grows
// with traffic.
func NewNamespace(history bool) *Namespace {
	n := &Namespace{history: history, entities: make(map[string]*entity)}
	n.router.namespace = n
	return n
}

// Close stops every timer and waits for those under way. Messages stay readable, nothing more is accepted.
func (n *Namespace) Close() {
	n.mu.Lock()
	n.closed = true
	entities := make([]*entity, 0, len(n.entities))
	for _, e := range n.entities {
		entities = append(entities, e)
	}
	n.mu.Unlock()
	for _, e := range entities {
		e.close()
	}
	n.idling.Wait()
}
