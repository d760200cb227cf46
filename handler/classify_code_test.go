package handler

import (
	"net/http"
	"strings"
	"testing"

	"batchterminator/batchapi"
)

// The classes of "Batch Status and Error Codes" for a terminate call, written down apart from the code's own table.
type class string

const (
	completed class = "already completed: complete"
	noTask    class = "already gone: complete, or dead-letter in strict mode"
	ending    class = "job ending: complete"
	permanent class = "dead-letter with Batch's code"
	condition class = "condition not met: dead-letter, or complete by setting"
	retried   class = "passing: retry, then redeliver"
	slowed    class = "retry, unknown whether applied"
	throttled class = "throttled: retry, then redeliver"
	refusedUs class = "token or rights refused: pause"
	disabled  class = "account disabled: pause"
	ourFault  class = "the worker's request is wrong: pause"
	stranger  class = "not this Batch account: pause"
	jobOff    class = "job disabled: redeliver"
	readTask  class = "read the task, else redeliver"
)

var verdicts = map[class]verdict{
	completed: {Outcome: AlreadyCompleted},
	noTask:    {Outcome: AlreadyGone},
	ending:    {Outcome: JobEnding},
	permanent: {Outcome: Refused},
	condition: {Outcome: ConditionNotMet, check: true},
	retried:   {Outcome: Unavailable, retry: true},
	slowed:    {Outcome: TimedOut, retry: true},
	throttled: {Outcome: Throttled, retry: true},
	refusedUs: {Outcome: AuthFailed},
	disabled:  {Outcome: AccountDisabled},
	ourFault:  {Outcome: WorkerMisconfigured},
	stranger:  {Outcome: WrongEndpoint},
	jobOff:    {Outcome: JobDisabled},
	readTask:  {Outcome: StateConflict, check: true},
}

// documented lists every code that Batch documents or was seen to send: the HTTP status it comes with, the class, the
// codes. A class of codes that belong to other operations is what their status alone would give.
var documented = []struct {
	status int
	class  class
	codes  string
}{
	// Common REST codes.
	{304, stranger, "ConditionNotMet"},
	{400, ourFault, "MissingRequiredHeader UnsupportedHeader InvalidHeaderValue MissingRequiredQueryParameter " +
		"UnsupportedQueryParameter InvalidQueryParameterValue OutOfRangeQueryParameterValue InvalidHttpVerb"},
	{400, permanent, "MissingRequiredProperty UnsupportedProperty InvalidPropertyValue RequestUrlFailedToParse InvalidUri " +
		"EmptyMetadataKey InvalidRequestBody OutOfRangeInput InvalidInput InvalidMetadata MetadataTooLarge " +
		"MultipleConditionHeadersNotSupported"},
	{400, refusedUs, "InvalidAuthenticationInfo"},
	{401, refusedUs, "InvalidAuthenticationInfo AuthenticationFailed"},
	{403, refusedUs, "AuthenticationFailed InsufficientAccountPermissions"},
	{403, disabled, "AccountIsDisabled"},
	{404, readTask, "ResourceNotFound"},
	{405, ourFault, "UnsupportedHttpVerb"},
	{411, ourFault, "MissingContentLengthHeader"},
	{412, condition, "ConditionNotMet"},
	{413, permanent, "RequestBodyTooLarge"},
	{416, permanent, "InvalidRange"},
	{500, retried, "InternalError"},
	{500, slowed, "OperationTimedOut"},
	{503, throttled, "ServerBusy"},
	// Batch service codes.
	{400, ourFault, "UnsupportedRequestVersion"},
	{400, permanent, "InvalidAutoScalingSettings AutoScalingFormulaSyntaxError AutoScalingFormulaTooLong AutoScaleFormulaTooLong " +
		"OSVersionNotFound OSVersionDisabled OSVersionExpired PoolVersionEqualsUpgradeVersion PoolNotEligibleForOSVersionUpgrade " +
		"TaskDependenciesNotSpecifiedOnJob TaskDependencyListTooLong TaskDependencyRangesTooLong"},
	{403, retried, "IOError"},
	{404, noTask, "TaskNotFound JobNotFound"},
	{404, readTask, "JobScheduleNotFound PoolNotFound NodeNotFound NodeUserNotFound NodeAgentSKUNotFound FileNotFound " +
		"CertificateNotFound ApplicationNotFound JobPreparationTaskNotRunOnNode JobReleaseTaskNotRunOnNode"},
	{409, completed, "TaskCompleted TaskSucceeded"},
	{409, ending, "JobBeingDeleted JobBeingTerminated JobCompleted"},
	{409, jobOff, "JobDisabled"},
	{409, readTask, "TaskNotCompleted JobNotActive OperationInvalidForCurrentState " +
		"TaskExists TaskFilesUnavailable TaskFilesCleanedup TaskIdSameAsJobPreparationTask TaskIdSameAsJobReleaseTask " +
		"JobExists JobWithSameIdExists JobScheduleWithSameIdExists JobPreparationTaskNotSpecified JobReleaseTaskNotSpecified " +
		"JobScheduleBeingTerminated JobScheduleBeingDeleted JobScheduleExists JobScheduleDisabled JobScheduleCompleted " +
		"PoolBeingDeleted PoolBeingResized PoolBeingCreated PoolExists " +
		"NodeBeingCreated NodeBeingStarted NodeBeingReimaged NodeBeingRebooted NodeStateUnusable NodeUserExists " +
		"NodeAlreadyInTargetSchedulingState CertificateBeingDeleted CertificateExists ActiveJobAndScheduleQuotaReached " +
		"PoolQuotaReached UpgradePoolVersionConflict OperationNotValidOnNode OperationNotValidOnPool InvalidApplicationPackageReferences"},
	{503, throttled, "TooManyEnableAutoScaleRequests"},
	// Codes of newer clients and of live traffic.
	{429, throttled, "TooManyRequests RequestRateLimitExceeded"},
	{503, throttled, "RequestRateLimitExceeded"},
	{403, refusedUs, "AuthorizationFailure"},
	{400, ourFault, "HostInformationNotPresent UnsupportedHttpVersion NotImplemented InvalidRestAPIForAccountSetting"},
	{403, ourFault, "InvalidRestAPIForAccountSetting"},
	{501, ourFault, "NotImplemented"},
	{505, ourFault, "UnsupportedHttpVersion"},
	{409, readTask, "ResourceAlreadyExists ResourceTypeMismatch NodeCountsMismatch CertificateStateActive CertificateDeleteFailed CertificateStateDeleteFailed"},
	{404, readTask, "PathNotFound StorageAccountNotFound"},
	{400, permanent, "OutOfRangePriority InvalidConstraintValue UnsupportedConstraint InvalidCertificateReferences"},
}

