package worker

// The owner of the crash-only client: it dials, warms and publishes one, and replaces it when it ends.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/go-amqp"
	"go.uber.org/zap"

	"batchterminator/metrics"
)

const (
	// closeLimit bounds the farewell to an old one.
	closeLimit = 3 * time.Second
	// Reconnects wait from firstReconnect, doubled to lastReconnect, at least throttledReconnect after throttling.
	firstReconnect     = 20 * time.Millisecond
	lastReconnect      = 30 * time.Second
	throttledReconnect = 2 * time.Second
	// settledAfter is how long a client has to live before its successor starts from firstReconnect again. After a shorter
	// life in which it received something the wait stays below the time that a settlement has.
	settledAfter = 10 * time.Second
	// endSeen is how long the call that is under way when the connection ends has to report that. Without one nobody would.
	endSeen = 250 * time.Millisecond
	// sendAgain is how long a refusal to take copies is believed: it may have been a slip, or the right is granted meanwhile.
	sendAgain = 15 * time.Second
)

// clients owns the current client and replaces it when it ends.
type clients struct {
	connect func() (*connection, error)
	log     *zap.Logger
	metrics *metrics.Metrics
	// collect takes in what the broker still delivers to a client. Set before run.
	collect func(*client)
	// holds tells whether deliveries are under way, whose locks have to be renewed. Set before run.
	holds func() bool
	// failed, if set, is told of each client that ended, nil if there was none, and why. Set before run, which calls it.
	failed func(c *client, err error)
	// pulse beats with each turn of run.
	pulse pulse
	stuck atomic.Int64 // see client
	// settledIn is settledAfter, but in tests that cut connections faster than any network.
	settledIn time.Duration

	mu      sync.Mutex
	current *client       // nil while there is none to use, under mu
	arrived chan struct{} // closed when current is set, under mu
	lastErr error         // why there is none, under mu

	farewells sync.WaitGroup // background closes, waited for by run
}

// ConnectionLog names the logger of what happens to the connection. While Service Bus is out of reach it says the same over
// and over; nothing that became of a message is logged there.
const ConnectionLog = "connection"

func newClients(connect func() (*connection, error), m *metrics.Metrics, log *zap.Logger) *clients {
	return &clients{connect: connect, metrics: m, log: log.Named(ConnectionLog), settledIn: settledAfter, arrived: make(chan struct{}), holds: func() bool { return false }}
}

// get returns a client that works, waiting for one as long as ctx allows.
func (s *clients) get(ctx context.Context) (*client, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.mu.Lock()
		c, arrived, lastErr := s.current, s.arrived, s.lastErr
		s.mu.Unlock()
		if c != nil && c.ctx.Err() == nil {
			return c, nil
		}
		if c != nil {
			s.withdraw(c) // it ended, but its owner has not noticed yet
			continue
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, fmt.Errorf("no connection to Service Bus: %w", cmp.Or(lastErr, context.Cause(ctx)))
		}
	}
}

// getBy is get with a deadline, which costs nothing while there is a client.
func (s *clients) getBy(ctx context.Context, until time.Time) (*client, error) {
	s.mu.Lock()
	c := s.current
	s.mu.Unlock()
	if c != nil && c.ctx.Err() == nil && ctx.Err() == nil && time.Now().Before(until) {
		return c, nil
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return s.get(ctx)
}

// attached tells whether a working client exists, and if not why.
func (s *clients) attached() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil && s.current.ctx.Err() == nil, s.lastErr
}

// run keeps a client alive until ctx ends, then retires the last one and waits until everything of it has gone.
func (s *clients) run(ctx context.Context) {
	defer s.farewells.Wait()
	delay := time.Duration(0)
	for ctx.Err() == nil {
		s.pulse.beat()
		c, err := s.open(ctx)
		if err == nil {
			s.publish(c)
			s.pulse.rest()
			err = s.watch(ctx, c)
			s.pulse.work()
			s.withdraw(c)
		}
		s.retire(c)
		if ctx.Err() != nil {
			return
		}
		if c != nil {
			if wedge := c.ended(); wedge != nil {
				err = wedge // the SDK saw no more than the end of a connection
				if throttled(wedge) {
					s.metrics.Throttled()
				}
			}
		}
		delay = min(max(2*delay, firstReconnect), lastReconnect)
		switch {
		case c == nil || c.born.IsZero():
		case time.Since(c.born) > s.settledIn:
			delay = firstReconnect
		case c.fed.Load():
			delay = min(delay, settleLimit/2)
		}
		if s.holds() { // their locks do not wait
			delay = min(delay, settleLimit/2)
		}
		wait := jitter(delay)
		if throttled(err) {
			wait = max(wait, throttledReconnect)
		}
		s.note(c, err, wait)
		sleep(ctx, wait)
	}
}

