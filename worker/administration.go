package worker

// Reading, never writing, over the administration API: what the entity is configured with, and the counts that a scaler
// goes by.

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
)

// Forever is how long something lives that has no end.
const Forever = time.Duration(math.MaxInt64)

const (
	// maxEntry bounds an answer; the entry of a queue is a few KiB.
	maxEntry = 1 << 20
	// emulatorAdmin is the port of the official emulator's administration.
	emulatorAdmin = "5300"
)

var errNoEntity = errors.New("no such queue or subscription in this namespace")

// EntitySettings is how the queue or subscription is configured.
type EntitySettings struct {
	// Status is "Active" in normal times.
	Status                 string
	LockDuration           time.Duration
	MaxDeliveryCount       int
	TimeToLive             time.Duration // of messages that name none, and the most of those that do
	DeadLetterOnExpiration bool
	// DuplicateDetection and its window; always false for a subscription, whose topic has them.
	DuplicateDetection bool
	DuplicateWindow    time.Duration
	Sessions           bool
	ForwardTo          string
	AutoDeleteOnIdle   time.Duration
}

// EntityCounts is what a scaler sees.
type EntityCounts struct {
	// Active includes what is locked; scheduled and dead-lettered messages are apart.
	Active, Scheduled, DeadLettered int
}

// ServerTime is when an answer was given by the server's clock, between two times of ours. It has whole seconds.
type ServerTime struct {
	Date, Sent, Received time.Time
}

// ReadEntity reads the settings of the entity, and the server's clock where an answer has it. It takes the right to manage,
// or the role Azure Service Bus Data Receiver.
func (b ServiceBus) ReadEntity(ctx context.Context) (s EntitySettings, at ServerTime, err error) {
	a, err := b.administer()
	if err != nil {
		return s, at, err
	}
	defer a.close()
	if b.Queue == "" {
		s, err = a.subscription(ctx, b.Topic, b.Subscription)
	} else {
		s, err = a.queue(ctx, b.Queue)
	}
	return s, a.clock, err
}

// ReadCounts reads what a scaler reads.
func (b ServiceBus) ReadCounts(ctx context.Context) (EntityCounts, error) {
	a, err := b.administer()
	if err != nil {
		return EntityCounts{}, err
	}
	defer a.close()
	if b.Queue == "" {
		p, err := a.GetSubscriptionRuntimeProperties(ctx, b.Topic, b.Subscription, nil)
		if err != nil || p == nil {
			return EntityCounts{}, orNoEntity(err)
		}
		return EntityCounts{Active: int(p.ActiveMessageCount), DeadLettered: int(p.DeadLetterMessageCount)}, nil
	}
	p, err := a.GetQueueRuntimeProperties(ctx, b.Queue, nil)
	if err != nil || p == nil {
		return EntityCounts{}, orNoEntity(err)
	}
	return EntityCounts{Active: int(p.ActiveMessageCount), Scheduled: int(p.ScheduledMessageCount), DeadLettered: int(p.DeadLetterMessageCount)}, nil
}

// orNoEntity: the SDK answers nil, nil for what does not exist.
func orNoEntity(err error) error {
	if err == nil {
		return errNoEntity
	}
	return err
}

// administration is one SDK client over one HTTP client. It is for one goroutine.
type administration struct {
	*admin.Client
	web   *http.Client
	hosts []string // of an emulator: the first that answers HTTP serves it; nil for a namespace
	clock ServerTime
}

func (b ServiceBus) administer() (a *administration, err error) {
	a = &administration{web: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: newDialer().DialContext, TLSHandshakeTimeout: handshakeLimit,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
	}
	a.web.Transport = transport
	switch {
	case b.Dial != nil:
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }
		a.hosts = []string{"localhost"}
	case emulated(b.ConnectionString):
		a.hosts = emulatorHosts(b.Host())
	}
	options := &admin.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: a, Retry: policy.RetryOptions{MaxRetries: -1}}}
	if b.ConnectionString != "" {
		a.Client, err = admin.NewClientFromConnectionString(b.ConnectionString, options)
	} else {
		a.Client, err = admin.NewClient(b.Namespace, b.Credential, options)
	}
	if err != nil {
		return nil, fmt.Errorf("service bus administration: %w", err)
	}
	return a, nil
}

// emulatorHosts: an emulator has administration on a port of its own, ours on every port.
func emulatorHosts(host string) []string {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return []string{net.JoinHostPort(strings.Trim(host, "[]"), emulatorAdmin)}
	}
	if port == emulatorAdmin {
		return []string{host}
	}
	return []string{host, net.JoinHostPort(name, emulatorAdmin)}
}

