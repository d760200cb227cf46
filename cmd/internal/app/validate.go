package app

import (
	"errors"
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"batchterminator/worker"
)

const (
	// leastGrace is what a drain needs: package worker divides it.
	leastGrace = 7 * time.Second
	// longestCall is one call with its answer: the service works for at most 30 s, and the margin of package handler.
	longestCall = 35 * time.Second
)

var (
	apiVersion = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(\.\d+\.\d+|-preview)?$`)
	scope      = regexp.MustCompile(`^https://[^/\s?#@]+/.*\.default$`)
)

// Problems is everything that is wrong with the settings, one line each.
type Problems []error

func (p Problems) Error() string   { return errors.Join(p...).Error() }
func (p Problems) Unwrap() []error { return p }

// setting names where a value comes from, as people know it.
func setting(flag, variable string) string { return "--" + flag + " (" + variable + ")" }

// check adds a line when ok is false.
func (p *Problems) check(ok bool, flag, variable, format string, args ...any) {
	if !ok {
		*p = append(*p, fmt.Errorf("%s: %w", setting(flag, variable), fmt.Errorf(format, args...)))
	}
}

// err is nil when nothing is wrong.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Validate reports everything that is out of its bounds or contradicts something else, one line each, and never a secret.
func (s *Settings) Validate() error {
	var p Problems
	s.ServiceBus.check(&p)
	p.check(s.Subscription == "" || s.ServiceBus.Topic != "", "subscription", "SERVICEBUS_SUBSCRIPTION", "needs --topic (SERVICEBUS_TOPIC) too")
	p.check(s.ServiceBus.Topic == "" || s.Subscription != "", "topic", "SERVICEBUS_TOPIC", "needs --subscription (SERVICEBUS_SUBSCRIPTION) too")
	list := s.checkBatch(&p)
	s.Retry.check(&p)
	s.Worker.check(&p)
	least := s.Retry.Budget + longestCall
	p.check(s.Worker.MaxLock < time.Minute || s.Worker.MaxLock >= least, "max-lock", "MAX_LOCK", "%v is shorter than one delivery may take: --retry-budget and one call are %v", s.Worker.MaxLock, least)
	s.Operation.check(&p)
	if len(p) == 0 && s.needsCredential(list) {
		if _, err := signInAt(s.hosts(list)); err != nil {
			p = append(p, err)
		}
	}
	return p.err()
}

// Validate is for commands that only publish: a topic needs no subscription there.
func (s ServiceBusSettings) Validate() error {
	var p Problems
	s.check(&p)
	return p.err()
}

func (s ServiceBusSettings) check(p *Problems) {
	switch {
	case s.Namespace == "" && s.ConnectionString == "":
		p.check(false, "namespace", "SERVICEBUS_NAMESPACE", "neither it nor --connection-string (SERVICEBUS_CONNECTION_STRING) is given; one of them is needed")
	case s.Namespace != "" && s.ConnectionString != "":
		p.check(false, "namespace", "SERVICEBUS_NAMESPACE", "--connection-string (SERVICEBUS_CONNECTION_STRING) is given too; only one of them may be")
	case s.Namespace != "":
		p.check(hostname.MatchString(s.Namespace), "namespace", "SERVICEBUS_NAMESPACE", "%s", namespaceHint(s.Namespace))
	default:
		s.checkConnectionString(p)
	}
	p.check(s.Queue == "" || s.Topic == "", "queue", "SERVICEBUS_QUEUE", "--topic (SERVICEBUS_TOPIC) is given too; only one of them may be")
	for _, e := range []struct{ flag, variable, name string }{{"queue", "SERVICEBUS_QUEUE", s.Queue}, {"topic", "SERVICEBUS_TOPIC", s.Topic}} {
		if e.name != "" {
			err := CheckEntity(e.name)
			p.check(err == nil, e.flag, e.variable, "%w", err)
		}
	}
}

// CheckEntity says what is wrong with the name of a queue or topic.
func CheckEntity(name string) error {
	switch {
	case strings.Contains(name, ";") || strings.Contains(strings.ToLower(name), "sharedaccess") && strings.Contains(name, "="): // it may hold a secret, which must not be repeated
		return errors.New("that is no name of an entity; a connection string belongs into --connection-string (SERVICEBUS_CONNECTION_STRING)")
	case entity.MatchString(name):
		return nil
	}
	return fmt.Errorf("want 1 to 260 characters without spaces, '\\', '?', '#' or '@', got %s", brief(name))
}