// watch waits for the end of a client, and returns why it ended; nil when ctx did. It ends one whose connection or management
// link is gone, and keeps that link in use.
func (s *clients) watch(ctx context.Context, c *client) error {
	again := time.NewTicker(sendAgain)
	defer again.Stop()
	idle := time.NewTicker(nodeIdle)
	defer idle.Stop()
	gone, unseen := c.gone, (<-chan time.Time)(nil)
	for {
		select {
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case <-gone:
			gone, unseen = nil, time.After(endSeen)
		case <-unseen:
			c.fail("connection", errGone)
		case <-ctx.Done():
			return nil
		case <-c.severed:
			// The SDK has to see it first: a call that is cancelled while its frame is on its way to a link that has ended waits
			// for that link's goroutine for ever (go-amqp v1.7.0, Sender.send).
			sleep(ctx, handedOver)
			c.fail("renew", errSevered)
			return context.Cause(c.ctx)
		case <-idle.C:
			s.metrics.Operation("probe")
			if err := c.probe(ctx, lookLimit); err != nil && ctx.Err() == nil {
				c.fail("probe", err)
			}
		case <-again.C:
			s.askAgain(ctx, c)
		}
	}
}

// askAgain asks whether copies can be sent now, if they could not be.
func (s *clients) askAgain(ctx context.Context, c *client) {
	if c.sender == nil || c.canSend.Load() {
		return
	}
	if err := c.askToSend(ctx); err != nil && ctx.Err() == nil {
		c.fail("probe", err)
	} else if c.canSend.Load() {
		s.log.Info("requests can be brought back as scheduled copies now")
	}
}

func (s *clients) publish(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.born = time.Now()
	s.current, s.lastErr = c, nil
	close(s.arrived)
	s.log.Info("receiving", zap.Bool("can_schedule_copies", c.canSend.Load()))
	if !c.canSend.Load() {
		s.log.Warn("no right to send to the queue, or it is closed to senders: a request that has to come back later is abandoned, which raises its delivery count; grant the role Azure Service Bus Data Sender")
	}
}

// withdraw makes get wait for the next client.
func (s *clients) withdraw(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == c {
		s.current, s.arrived, s.lastErr = nil, make(chan struct{}), context.Cause(c.ctx)
	}
}

// retire ends c and closes it in the background, once the calls inside it have come back: a link that is closed under a
// call between two SDK retries is rebuilt by it, and nothing can close that one any more. What is on its way on a link that
// still works is taken in first, or its lock would have to expire.
func (s *clients) retire(c *client) {
	if c == nil {
		return
	}
	c.fail("", context.Canceled)
	s.farewells.Go(func() {
		select {
		case <-c.idle:
			s.leftovers(c)
		case <-time.After(guardMargin):
		}
		c.dismiss()
	})
}

// dismiss closes the connection, and waits no longer for that than closeLimit.
func (c *connection) dismiss() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	closed := make(chan struct{})
	go func() { // owned by nobody only if the SDK hangs: then it ends with the SDK's own 60 s timeout
		defer close(closed)
		_ = c.close(ctx)
	}()
	select {
	case <-closed:
	case <-ctx.Done():
	}
}

// leftovers takes in what the broker still delivers to a client that ended for another reason than its receive link.
func (s *clients) leftovers(c *client) {
	switch c.causeOf() {
	case "settle", "renew", "probe", "stalled", "idle":
		last := newClient(c.connection, &s.stuck, s.count) // c takes no more calls
		last.owes(c.owed())
		s.collect(last)
		last.fail("", context.Canceled)
	}
}

// count records failures of calls that have a series of their own.
func (s *clients) count(err error) {
	if _, panicked := errors.AsType[*panicError](err); panicked {
		s.metrics.Panicked()
	}
	if answersBusy(err) {
		s.metrics.Throttled()
	}
}

// note tells people and counters why there is no client now.
func (s *clients) note(c *client, err error, wait time.Duration) {
	label := "connect"
	if c != nil {
		label = c.causeOf()
	}
	s.mu.Lock()
	s.lastErr = err
	s.mu.Unlock()
	if s.failed != nil {
		s.failed(c, err)
	}
	s.metrics.ClientReplaced(label)
	if label == "idle" {
		s.log.Info("connecting to Service Bus anew", zap.Error(err))
		return
	}
	s.log.Warn("connection to Service Bus failed; trying again", zap.String("during", label), zap.Duration("in", wait), zap.String("hint", hint(err, receiverRole)), zap.Error(err))
}

// The roles that a hint names.
const (
	receiverRole = "Azure Service Bus Data Receiver"
	senderRole   = "Azure Service Bus Data Sender"
)

// hint says what to look at, for the failures that people cause; role is the one that gives the right.
func hint(err error, role string) string {
	switch TroubleOf(err) {
	case TroubleUnauthorized:
		return "the identity needs the role " + role + " on this entity, or the key is wrong"
	case TroubleNotFound:
		return "no such queue, topic or subscription in this namespace"
	case TroubleDisabled:
		return "the queue, topic or subscription is disabled; enable it"
	case TroubleNotAllowed:
		return "the entity does not allow this: it may require sessions or forward its messages"
	case TroubleFull:
		return "the entity is full, or the namespace is at its quota; make room"
	case TroubleThrottled:
		return "Service Bus is throttling this namespace"
	}
	if _, answered := errors.AsType[*amqp.Error](err); answered {
		return "not the network: Service Bus says in the error why it refused or ended this"
	}
	return "check the host name, port 5671 (5672 for an emulator) and the network"
}

// jitter spreads a wait over its upper half, so that replicas do not return as one.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