func TestEveryDocumentedCodeHasItsVerdictInAnyCase(t *testing.T) {
	t.Parallel()
	for _, row := range documented {
		for code := range strings.FieldsSeq(row.codes) {
			for _, spelling := range []string{code, strings.ToUpper(code), strings.ToLower(code)} {
				if got := classify(t.Context(), batchError(row.status, spelling)); got != verdicts[row.class] {
					t.Errorf("%d %s: %+v, want %+v (%s)", row.status, spelling, got, verdicts[row.class], row.class)
				}
			}
		}
	}
}

// The code's table is held to the documented one from the other side: a row that nobody documented is a mistake.
func TestEveryRowOfTheTableIsDocumented(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, row := range documented {
		for code := range strings.FieldsSeq(row.codes) {
			known[code] = true
		}
	}
	seen := map[Row]bool{}
	for _, row := range Table() {
		if row.Code != "" && !known[row.Code] {
			t.Errorf("%s is in the table and not documented", row.Code)
		}
		key := Row{Code: row.Code, Status: row.Status, Cause: row.Cause}
		if seen[key] {
			t.Errorf("%+v is in the table twice", key)
		}
		seen[key] = true
	}
}

// A code decides over the status, so a code that the table lists without a status means the same under any.
func TestListedCodesDecideOverTheStatus(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]class{"TaskCompleted": completed, "IOError": retried, "AuthenticationFailed": refusedUs,
		"TaskNotFound": noTask, "TooManyRequests": throttled, "ServerBusy": throttled, "JobDisabled": jobOff, "JobNotActive": readTask} {
		for status := 300; status < 600; status++ {
			if got := classify(t.Context(), batchError(status, code)); got != verdicts[want] {
				t.Errorf("%d %s: %+v, want %s", status, code, got, want)
			}
		}
	}
}

// A refused parameter is the request's fault only when the answer names one that came from the message.
func TestABlamedParameterIsTheRequestsFaultOnlyIfItCameFromTheMessage(t *testing.T) {
	t.Parallel()
	const header, query = "HeaderName", "QueryParameterName"
	tests := []struct {
		code, key, value string
		want             class
	}{
		{"InvalidHeaderValue", header, "If-Match", permanent},
		{"InvalidHeaderValue", header, "If-None-Match", permanent},
		{"InvalidHeaderValue", header, "If-Modified-Since", permanent},
		{"InvalidHeaderValue", header, "If-Unmodified-Since", permanent},
		{"InvalidHeaderValue", header, "client-request-id", permanent},
		{"InvalidHeaderValue", "headername", "IF-MATCH", permanent},
		{"InvalidHeaderValue", header, "ocp-date", ourFault},
		{"InvalidHeaderValue", header, "", ourFault},
		{"InvalidHeaderValue", "Reason", "If-Match", ourFault},
		{"InvalidQueryParameterValue", query, "timeOut", permanent},
		{"InvalidQueryParameterValue", query, "timeout", permanent},
		{"InvalidQueryParameterValue", query, "api-version", ourFault},
		{"OutOfRangeQueryParameterValue", query, "timeOut", permanent},
		{"OutOfRangeQueryParameterValue", query, "api-version", ourFault},
		{"InvalidUri", query, "api-version", permanent}, // a code that blames nobody by this rule
	}
	for _, tt := range tests {
		e := batchError(http.StatusBadRequest, tt.code)
		e.Values = []batchapi.ErrorDetail{{Key: "Reason", Value: "odd"}, {Key: tt.key, Value: tt.value}}
		if got := classify(t.Context(), e); got != verdicts[tt.want] {
			t.Errorf("%s %s=%s: %+v, want %s", tt.code, tt.key, tt.value, got, tt.want)
		}
	}
}
