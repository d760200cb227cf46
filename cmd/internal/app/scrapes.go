package app

import (
	"net/http"
	"sync"
	"time"
)

// scrapes knows when /metrics was read: after the drain one more reading is worth waiting for, as nobody can ask a process
// that has ended how its drain went.
type scrapes struct {
	mu   sync.Mutex
	ever bool          // under mu
	next chan struct{} // closed by the end of the next scrape, and replaced, under mu
}

func newScrapes() *scrapes { return &scrapes{next: make(chan struct{})} }

// of counts the scrapes that h serves. One counts that began after the wait for it: an earlier one may have read too early.
func (s *scrapes) of(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.ever = true
		next := s.next
		s.mu.Unlock()
		h.ServeHTTP(w, r)
		s.mu.Lock()
		defer s.mu.Unlock()
		if next == s.next {
			close(s.next)
			s.next = make(chan struct{})
		}
	})
}

// await waits for a scrape, for as long as the limit, if there has ever been one.
func (s *scrapes) await(limit time.Duration) {
	s.mu.Lock()
	ever := s.ever
	s.next = make(chan struct{}) // those under way do not count
	next := s.next
	s.mu.Unlock()
	if !ever || limit <= 0 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-next:
	case <-timer.C:
	}
}