var (
	hostname = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$`)
	entity   = regexp.MustCompile(`^[^\s\\?#@[:cntrl:]]{1,260}$`)
)

// namespaceHint says what is usually meant by what is not a host name.
func namespaceHint(namespace string) string {
	const want = "want the host only, such as example.servicebus.windows.net"
	if strings.ContainsAny(namespace, "=;@") {
		return want + "; a connection string belongs into --connection-string (SERVICEBUS_CONNECTION_STRING)"
	}
	host := namespace
	if _, after, ok := strings.Cut(host, "://"); ok {
		host = after
	}
	host, _, _ = strings.Cut(host, "/")
	host, _, _ = strings.Cut(host, ":")
	if !strings.Contains(host, ".") {
		host += ".servicebus.windows.net"
	}
	if hostname.MatchString(host) {
		return fmt.Sprintf("%s; did you mean %s?", want, host)
	}
	return want
}

// checkConnectionString repeats nothing of it but the entity's name.
func (s ServiceBusSettings) checkConnectionString(p *Problems) {
	const flag, variable = "connection-string", "SERVICEBUS_CONNECTION_STRING"
	err := worker.ServiceBus{ConnectionString: string(s.ConnectionString), Queue: DefaultQueue}.Validate()
	p.check(err == nil, flag, variable, "%s", strings.TrimPrefix(fmt.Sprint(err), "connection string: "))
	path := s.ConnectionString.part("EntityPath")
	p.check(path == "" || strings.EqualFold(path, s.Entity()), flag, variable, "it is for the entity %s; name that with --queue (SERVICEBUS_QUEUE) or --topic (SERVICEBUS_TOPIC)", brief(path))
}

func (s *Settings) checkBatch(p *Problems) []endpoint {
	list, errs := s.parseEndpoints()
	for _, err := range errs {
		p.check(false, "batch-endpoint", "BATCH_ENDPOINT", "%w", err)
	}
	b := s.Batch
	p.check(b.Rate >= 0 && !math.IsInf(b.Rate, 0), "rate", "RATE", "%v; want calls per second, 0 for no limit", b.Rate)
	p.check(b.APIVersion == "" || apiVersion.MatchString(b.APIVersion), "batch-api-version", "BATCH_API_VERSION", "want a version such as 2025-06-01, got %s", brief(b.APIVersion))
	p.check(b.Scope == "" || scope.MatchString(b.Scope), "batch-scope", "BATCH_SCOPE", "want https://<resource>/.default, got %s", brief(b.Scope))
	choices := []string{"complete", "dead-letter"}
	p.check(slices.Contains(choices, b.OnNotFound), "on-not-found", "ON_NOT_FOUND", "want complete or dead-letter, got %s", brief(b.OnNotFound))
	p.check(slices.Contains(choices, b.OnConditionNotMet), "on-condition-not-met", "ON_CONDITION_NOT_MET", "want complete or dead-letter, got %s", brief(b.OnConditionNotMet))
	return list
}

func (r RetrySettings) check(p *Problems) {
	p.check(r.Attempts >= 1 && r.Attempts <= 20, "retry-attempts", "RETRY_ATTEMPTS", "%d; want 1 to 20", r.Attempts)
	p.check(r.Initial >= time.Millisecond, "retry-initial", "RETRY_INITIAL", "%v; want at least 1ms", r.Initial)
	p.check(r.Max >= r.Initial, "retry-max", "RETRY_MAX", "%v; want at least --retry-initial, %v", r.Max, r.Initial)
	p.check(r.Budget > 0, "retry-budget", "RETRY_BUDGET", "%v; want more than 0s", r.Budget)
	p.check(r.MaxInProcessWait >= 0, "max-in-process-wait", "MAX_IN_PROCESS_WAIT", "%v; want at least 0s", r.MaxInProcessWait)
	p.check(r.RedeliveryInitial >= time.Second, "redelivery-initial", "REDELIVERY_INITIAL", "%v; want at least 1s", r.RedeliveryInitial)
	p.check(r.RedeliveryMax >= r.RedeliveryInitial, "redelivery-max", "REDELIVERY_MAX", "%v; want at least --redelivery-initial, %v", r.RedeliveryMax, r.RedeliveryInitial)
	p.check(r.MaxAge >= r.RedeliveryInitial, "max-age", "MAX_AGE", "%v; want at least --redelivery-initial, %v", r.MaxAge, r.RedeliveryInitial)
	p.check(r.MaxRedeliveries >= 0, "max-redeliveries", "MAX_REDELIVERIES", "%d; want at least 0", r.MaxRedeliveries)
}

func (w WorkerSettings) check(p *Problems) {
	p.check(w.Concurrency >= 1 && w.Concurrency <= 1000, "concurrency", "CONCURRENCY", "%d; want 1 to 1000", w.Concurrency)
	most := max(w.Concurrency/4, 0)
	p.check(w.ReadyBuffer >= worker.Measured && int(w.ReadyBuffer) <= most, "ready-buffer", "READY_BUFFER", "%v; want measured, or 0 to %d, a quarter of --concurrency", w.ReadyBuffer, most)
	p.check(w.MaxLock >= time.Minute, "max-lock", "MAX_LOCK", "%v; want at least 1m0s", w.MaxLock)
	p.check(w.MaxDeliveryCount >= 2, "max-delivery-count", "MAX_DELIVERY_COUNT", "%d; want at least 2, or the death of a worker dead-letters what it holds", w.MaxDeliveryCount)
	p.check(w.Grace >= leastGrace, "grace", "GRACE", "%v; a drain needs at least %v", w.Grace, leastGrace)
}

func (o OperationSettings) check(p *Problems) {
	if o.Listen != "" {
		_, port, err := net.SplitHostPort(o.Listen)
		_, portErr := strconv.ParseUint(port, 10, 16)
		p.check(err == nil && portErr == nil, "listen", "LISTEN", "want host:port or :port, got %s", brief(o.Listen))
	}
	p.check(o.Control == "" || o.Control == ControlOff || loopbackAddress(o.Control), "control", "CONTROL", "want a port of this machine alone, such as 127.0.0.1:9092, or off, got %s", brief(o.Control))
	p.check(o.Linger >= 0, "linger", "LINGER", "%v; want at least 0s", o.Linger)
	p.check(slices.Contains(logLevels, o.LogLevel), "log-level", "LOG_LEVEL", "want debug, info, warn or error, got %s", brief(o.LogLevel))
	p.check(slices.Contains(logFormats, o.LogFormat), "log-format", "LOG_FORMAT", "want json or console, got %s", brief(o.LogFormat))
}

// loopbackAddress tells whether an address is a port that only this machine reaches. Names are not: what they resolve to may
// change.
func loopbackAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	_, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && portErr == nil && isLoopback(host)
}

// brief quotes a value so that it stays one short line.
func brief(s string) string {
	if len(s) > 64 {
		s = s[:61] + "..."
	}
	return strconv.QuoteToASCII(s)
}
