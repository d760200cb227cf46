package app

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"batchterminator/worker"
)

// DefaultQueue is received from when neither a queue nor a topic is named.
const DefaultQueue = "terminate-requests"

// Secret is a value that never shows in formatted output.
type Secret string

// String hides the value, whatever prints it.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "REDACTED"
}

// GoString hides the value from %#v too.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalJSON hides the value from encoders, which ignore String.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// ServiceBusSettings name the namespace and the queue or topic. Everything that talks to Service Bus shares them.
type ServiceBusSettings struct {
	Namespace        string `env:"SERVICEBUS_NAMESPACE" placeholder:"HOST" help:"Fully qualified Service Bus host, such as example.servicebus.windows.net; signs in with the Azure identity of this process."`
	ConnectionString Secret `env:"SERVICEBUS_CONNECTION_STRING" placeholder:"SECRET" help:"Connection string instead of --namespace, for keys and the emulator. Prefer the environment variable: a flag shows in the process list."`
	Queue            string `env:"SERVICEBUS_QUEUE" placeholder:"NAME" help:"Queue. Default terminate-requests, unless --topic is given."`
	Topic            string `env:"SERVICEBUS_TOPIC" placeholder:"NAME" help:"Topic instead of a queue."`
	SDKTransport     bool   `name:"servicebus-sdk-transport" env:"SERVICEBUS_SDK_TRANSPORT" help:"Leave dialling to the Service Bus SDK, without a watch over its connection. Only if the network has trouble with ours: the SDK needs a minute to find a peer that is gone, and some answers to throttling cost it a core until the process restarts."`
}

// Entity is the queue or topic, with the default applied.
func (s ServiceBusSettings) Entity() string {
	switch {
	case s.Queue != "":
		return s.Queue
	case s.Topic != "":
		return s.Topic
	}
	return DefaultQueue
}

// target is how package worker names the entity; the credential is added by who needs one.
func (s ServiceBusSettings) target() worker.ServiceBus {
	b := worker.ServiceBus{
		Namespace: s.Namespace, ConnectionString: string(s.ConnectionString), Queue: s.Queue, Topic: s.Topic, SDKTransport: s.SDKTransport,
	}
	if s.Topic == "" {
		b.Queue = s.Entity()
	}
	return b
}

// BatchSettings say which Batch accounts may be called, and how.
type BatchSettings struct {
	Endpoints  []string `name:"batch-endpoint" env:"BATCH_ENDPOINT" placeholder:"URL" help:"Batch account endpoint, https://<account>.<region>.batch.azure.com; repeat it or separate with commas. This is the allow-list: no other host ever sees a token. The first one serves requests that name none."`
	Rate       float64  `env:"RATE" default:"0" help:"Most Batch calls per second and endpoint, 0 for no limit."`
	APIVersion string   `name:"batch-api-version" env:"BATCH_API_VERSION" placeholder:"DATE" help:"Version of the Batch REST API. Default ${api_version}."`
	Scope      string   `name:"batch-scope" env:"BATCH_SCOPE" placeholder:"SCOPE" help:"Scope of the Batch token, for endpoints outside the known clouds. Default derived from the endpoint."`

	OnNotFound        string `env:"ON_NOT_FOUND" default:"complete" placeholder:"DECISION" help:"When the task or its job does not exist: complete or dead-letter. Default complete."`
	OnConditionNotMet string `env:"ON_CONDITION_NOT_MET" default:"dead-letter" placeholder:"DECISION" help:"When the condition of a request is not met: complete or dead-letter. Default dead-letter."`
}

// RetrySettings bound both levels of retry.
type RetrySettings struct {
	Attempts         int           `name:"retry-attempts" env:"RETRY_ATTEMPTS" default:"4" help:"Most calls for one delivery of a message, 1 to 20."`
	Initial          time.Duration `name:"retry-initial" env:"RETRY_INITIAL" default:"1s" help:"Bound of the first wait between calls; doubles up to --retry-max, and each wait is drawn below it."`
	Max              time.Duration `name:"retry-max" env:"RETRY_MAX" default:"20s" help:"Highest bound of a wait between calls."`
	Budget           time.Duration `name:"retry-budget" env:"RETRY_BUDGET" default:"1m" help:"No call of a delivery starts after this time."`
	MaxInProcessWait time.Duration `env:"MAX_IN_PROCESS_WAIT" default:"15s" help:"A longer wait, Retry-After included, is spent in the queue instead of under lock."`

	RedeliveryInitial time.Duration `env:"REDELIVERY_INITIAL" default:"30s" help:"First wait in the queue; doubles with each redelivery up to --redelivery-max."`
	RedeliveryMax     time.Duration `env:"REDELIVERY_MAX" default:"15m" help:"Longest wait in the queue, unless Batch asks for more."`
	MaxAge            time.Duration `env:"MAX_AGE" default:"24h" help:"A request that still fails this long after it was first enqueued, and came back at least once, is dead-lettered."`
	MaxRedeliveries   int           `env:"MAX_REDELIVERIES" default:"0" help:"A request that still fails after so many redeliveries is dead-lettered, 0 for no limit."`
}

