package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// endsAfter runs a process, has scrape run from the moment of its stop signal, and returns how long the process took to end.
func endsAfter(t *testing.T, adjust func(*Settings), before, after func(h http.Handler)) time.Duration {
	t.Helper()
	s := emulated()
	adjust(&s)
	d := deps()
	d.Dial = func(context.Context) (net.Conn, error) { return nil, errors.New("no route to host") }
	a, err := Build(s, d)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan time.Time, 1)
	go func() {
		if _, err := a.Run(ctx); err != nil {
			t.Error(err)
		}
		ended <- time.Now()
	}()
	time.Sleep(time.Minute)
	before(a.Handler())
	signal := time.Now()
	stop()
	after(a.Handler())
	return (<-ended).Sub(signal)
}

func scrape(h http.Handler) { get(h, "/metrics") }

func nothing(http.Handler) {}

func TestTheMetricsOutliveTheDrainByOneScrape(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		adjust        func(*Settings)
		before, after func(http.Handler)
		least, most   time.Duration
	}{
		"a scrape every 15 s": {nil, scrape, func(h http.Handler) { time.Sleep(15 * time.Second); scrape(h) }, 15 * time.Second, 15 * time.Second},
		"one as it drains counts for nothing": {nil, scrape, func(h http.Handler) {
			scrape(h)
			time.Sleep(15 * time.Second)
			scrape(h)
		}, 15 * time.Second, 15 * time.Second},
		"the scraper has gone":          {nil, scrape, nothing, 20 * time.Second, 24 * time.Second},
		"nobody ever scraped":           {nil, nothing, nothing, 0, 5 * time.Second},
		"probes are no scrapes":         {nil, func(h http.Handler) { get(h, "/readyz") }, nothing, 0, 5 * time.Second},
		"not wanted":                    {func(s *Settings) { s.Operation.Linger = 0 }, scrape, nothing, 0, 5 * time.Second},
		"P8: the grace period is short": {func(s *Settings) { s.Worker.Grace, s.Operation.Linger = 10*time.Second, time.Minute }, scrape, nothing, 6 * time.Second, 8*time.Second - farewell - sinkFarewell},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if c.adjust == nil {
					c.adjust = func(*Settings) {}
				}
				if took := endsAfter(t, c.adjust, c.before, c.after); took < c.least || took > c.most {
					t.Errorf("ended %v after the signal, want %v to %v", took, c.least, c.most)
				}
			})
		})
	}
}

// What it read may be from before the end of the drain.
func TestAScrapeUnderWayAtTheEndOfTheDrainIsNotTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScrapes()
		s.ever = true
		slow := s.of(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(2 * time.Second) }))
		go slow.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
		synctest.Wait()
		go func() {
			time.Sleep(5 * time.Second)
			slow.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
		}()
		start := time.Now()
		s.await(time.Minute)
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("waited %v, want until the end of the second scrape", took)
		}
	})
}
