package handler

// THE table: what an answer of Batch means, and why. To change the meaning of an answer, change its rule here and nothing
// else; README's copy follows with the command that is written above it.
//
// In each list the first rule that fits decides, so an exception stands before what it is an exception of; the last one
// takes what none fits.

import "slices"

// codeRules decide on Batch's error code: the codes of the "Batch Status and Error Codes" page that can answer Terminate
// Task, and those seen in live traffic. Codes of other operations are in elsewhere: they take their status's default.
var codeRules = slices.Concat(
	// The wished end state is reached.
	codes(final(AlreadyCompleted), "nothing is left to terminate; a repeated delivery ends here too", "TaskCompleted", "TaskSucceeded"),
	codes(final(AlreadyGone), "a task that does not exist does not run; a setting makes it a dead letter", "TaskNotFound", "JobNotFound"),
	codes(final(JobEnding), "Batch ends the job's tasks itself", "JobBeingDeleted", "JobBeingTerminated", "JobCompleted"),
	// The request itself is at fault.
	codes(final(Refused), "the same request would be refused again",
		"InvalidPropertyValue", "RequestUrlFailedToParse", "InvalidUri", "OutOfRangeInput", "InvalidInput", "MultipleConditionHeadersNotSupported"),
	given("a header or parameter from the message is blamed", blamesMessage,
		codes(final(Refused), "the value came from the message, so the same request would be refused again",
			"InvalidHeaderValue", "InvalidQueryParameterValue", "OutOfRangeQueryParameterValue")),
	// The worker is at fault: every message would fail alike.
	codes(final(WorkerMisconfigured), "the worker builds its requests wrong, or speaks a version this account does not; every message would fail alike",
		"InvalidHeaderValue", "InvalidQueryParameterValue", "OutOfRangeQueryParameterValue",
		"MissingRequiredHeader", "UnsupportedHeader", "MissingRequiredQueryParameter", "UnsupportedQueryParameter",
		"InvalidHttpVerb", "UnsupportedHttpVerb", "MissingContentLengthHeader", "UnsupportedRequestVersion",
		"HostInformationNotPresent", "UnsupportedHttpVersion", "NotImplemented", "InvalidRestAPIForAccountSetting"),
	codes(final(AuthFailed), "token, role or network rule; stands after one forced token refresh, and every message would fail alike",
		"InvalidAuthenticationInfo", "AuthenticationFailed", "InsufficientAccountPermissions", "AuthorizationFailure"),
	codes(final(AccountDisabled), "every message would fail alike until the account is enabled", "AccountIsDisabled"),
	// A condition.
	at(412, codes(check(ConditionNotMet), "an earlier attempt whose answer was lost may be what changed the task; the same condition would fail again; a setting makes it a completion", "ConditionNotMet")),
	at(304, codes(final(WrongEndpoint), "304 answers reads only, so something other than Batch spoke", "ConditionNotMet")),
	// Passing.
	codes(again(Unavailable), "a fault of the service; the one 403 that must not pause is among them", "IOError", "InternalError"),
	codes(again(TimedOut), "it may have been applied, and repeating it is harmless", "OperationTimedOut"),
	codes(again(Throttled), "Batch asks to slow down", "ServerBusy", "TooManyRequests", "TooManyEnableAutoScaleRequests"),
	// Neither: only the task itself tells, or time.
	codes(final(JobDisabled), "the task may run again when the job is enabled, which takes longer than a lock lasts", "JobDisabled"),
	codes(check(StateConflict), "the code does not say what the task is doing",
		"TaskNotCompleted", "JobNotActive", "OperationInvalidForCurrentState",
		"JobScheduleBeingTerminated", "JobScheduleBeingDeleted", "JobScheduleExists", "JobScheduleDisabled", "JobScheduleCompleted",
		"PoolBeingDeleted", "PoolBeingResized", "PoolBeingCreated", "PoolExists",
		"NodeBeingCreated", "NodeBeingStarted", "NodeBeingReimaged", "NodeBeingRebooted", "NodeStateUnusable", "NodeUserExists",
		"NodeAlreadyInTargetSchedulingState"),
	codes(check(StateConflict), "the code does not say what was not found", "ResourceNotFound"),
)

