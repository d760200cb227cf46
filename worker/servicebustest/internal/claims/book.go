package claims

import (
	"sync"
	"time"
)

// Book remembers which connection has shown which claims. All methods may be called from any goroutine.
type Book struct {
	expired func(conn uint64, why error)
	ticks   sync.WaitGroup // timers that are set or run; Add under mu while open

	mu      sync.Mutex
	holders map[uint64]map[string]*grant // by connection and entity; any goroutine, under mu
	closed  bool                         // any goroutine, under mu
}

// grant is one claim of one connection.
type grant struct {
	Claim
	timer *time.Timer // nil for a claim without end
}

// NewBook returns an empty book. It calls expired, on a goroutine of its own, when a claim has ended that was not
// renewed; the claim counts no more by then.
func NewBook(expired func(conn uint64, why error)) *Book {
	return &Book{expired: expired, holders: make(map[uint64]map[string]*grant)}
}

// Grant gives a connection a claim on an entity, in place of the one it had.
func (b *Book) Grant(conn uint64, address string, c Claim) {
	entity := Entity(address)
	g := &grant{Claim: c}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	held := b.holders[conn]
	if held == nil {
		held = make(map[string]*grant)
		b.holders[conn] = held
	}
	b.disarm(held[entity])
	held[entity] = g
	if !c.Expires.IsZero() {
		b.ticks.Add(1)
		g.timer = time.AfterFunc(time.Until(c.Expires), func() { b.end(conn, entity, g) })
	}
}

// end forgets a claim whose time has come.
func (b *Book) end(conn uint64, entity string, g *grant) {
	defer b.ticks.Done()
	b.mu.Lock()
	current := b.holders[conn][entity] == g
	if current {
		delete(b.holders[conn], entity)
	}
	b.mu.Unlock()
	if current {
		b.expired(conn, Expired(g.Expires))
	}
}

// disarm stops a claim's timer; mu is held. One that runs already finds that its claim has gone.
func (b *Book) disarm(g *grant) {
	if g != nil && g.timer != nil && g.timer.Stop() {
		b.ticks.Done()
	}
}

// Allows says whether a connection has one of the rights on an entity, now. The error is a Refusal.
func (b *Book) Allows(conn uint64, address string, oneOf Rights) error {
	entity := Entity(address)
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for parent, g := range b.holders[conn] {
		if within(entity, parent) && g.Rights&oneOf != 0 && (g.Expires.IsZero() || g.Expires.After(now)) {
			return nil
		}
	}
	return missing(oneOf, entity)
}

// Forget drops the claims of a connection that is over.
func (b *Book) Forget(conn uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, g := range b.holders[conn] {
		b.disarm(g)
	}
	delete(b.holders, conn)
}

// Close drops all claims, takes no more, and waits until expired is not being called.
func (b *Book) Close() {
	b.mu.Lock()
	b.closed = true
	for _, held := range b.holders {
		for _, g := range held {
			b.disarm(g)
		}
	}
	clear(b.holders)
	b.mu.Unlock()
	b.ticks.Wait()
}
