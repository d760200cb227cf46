package servicebustest

import (
	"log/slog"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
)

// Option configures a Server.
type Option func(*settings)

type settings struct {
	queues      []queueSettings
	keys        map[string]string
	logger      *slog.Logger
	noHistory   bool
	idleTimeout time.Duration
	trace       *Trace
}

type queueSettings struct {
	name string
	cfg  QueueConfig
}

// QueueConfig describes a queue. The zero value of a field is the service's default.
type QueueConfig struct {
	LockDuration           time.Duration // default 1 minute, at most 5
	MaxDeliveryCount       int           // default 10
	DefaultTTL             time.Duration // default: messages live for ever
	DeadLetterOnExpiration bool          // default: expired messages are dropped
	MaxMessageSize         int           // bytes; default 262144

	// Not emulated yet: Start fails when one is set.
	RequiresDuplicateDetection bool
	RequiresSession            bool
}

func (c QueueConfig) broker() broker.Config { return broker.Config(c) }

// WithQueue adds a queue. Names compare without case.
func WithQueue(name string, cfg QueueConfig) Option {
	return func(s *settings) { s.queues = append(s.queues, queueSettings{name, cfg}) }
}

// WithLogger has the server say why each connection ended. Without it the server is silent.
func WithLogger(logger *slog.Logger) Option {
	return func(s *settings) { s.logger = logger }
}

// WithoutHistory keeps no ledger, so that memory does not grow with traffic.
func WithoutHistory() Option {
	return func(s *settings) { s.noHistory = true }
}

// WithIdleTimeout sets the idle timeout announced to clients: they send at least one frame in it, and a connection
// silent for twice as long is closed. The default is 2 minutes.
func WithIdleTimeout(d time.Duration) Option {
	return func(s *settings) { s.idleTimeout = d }
}

// WithSharedAccessKey verifies shared access signatures: only tokens signed with a given key are accepted then. May
// be repeated. Without it any well-formed token is.
func WithSharedAccessKey(rule, key string) Option {
	return func(s *settings) {
		if s.keys == nil {
			s.keys = make(map[string]string)
		}
		s.keys[rule] = key
	}
}

// WithTrace records every frame of every connection in t.
func WithTrace(t *Trace) Option {
	return func(s *settings) { s.trace = t }
}