// statusRules decide where no rule for the code fits.
var statusRules = slices.Concat(
	statuses(again(TimedOut), "it may have been applied, and repeating it is harmless", 408, 504),
	statuses(again(Throttled), "Batch or a gateway asks to slow down", 429, 503),
	statuses(again(Unavailable), "a fault of the service or a gateway", 500, 502),
	given("the connection broke inside the body", cutOff,
		within(100, 599, again(Network), "the code that decides may be in the part that did not arrive")),
	statuses(final(Refused), "the same request would be refused again", 400, 413, 414, 416, 422),
	statuses(final(AuthFailed), "token, role, network rule or proxy; stands after one forced token refresh, and every message would fail alike", 401, 403, 407),
	given("with a code of Batch", batchSpoke, statuses(check(StateConflict), "the code does not say that the task was not found", 404)),
	statuses(final(WrongEndpoint), "Batch names a code with every 404, so a proxy, a gateway or another service answered", 404),
	statuses(final(WorkerMisconfigured), "the worker's requests are not understood; every message would fail alike", 405, 411, 501, 505),
	statuses(check(StateConflict), "the status does not say what the task is doing", 409),
	statuses(final(AlreadyGone), "what is gone does not run; a setting makes it a dead letter", 410),
	statuses(check(ConditionNotMet), "an earlier attempt whose answer was lost may be what changed the task; the same condition would fail again; a setting makes it a completion", 412),
	within(400, 499, final(Refused), "a refusal that is not listed; the same request would be refused again"),
	within(500, 599, again(Unavailable), "a fault of the service or a gateway"),
	within(100, 399, final(WrongEndpoint), "no answer of Terminate Task; a redirect is never followed, for the token must not follow it"),
)

// endRules decide where no answer came because the delivery ended, on the cause of its context.
var endRules = []rule{
	{cause: "the lock was lost during the call", when: is(ErrLockLost), verdict: final(LockLost), why: "the next delivery decides"},
	{cause: "the worker stopped during the call", verdict: final(Draining), why: "handed back at once, for another replica"},
}

// silenceRules decide where no answer came: the token, the connection.
var silenceRules = []rule{
	{cause: "token: identity service failing, throttling or out of reach", when: noTokenNow, verdict: again(Unavailable), why: "a passing fault of the identity service"},
	{cause: "token: refused, or no credential here", when: noToken, verdict: final(AuthFailed), why: "unknown client or tenant, or no identity on this machine: never the message's fault"},
	{cause: "argument refused before sending", when: argument, verdict: final(InvalidMessage), why: "what the message asks for cannot be sent"},
	{cause: "TLS: certificate not trusted, of another host, or no TLS", when: untrusted, verdict: final(WrongEndpoint), why: "the peer could not prove that it is the account"},
	{cause: "DNS: no such host", when: unknownHost, verdict: again(WrongEndpoint), why: "a misspelt account looks like a resolver's hiccup, so it is tried again before the account pauses"},
	{cause: "no answer in time", when: timeout, verdict: again(TimedOut), why: "it may have been applied, and repeating it is harmless"},
	{cause: "connection refused, reset or closed; resolver failing; an answer to another request", verdict: again(Network), why: "it may have been applied, and repeating it is harmless"},
}