func (a *administration) close() { a.web.CloseIdleConnections() }

// Do implements [policy.Transporter]: an emulator is spoken to in plain text, which the SDK cannot be told, and an answer is
// bounded and tells the time.
func (a *administration) Do(r *http.Request) (resp *http.Response, err error) {
	sent := time.Now()
	if a.hosts == nil {
		resp, err = a.web.Do(r) //nolint:gosec // G704: the host is the operator's setting
	} else {
		resp, err = a.plain(r)
	}
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.clock = ServerTime{Date: date, Sent: sent, Received: time.Now()}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxEntry), resp.Body}
	return resp, nil
}

// plain asks the hosts of an emulator in turn. The first one's error is the one to know.
func (a *administration) plain(r *http.Request) (resp *http.Response, first error) {
	for _, host := range a.hosts {
		plain := r.Clone(r.Context())
		plain.URL.Scheme, plain.URL.Host, plain.Host = "http", host, ""
		resp, err := a.web.Do(plain) //nolint:gosec // G704: as above
		if err == nil {
			return resp, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

func (a *administration) queue(ctx context.Context, name string) (EntitySettings, error) {
	p, err := a.GetQueue(ctx, name, nil)
	if err != nil || p == nil {
		return EntitySettings{}, orNoEntity(err)
	}
	s := EntitySettings{
		Status: string(value(p.Status)), MaxDeliveryCount: int(value(p.MaxDeliveryCount)),
		DeadLetterOnExpiration: value(p.DeadLetteringOnMessageExpiration), DuplicateDetection: value(p.RequiresDuplicateDetection),
		Sessions: value(p.RequiresSession), ForwardTo: value(p.ForwardTo),
	}
	return s, durations(
		span{"lock duration", p.LockDuration, &s.LockDuration, 0},
		span{"time to live", p.DefaultMessageTimeToLive, &s.TimeToLive, Forever},
		span{"duplicate detection window", p.DuplicateDetectionHistoryTimeWindow, &s.DuplicateWindow, 0},
		span{"auto-delete", p.AutoDeleteOnIdle, &s.AutoDeleteOnIdle, Forever})
}

func (a *administration) subscription(ctx context.Context, topic, name string) (EntitySettings, error) {
	p, err := a.GetSubscription(ctx, topic, name, nil)
	if err != nil || p == nil {
		return EntitySettings{}, orNoEntity(err)
	}
	s := EntitySettings{
		Status: string(value(p.Status)), MaxDeliveryCount: int(value(p.MaxDeliveryCount)),
		DeadLetterOnExpiration: value(p.DeadLetteringOnMessageExpiration), Sessions: value(p.RequiresSession), ForwardTo: value(p.ForwardTo),
	}
	return s, durations(
		span{"lock duration", p.LockDuration, &s.LockDuration, 0},
		span{"time to live", p.DefaultMessageTimeToLive, &s.TimeToLive, Forever},
		span{"auto-delete", p.AutoDeleteOnIdle, &s.AutoDeleteOnIdle, Forever})
}

// value is the zero value for what an answer leaves out.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// span is a duration of an answer, and what it is when the answer has none.
type span struct {
	name   string
	from   *string
	to     *time.Duration
	absent time.Duration
}

func durations(spans ...span) error {
	for _, s := range spans {
		*s.to = s.absent
		if s.from == nil {
			continue
		}
		d, ok := parseDuration(*s.from)
		if !ok {
			return fmt.Errorf("%s: %.40q is no duration", s.name, *s.from)
		}
		*s.to = d
	}
	return nil
}

var iso8601 = regexp.MustCompile(`^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)

// parseDuration reads the durations that Service Bus writes: days and less. Forever is written as the longest one of .NET,
// and stands for all that is too long for ours.
func parseDuration(s string) (time.Duration, bool) {
	m := iso8601.FindStringSubmatch(s)
	if m == nil || strings.HasSuffix(s, "T") || s == "P" {
		return 0, false
	}
	seconds := 0.0
	for i, unit := range []float64{24 * 60 * 60, 60 * 60, 60, 1} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseFloat(m[i+1], 64)
		if err != nil {
			return 0, false
		}
		seconds += n * unit
	}
	if seconds >= Forever.Seconds() {
		return Forever, true
	}
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond), true
}

// hasStatus tells whether the administration answered with one of the statuses.
func hasStatus(err error, statuses ...int) bool {
	answer, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return false
	}
	for _, s := range statuses {
		if answer.StatusCode == s {
			return true
		}
	}
	return false
}
