package filter

import "strings"

// Subject is a message as a filter sees it.
type Subject interface {
	// User returns a user property. Its name compares without case.
	User(name string) (value any, ok bool)
	// System returns a system property, nil if the message does not have it.
	System(System) any
}

// Editor is a message as an action changes it.
type Editor interface {
	Subject
	// SetUser adds or replaces a user property. Its name compares without case.
	SetUser(name string, value any) error
	// RemoveUser removes a user property, if it is there.
	RemoveUser(name string)
	// SetSystem changes a system property to a value of its type, or to nil.
	SetSystem(System, any) error
}

// System is a system property, what the sys scope holds.
type System uint8

// The system properties of a message.
const (
	MessageID System = iota + 1
	CorrelationID
	Label
	ContentType
	SessionID
	ReplyTo
	ReplyToSessionID
	To
	TimeToLive
	ScheduledEnqueueTime
	PartitionKey
	TransactionPartitionKey
	// Below: what only the broker sets.
	EnqueuedTime
	ExpiresAt
	DeliveryCount
	SequenceNumber
	EnqueuedSequenceNumber
	State
	Size
)

// writable says whether an action may change the property.
func (s System) writable() bool { return s < EnqueuedTime }

// systemNames spells them as the .NET classes of both generations do, in lower case.
var systemNames = map[string]System{
	"messageid": MessageID, "correlationid": CorrelationID, "label": Label, "subject": Label,
	"contenttype": ContentType, "sessionid": SessionID, "replyto": ReplyTo, "replytosessionid": ReplyToSessionID,
	"to": To, "timetolive": TimeToLive, "scheduledenqueuetime": ScheduledEnqueueTime,
	"scheduledenqueuetimeutc": ScheduledEnqueueTime, "partitionkey": PartitionKey,
	"transactionpartitionkey": TransactionPartitionKey, "viapartitionkey": TransactionPartitionKey,
	"enqueuedtime": EnqueuedTime, "enqueuedtimeutc": EnqueuedTime, "expiresat": ExpiresAt, "expiresatutc": ExpiresAt,
	"deliverycount": DeliveryCount, "sequencenumber": SequenceNumber,
	"enqueuedsequencenumber": EnqueuedSequenceNumber, "state": State, "size": Size,
}

// systemNamed returns the system property that a name means, 0 for none.
func systemNamed(name string) System { return systemNames[strings.ToLower(name)] }
