package servicebustest

import (
	"log/slog"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/claims"
	"batchterminator/worker/servicebustest/internal/transport"
)

// Option configures a Server.
type Option func(*settings)

type settings struct {
	entities    []func(*broker.Namespace) error // in the order of the options
	rules       map[string]claims.Rule
	claims      bool // ask for them
	logger      *slog.Logger
	noHistory   bool
	premium     bool
	idleTimeout time.Duration
	idle        transport.IdleLimits
	trace       *Trace
	control     bool // answer under /sandbox/
}

// WithLogger has the server say why each connection ended. Without it the server is silent.
func WithLogger(logger *slog.Logger) Option {
	return func(s *settings) { s.logger = logger }
}

// WithoutHistory keeps no ledger, so that memory does not grow with traffic.
func WithoutHistory() Option {
	return func(s *settings) { s.noHistory = true }
}

// WithPremium makes the namespace one of the premium tier: what the administration creates takes messages of 1 MiB, or
// of up to 100 MiB when asked for. Without it the tier is standard.
func WithPremium() Option {
	return func(s *settings) { s.premium = true }
}

// WithIdleTimeout sets the idle timeout announced to clients: they send at least one frame in it, and a connection
// silent for twice as long is closed. The default is 2 minutes.
func WithIdleTimeout(d time.Duration) Option {
	return func(s *settings) { s.idleTimeout = d }
}

// IdleLimits says when the server gives up links and connections that are not used. Zero: never.
type IdleLimits struct {
	// Link bounds the time in which a link carries no flow, transfer or settlement. It is detached with
	// amqp:link:detach-forced. Credit that stands and heartbeats are no use.
	Link time.Duration
	// Linkless bounds the time a connection is without links, and FirstLink the time until its first one. It is closed
	// with amqp:connection:forced.
	Linkless  time.Duration
	FirstLink time.Duration
}

// serviceIdleLimits are those of Service Bus, and the default.
var serviceIdleLimits = IdleLimits{Link: 10 * time.Minute, Linkless: 5 * time.Minute, FirstLink: time.Minute}

// WithIdleLimits replaces the limits of Service Bus (10, 5 and 1 minute), which are the default; the zero IdleLimits
// switch them off.
func WithIdleLimits(limits IdleLimits) Option {
	return func(s *settings) { s.idle = transport.IdleLimits(limits) }
}

// WithTrace records every frame of every connection in t.
func WithTrace(t *Trace) Option {
	return func(s *settings) { s.trace = t }
}
