package atom

import (
	"strconv"
	"time"
)

// kind is how the API speaks of entities of one kind.
type kind[D any] struct {
	name     string   // in texts
	element  string   // of the description
	defaults func() D // what an absent element means
	fields   func(*Entity[D]) []field
	denied   func(verb verb, url string) string // what a client without the right to manage is told
	targets  func(*D) []*string                 // the entities it forwards to; nil: this kind does not forward
}

// timeless is the idle time after which nothing is deleted, and the default of all long times.
const timeless = Forever

var queueKind = kind[Queue]{
	name: "Queue", element: "QueueDescription", fields: queueFields, denied: claims,
	targets: func(q *Queue) []*string { return []*string{&q.ForwardTo, &q.ForwardDeadLetteredMessagesTo} },
	defaults: func() Queue {
		return Queue{
			LockDuration: time.Minute, MaxSizeInMegabytes: 1024, DefaultMessageTimeToLive: timeless,
			DuplicateDetectionHistoryTimeWindow: 10 * time.Minute, MaxDeliveryCount: 10, EnableBatchedOperations: true,
			Status: Active, AutoDeleteOnIdle: timeless,
		}
	},
}

func queueFields(e *Entity[Queue]) []field {
	q, r := &e.Description, &e.Runtime
	return []field{
		duration("LockDuration", &q.LockDuration),
		integer("MaxSizeInMegabytes", &q.MaxSizeInMegabytes),
		boolean("RequiresDuplicateDetection", &q.RequiresDuplicateDetection),
		boolean("RequiresSession", &q.RequiresSession),
		duration("DefaultMessageTimeToLive", &q.DefaultMessageTimeToLive),
		boolean("DeadLetteringOnMessageExpiration", &q.DeadLetteringOnMessageExpiration),
		duration("DuplicateDetectionHistoryTimeWindow", &q.DuplicateDetectionHistoryTimeWindow),
		integer("MaxDeliveryCount", &q.MaxDeliveryCount),
		boolean("EnableBatchedOperations", &q.EnableBatchedOperations),
		told("SizeInBytes", strconv.FormatInt(r.SizeInBytes, 10)),
		told("MessageCount", strconv.Itoa(r.total())),
		told("IsAnonymousAccessible", "false"),
		authorizationRules(&q.AuthorizationRules),
		status("Status", &q.Status),
		optional("ForwardTo", &q.ForwardTo),
		optional("UserMetadata", &q.UserMetadata),
		toldTime("CreatedAt", r.CreatedAt),
		toldTime("UpdatedAt", r.UpdatedAt),
		toldTime("AccessedAt", r.AccessedAt),
		told("SupportOrdering", "true"),
		countDetails(r),
		duration("AutoDeleteOnIdle", &q.AutoDeleteOnIdle),
		boolean("EnablePartitioning", &q.EnablePartitioning),
		told("EntityAvailabilityStatus", "Available"),
		optional("ForwardDeadLetteredMessagesTo", &q.ForwardDeadLetteredMessagesTo),
		boolean("EnableExpress", &q.EnableExpress),
		integer("MaxMessageSizeInKilobytes", &q.MaxMessageSizeInKilobytes),
	}
}

// claims names what is missing to do something with a queue, a topic or the namespace.
func claims(v verb, _ string) string {
	switch v {
	case get, list:
		return "Manage,EntityRead claims required for this operation."
	case remove:
		return "Authorization failed for specified action: Manage,EntityDelete."
	}
	return "Authorization failed for specified action: Manage,EntityWrite."
}
