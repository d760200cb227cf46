package atom

import (
	"strconv"
	"time"
)

var topicKind = kind[Topic]{
	name: "Topic", element: "TopicDescription", fields: topicFields, denied: claims,
	defaults: func() Topic {
		return Topic{
			DefaultMessageTimeToLive: timeless, MaxSizeInMegabytes: 1024,
			DuplicateDetectionHistoryTimeWindow: 10 * time.Minute, EnableBatchedOperations: true, Status: Active,
			SupportOrdering: true, AutoDeleteOnIdle: timeless,
		}
	},
}

func topicFields(e *Entity[Topic]) []field {
	t, r := &e.Description, &e.Runtime
	return []field{
		duration("DefaultMessageTimeToLive", &t.DefaultMessageTimeToLive),
		integer("MaxSizeInMegabytes", &t.MaxSizeInMegabytes),
		boolean("RequiresDuplicateDetection", &t.RequiresDuplicateDetection),
		duration("DuplicateDetectionHistoryTimeWindow", &t.DuplicateDetectionHistoryTimeWindow),
		boolean("EnableBatchedOperations", &t.EnableBatchedOperations),
		told("SizeInBytes", strconv.FormatInt(r.SizeInBytes, 10)),
		told("FilteringMessagesBeforePublishing", "false"),
		told("IsAnonymousAccessible", "false"),
		authorizationRules(&t.AuthorizationRules),
		status("Status", &t.Status),
		optional("UserMetadata", &t.UserMetadata),
		toldTime("CreatedAt", r.CreatedAt),
		toldTime("UpdatedAt", r.UpdatedAt),
		toldTime("AccessedAt", r.AccessedAt),
		boolean("SupportOrdering", &t.SupportOrdering),
		countDetails(r),
		told("SubscriptionCount", strconv.Itoa(r.Subscriptions)),
		told("SqlFilterCount", strconv.Itoa(r.SQLFilters)),
		told("CorrelationFilterCount", strconv.Itoa(r.CorrelationFilters)),
		duration("AutoDeleteOnIdle", &t.AutoDeleteOnIdle),
		boolean("EnablePartitioning", &t.EnablePartitioning),
		told("EntityAvailabilityStatus", "Available"),
		told("EnableSubscriptionPartitioning", "false"),
		boolean("EnableExpress", &t.EnableExpress),
		integer("MaxMessageSizeInKilobytes", &t.MaxMessageSizeInKilobytes),
	}
}