// madeRules are outcomes that no failed call has: of a success, a read, a setting, the message, the worker. They are here
// to be told, not to decide.
var madeRules = slices.Concat(
	statuses(final(Terminated), "accepted", 204),
	given("other than 204, with a request-id and no body but JSON", nil,
		within(200, 299, final(Terminated), "a success, though not the documented one; the status on the log line tells")),
	made("checked by a read: the task has completed", AlreadyCompleted, "nothing is left to terminate"),
	made("checked by a read: Batch knows no such task", AlreadyGone, "a task that does not exist does not run; a setting makes it a dead letter"),
	made("createdBefore: the task was created later", SkippedNewerIncarnation, "it is another task that reuses the id"),
	[]rule{{cause: "createdBefore: the read names no creation time or ETag", verdict: again(Unavailable), why: "the guard must not be guessed"},
		{cause: "createdBefore: changed again between read and call, twice", verdict: again(StateConflict), why: "a state to wait out, not a condition of the sender's"}},
	made("already_gone, and --on-not-found=dead-letter", NotFound, "the operator wants to see it"),
	made("condition_not_met, and --on-condition-not-met=complete", SkippedCondition, "the operator takes an unmet condition for an answer"),
	made("the body breaks the message contract", InvalidMessage, "no call is made for what may be misread"),
	made("the endpoint is not on the allow-list", EndpointNotAllowed, "the token goes nowhere else"),
	made("a request that had finished is delivered again", DuplicateDelivery, "only its settlement was lost"),
	made("the request is over --max-age or --max-redeliveries", RetriesExhausted, "a person has to see why it never finishes"),
	made("the message's time to live ends before it can finish", Expired, "its sender says that it is worthless then"),
	made("the process dies, again and again, while nothing but the message runs", CrashSuspect, "the next delivery would end the same way"),
	made("the worker panics at the queue's last delivery of the message", CrashSuspect, "the broker would dead-letter it without a word"),
	made("the message was there when processes may have died", Isolated, "alone it does no harm to others, and shows whether it was the one"),
	made("the worker panics", Panic, "confined to the message, which is delivered again"),
)

// elsewhere lists the documented codes of other operations, and those that are only rumoured, with the status they come
// with. They have no rule: should one answer a terminate after all, its status decides.
var elsewhere = []struct {
	status int
	why    string
	codes  []string
}{
	{400, "of another operation", []string{"MissingRequiredProperty", "UnsupportedProperty", "EmptyMetadataKey", "InvalidRequestBody", "InvalidMetadata", "MetadataTooLarge",
		"InvalidAutoScalingSettings", "AutoScalingFormulaSyntaxError", "AutoScalingFormulaTooLong", "AutoScaleFormulaTooLong",
		"OSVersionNotFound", "OSVersionDisabled", "OSVersionExpired", "PoolVersionEqualsUpgradeVersion", "PoolNotEligibleForOSVersionUpgrade",
		"TaskDependenciesNotSpecifiedOnJob", "TaskDependencyListTooLong", "TaskDependencyRangesTooLong",
		"OutOfRangePriority", "InvalidConstraintValue", "UnsupportedConstraint", "InvalidCertificateReferences"}},
	{404, "of another operation", []string{"JobScheduleNotFound", "PoolNotFound", "NodeNotFound", "NodeUserNotFound", "NodeAgentSKUNotFound",
		"FileNotFound", "CertificateNotFound", "ApplicationNotFound", "JobPreparationTaskNotRunOnNode", "JobReleaseTaskNotRunOnNode",
		"PathNotFound", "StorageAccountNotFound"}},
	{409, "of another operation", []string{"TaskExists", "TaskFilesUnavailable", "TaskFilesCleanedup", "TaskIdSameAsJobPreparationTask", "TaskIdSameAsJobReleaseTask",
		"JobExists", "JobWithSameIdExists", "JobScheduleWithSameIdExists", "JobPreparationTaskNotSpecified", "JobReleaseTaskNotSpecified",
		"CertificateBeingDeleted", "CertificateExists", "CertificateStateActive", "CertificateDeleteFailed", "CertificateStateDeleteFailed",
		"ActiveJobAndScheduleQuotaReached", "PoolQuotaReached", "UpgradePoolVersionConflict", "OperationNotValidOnNode", "OperationNotValidOnPool",
		"InvalidApplicationPackageReferences", "ResourceAlreadyExists", "ResourceTypeMismatch", "NodeCountsMismatch"}},
	{413, "of another operation", []string{"RequestBodyTooLarge"}},
	{416, "of another operation", []string{"InvalidRange"}},
	{429, "documented nowhere", []string{"RequestRateLimitExceeded"}},
	{503, "documented nowhere", []string{"RequestRateLimitExceeded"}},
}
