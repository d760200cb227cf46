package atom

import (
	"errors"
	"math"
	"time"
)

// Forever is the duration that never ends, the service's P10675199DT2H48M5.4775807S.
const Forever = time.Duration(math.MaxInt64)

// What a Store refuses. Any other error is the request's fault and its text goes to the client.
var (
	ErrNotFound = errors.New("entity not found")
	ErrExists   = errors.New("entity already exists")
)

// ImmutableError refuses to change what is decided when an entity is created.
type ImmutableError struct{ Property string } // by its XML name

func (e *ImmutableError) Error() string { return "property " + e.Property + " cannot be changed" }

// Namespace is what is administered. Its methods are called by many goroutines at once.
type Namespace interface {
	Info() Info
	Queues() Store[Queue]
	Topics() Store[Topic]
	// Subscriptions and Rules return ErrNotFound when the parent is not there.
	Subscriptions(topic string) (Store[Subscription], error)
	Rules(topic, subscription string) (Store[Rule], error)
}

// Store is the entities of one kind under one parent.
type Store[D any] interface {
	Get(name string) (Entity[D], error)
	// List returns all entities in an order that stays the same while none is added: paging counts on it.
	List() ([]Entity[D], error)
	Create(name string, description D) (Entity[D], error)
	Update(name string, description D) (Entity[D], error)
	Delete(name string) error
}

// Entity is a description with what the namespace knows besides.
type Entity[D any] struct {
	Name        string
	Description D
	Runtime     Runtime
}

// Runtime is what only the namespace can tell of an entity. Each kind shows the part that it has.
type Runtime struct {
	CreatedAt  time.Time
	UpdatedAt  time.Time
	AccessedAt time.Time // zero: never

	SizeInBytes         int64
	Active              int // also locked and deferred messages
	DeadLettered        int
	Scheduled           int
	Transfer            int
	TransferDeadLetters int

	Subscriptions      int // of a topic
	SQLFilters         int // of a topic; true and false filters are SQL filters
	CorrelationFilters int // of a topic
}

// total is what MessageCount reports.
func (r Runtime) total() int {
	return r.Active + r.DeadLettered + r.Scheduled + r.Transfer + r.TransferDeadLetters
}

// Info describes the namespace.
type Info struct {
	Name       string
	SKU        string // Basic, Standard or Premium
	Units      int    // messaging units; premium only
	CreatedAt  time.Time
	ModifiedAt time.Time
}

// Status says what an entity may be used for.
type Status string

// The states that can be set.
const (
	Active          Status = "Active"
	Disabled        Status = "Disabled"
	SendDisabled    Status = "SendDisabled"
	ReceiveDisabled Status = "ReceiveDisabled"
)

// Queue is what can be set for a queue. Zero sizes ask for the tier's default.
type Queue struct {
	LockDuration                        time.Duration
	MaxSizeInMegabytes                  int
	RequiresDuplicateDetection          bool
	RequiresSession                     bool
	DefaultMessageTimeToLive            time.Duration
	DeadLetteringOnMessageExpiration    bool
	DuplicateDetectionHistoryTimeWindow time.Duration
	MaxDeliveryCount                    int
	EnableBatchedOperations             bool
	AuthorizationRules                  []AuthorizationRule
	Status                              Status
	AutoDeleteOnIdle                    time.Duration
	EnablePartitioning                  bool
	EnableExpress                       bool
	ForwardTo                           string
	ForwardDeadLetteredMessagesTo       string
	UserMetadata                        string
	MaxMessageSizeInKilobytes           int
}

// Topic is what can be set for a topic. Zero sizes ask for the tier's default.
type Topic struct {
	DefaultMessageTimeToLive            time.Duration
	MaxSizeInMegabytes                  int
	RequiresDuplicateDetection          bool
	DuplicateDetectionHistoryTimeWindow time.Duration
	EnableBatchedOperations             bool
	AuthorizationRules                  []AuthorizationRule
	Status                              Status
	UserMetadata                        string
	SupportOrdering                     bool
	AutoDeleteOnIdle                    time.Duration
	EnablePartitioning                  bool
	EnableExpress                       bool
	MaxMessageSizeInKilobytes           int
}

// Subscription is what can be set for a subscription.
type Subscription struct {
	LockDuration                              time.Duration
	RequiresSession                           bool
	DefaultMessageTimeToLive                  time.Duration
	DeadLetteringOnMessageExpiration          bool
	DeadLetteringOnFilterEvaluationExceptions bool
	DefaultRule                               *NamedRule // read by Create alone; nil: $Default, which matches all
	MaxDeliveryCount                          int
	EnableBatchedOperations                   bool
	Status                                    Status
	ForwardTo                                 string
	UserMetadata                              string
	ForwardDeadLetteredMessagesTo             string
	AutoDeleteOnIdle                          time.Duration
}

// NamedRule is a rule that does not have its name from a URL.
type NamedRule struct {
	Name string
	Rule
}

// AuthorizationRule is a shared access key of one entity. It is kept, not enforced.
type AuthorizationRule struct {
	Rights       []string // Manage, Send, Listen
	KeyName      string
	PrimaryKey   string
	SecondaryKey string
	CreatedTime  time.Time // zero: not told
	ModifiedTime time.Time // zero: not told
}

// Rule is a filter and what happens to the messages it lets through.
type Rule struct {
	Filter Filter
	Action Action
}

// Filter is a TrueFilter, FalseFilter, SQLFilter, CorrelationFilter or Opaque.
type Filter interface{ filter() }

// Action is an EmptyAction, SQLAction or Opaque.
type Action interface{ action() }

type (
	// TrueFilter matches every message.
	TrueFilter struct{}
	// FalseFilter matches none.
	FalseFilter struct{}
	// EmptyAction leaves a message alone.
	EmptyAction struct{}
	// SQLFilter is a condition in the service's SQL.
	SQLFilter struct{ SQL }
	// SQLAction is statements in the service's SQL.
	SQLAction struct{ SQL }
)

// SQL is a text with the values of its @parameters.
type SQL struct {
	Expression string
	Parameters []Parameter
}

// Parameter is a named value: a string, a bool, a number of fixed width, a time.Time or a time.Duration. What else a
// Store may have is told as its text.
type Parameter struct {
	Name  string
	Value any
}

// CorrelationFilter matches messages whose properties equal all that are set; nil is not set.
type CorrelationFilter struct {
	CorrelationID, MessageID, To, ReplyTo, Label *string
	SessionID, ReplyToSessionID, ContentType     *string
	Properties                                   []Parameter
}

// Opaque is a filter or action of a type that this package does not know, as it came.
type Opaque struct {
	Type       string
	attributes string // of the start tag, with every namespace the content may use
	content    string
}

func (TrueFilter) filter()        {}
func (FalseFilter) filter()       {}
func (SQLFilter) filter()         {}
func (CorrelationFilter) filter() {}
func (Opaque) filter()            {}
func (EmptyAction) action()       {}
func (SQLAction) action()         {}
func (Opaque) action()            {}