// WorkerSettings bound what is held and for how long.
type WorkerSettings struct {
	Concurrency      int           `env:"CONCURRENCY" default:"64" help:"Most requests under way at once, 1 to 1000."`
	ReadyBuffer      ReadyBuffer   `env:"READY_BUFFER" default:"measured" help:"Messages that may wait under lock for a free place: measured, or a number up to a quarter of --concurrency."`
	MaxLock          time.Duration `env:"MAX_LOCK" default:"10m" help:"Longest time that the lock of one message is renewed."`
	MaxDeliveryCount int           `env:"MAX_DELIVERY_COUNT" default:"10" help:"The max delivery count that the queue is configured with."`
	Grace            time.Duration `env:"GRACE" default:"30s" help:"Time from the stop signal until the platform kills the process; the drain ends 2s before it. Set it to terminationGracePeriodSeconds."`
}

// OperationSettings are for who watches the process.
type OperationSettings struct {
	Listen  string        `env:"LISTEN" default:":9090" placeholder:"ADDRESS" help:"Where /metrics, /healthz and /readyz are served; port 0 takes any free one. Default :9090."`
	Control string        `env:"CONTROL" default:"127.0.0.1:9092" placeholder:"ADDRESS" help:"Where \"batch-terminator control\" reaches this worker: an address of this machine alone, or off. Default 127.0.0.1:9092."`
	Linger  time.Duration `env:"LINGER" default:"20s" help:"After the drain, longest wait for the scrape that sees how it went; part of --grace, over with that scrape, and none where nobody has ever scraped."`
	LogSettings
}

// LogSettings choose what the log says and how.
type LogSettings struct {
	LogLevel  string `env:"LOG_LEVEL" default:"info" placeholder:"LEVEL" help:"Least level that is logged: debug, info, warn or error. Default info."`
	LogFormat string `env:"LOG_FORMAT" default:"json" placeholder:"FORMAT" help:"Form of a log line: json, or console for people. Default json."`
}

// Settings is every setting of the worker. [Defaults] fills it.
type Settings struct {
	ServiceBus   ServiceBusSettings `embed:"" group:"Service Bus"`
	Subscription string             `group:"Service Bus" env:"SERVICEBUS_SUBSCRIPTION" placeholder:"NAME" help:"Subscription of --topic."`
	Batch        BatchSettings      `embed:"" group:"Batch"`
	Retry        RetrySettings      `embed:"" group:"Retry (durations such as 500ms, 30s, 15m, 24h)"`
	Worker       WorkerSettings     `embed:"" group:"Worker"`
	Operation    OperationSettings  `embed:"" group:"Operation"`
}

// Defaults returns settings with every default, whatever the environment; what has none is left empty.
func Defaults() Settings {
	var s Settings
	k, err := kong.New(&s, vars)
	if err == nil {
		(&fromEnvironment{}).takeOver(k.Model.Node)
		err = reset(k)
	}
	if err != nil {
		panic(fmt.Sprintf("a default in settings.go cannot be parsed: %v", err))
	}
	return s
}

// reset sets the targets of k to their defaults. kong.ApplyDefaults would also validate them.
func reset(k *kong.Kong) error {
	ctx, err := kong.Trace(k, nil)
	if err != nil {
		return err
	}
	return ctx.Reset()
}

// ReadyBuffer is a number of messages, or worker.Measured.
type ReadyBuffer int

// UnmarshalText reads "measured" or a number.
func (b *ReadyBuffer) UnmarshalText(text []byte) error {
	if string(text) == "measured" {
		*b = worker.Measured
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return fmt.Errorf("want measured or a number from 0, got %q", text)
	}
	*b = ReadyBuffer(n)
	return nil
}

func (b ReadyBuffer) String() string {
	if b == worker.Measured {
		return "measured"
	}
	return strconv.Itoa(int(b))
}
