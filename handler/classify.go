package handler

// THE table: what an answer of Batch means. To change the meaning of an answer, change its row here and nothing else.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"batchterminator/batchapi"
)

// verdict is what one answer means for the request: an outcome, whether trying again within this delivery may help, and
// whether the task has to be read before anything is decided.
type verdict struct {
	Outcome
	// retry: try again in process before the outcome stands.
	retry bool
	// check: one Get Task decides; completed or gone finish the request, anything else leaves the outcome as it is.
	check bool
}

// final verdicts stand at once, again verdicts stand when the attempts are spent.
func final(o Outcome) verdict { return verdict{Outcome: o} }
func again(o Outcome) verdict { return verdict{Outcome: o, retry: true} }
func check(o Outcome) verdict { return verdict{Outcome: o, check: true} }

// Row says what an answer means: a Batch error code, or an HTTP status where no listed code comes with it.
type Row struct {
	// Code is Batch's error code, compared without case; "" for a default by status.
	Code string
	// Status restricts the row to one HTTP status; 0 means any. Code decides before status does: 403 is both a refused token
	// and a passing I/O error.
	Status int
	// FromMessage names a request parameter: the row holds only when the error's values blame it. See blames.
	FromMessage bool
	verdict
}

// Codes of the "Batch Status and Error Codes" page that can answer Terminate Task, and those seen in live traffic. Codes
// of other operations are not listed: they take their status's default.
var codeTable = slices.Concat(
	// The wished end state is reached.
	codes(final(AlreadyCompleted), "TaskCompleted", "TaskSucceeded"),
	codes(final(AlreadyGone), "TaskNotFound", "JobNotFound"),
	codes(final(JobEnding), "JobBeingDeleted", "JobBeingTerminated", "JobCompleted"),
	// The request itself is at fault.
	codes(final(Refused), "InvalidPropertyValue", "RequestUrlFailedToParse", "InvalidUri", "OutOfRangeInput", "InvalidInput",
		"MultipleConditionHeadersNotSupported"),
	blamed(final(Refused), "InvalidHeaderValue", "InvalidQueryParameterValue", "OutOfRangeQueryParameterValue"),
	// The worker is at fault: every message would fail alike.
	codes(final(WorkerMisconfigured), "InvalidHeaderValue", "InvalidQueryParameterValue", "OutOfRangeQueryParameterValue",
		"MissingRequiredHeader", "UnsupportedHeader", "MissingRequiredQueryParameter", "UnsupportedQueryParameter",
		"InvalidHttpVerb", "UnsupportedHttpVerb", "MissingContentLengthHeader", "UnsupportedRequestVersion",
		"HostInformationNotPresent", "UnsupportedHttpVersion", "NotImplemented", "InvalidRestAPIForAccountSetting"),
	codes(final(AuthFailed), "InvalidAuthenticationInfo", "AuthenticationFailed", "InsufficientAccountPermissions", "AuthorizationFailure"),
	codes(final(AccountDisabled), "AccountIsDisabled"),
	// A condition: 412 is the request's own; 304 answers reads only, so something other than Batch spoke.
	[]Row{{Code: "ConditionNotMet", Status: http.StatusPreconditionFailed, verdict: final(ConditionNotMet)},
		{Code: "ConditionNotMet", Status: http.StatusNotModified, verdict: final(WrongEndpoint)}},
	// Passing.
	codes(again(Unavailable), "IOError", "InternalError"),
	codes(again(TimedOut), "OperationTimedOut"),
	codes(again(Throttled), "ServerBusy", "TooManyRequests", "TooManyEnableAutoScaleRequests"),
	// Neither: only reading the task tells.
	codes(final(JobDisabled), "JobDisabled"),
	codes(check(StateConflict), "TaskNotCompleted", "JobNotActive", "OperationInvalidForCurrentState",
		"JobScheduleBeingTerminated", "JobScheduleBeingDeleted", "JobScheduleExists", "JobScheduleDisabled", "JobScheduleCompleted",
		"PoolBeingDeleted", "PoolBeingResized", "PoolBeingCreated", "PoolExists",
		"NodeBeingCreated", "NodeBeingStarted", "NodeBeingReimaged", "NodeBeingRebooted", "NodeStateUnusable", "NodeUserExists",
		"NodeAlreadyInTargetSchedulingState"),
	codes(check(StateConflict), "ResourceNotFound"),
)

// statusTable is the default where no code of codeTable matches.
var statusTable = slices.Concat(
	statuses(final(Refused), 400, 413, 414, 416, 422),
	statuses(final(AuthFailed), 401, 403, 407),
	statuses(final(WorkerMisconfigured), 405, 411, 501, 505),
	statuses(check(StateConflict), 409),
	statuses(final(AlreadyGone), 410),
	statuses(final(ConditionNotMet), 412),
	statuses(again(TimedOut), 408, 504),
	statuses(again(Throttled), 429, 503),
)

// Table returns every row: the codes, then the defaults by status.
func Table() []Row { return slices.Concat(codeTable, statusTable) }

func codes(v verdict, codes ...string) []Row {
	rows := make([]Row, len(codes))
	for i, c := range codes {
		rows[i] = Row{Code: c, verdict: v}
	}
	return rows
}

func blamed(v verdict, blamedCodes ...string) []Row {
	rows := codes(v, blamedCodes...)
	for i := range rows {
		rows[i].FromMessage = true
	}
	return rows
}

func statuses(v verdict, statuses ...int) []Row {
	rows := make([]Row, len(statuses))
	for i, s := range statuses {
		rows[i] = Row{Status: s, verdict: v}
	}
	return rows
}

// classify says what a failed attempt means. An answer decides even when it arrived as the delivery ended. Without one,
// the cause of ctx, which is the delivery's, tells a lost lock or a drain from a slow server.
func classify(ctx context.Context, err error) verdict {
	if answer, ok := errors.AsType[*batchapi.Error](err); ok {
		return classifyAnswer(answer)
	}
	if cause := context.Cause(ctx); cause != nil {
		return classifyCause(cause)
	}
	return classifyTransport(err)
}

func classifyCause(cause error) verdict {
	if errors.Is(cause, ErrLockLost) {
		return final(LockLost)
	}
	return final(Draining)
}

// classifyAnswer decides on the code first and the status second.
func classifyAnswer(e *batchapi.Error) verdict {
	for _, r := range codeTable {
		if strings.EqualFold(r.Code, e.Code) && (r.Status == 0 || r.Status == e.StatusCode) && (!r.FromMessage || blames(e)) {
			return r.verdict
		}
	}
	v := classifyStatus(e)
	if e.Code == "" && !v.retry && cutOff(e.Err) {
		// The code that decides may have been in the part that did not arrive.
		return again(Network)
	}
	return v
}

// classifyStatus is the default where no code decides.
func classifyStatus(e *batchapi.Error) verdict {
	for _, r := range statusTable {
		if r.Status == e.StatusCode {
			return r.verdict
		}
	}
	switch {
	case e.StatusCode == http.StatusNotFound && e.Code != "":
		return check(StateConflict)
	case e.StatusCode >= 500:
		return again(Unavailable)
	case e.StatusCode >= 400 && e.StatusCode != http.StatusNotFound:
		return final(Refused)
	}
	// 1xx, 3xx, and 404 without a Batch error: a proxy, a gateway or another service answered.
	return final(WrongEndpoint)
}

// cutOff tells whether reading an answer's body ended in a failure of the connection.
func cutOff(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.ErrUnexpectedEOF)
}

// blames tells whether the error blames a header or query parameter whose value came from the message.
func blames(e *batchapi.Error) bool {
	fromMessage := []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "client-request-id", "timeOut"}
	for _, v := range e.Values {
		if strings.EqualFold(v.Key, "HeaderName") || strings.EqualFold(v.Key, "QueryParameterName") {
			return slices.ContainsFunc(fromMessage, func(name string) bool { return strings.EqualFold(name, v.Value) })
		}
	}
	return false
}

// classifyTransport decides where no answer came.
func classifyTransport(err error) verdict {
	if credential, ok := errors.AsType[*batchapi.CredentialError](err); ok {
		if credential.Temporary() {
			return again(Unavailable)
		}
		return final(AuthFailed)
	}
	if _, ok := errors.AsType[*batchapi.ArgumentError](err); ok {
		return final(InvalidMessage)
	}
	if untrusted(err) {
		return final(WrongEndpoint)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		// A misspelt account looks like a resolver's hiccup, so it is tried again before everything pauses.
		return again(WrongEndpoint)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return again(TimedOut)
	}
	return again(Network)
}

// untrusted tells whether the peer could not prove that it is the account.
func untrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	return verification || host || authority || record
}

// describe renders the cause of an outcome as one line without secrets.
func describe(err error) string {
	text := err.Error()
	if answer, ok := errors.AsType[*batchapi.Error](err); ok {
		text = fmt.Sprintf("Batch answered %d %s", answer.StatusCode, answer.Code)
		if line := answer.Message.FirstLine(); line != "" {
			text += ": " + line
		}
		if answer.Err != nil {
			text += ": " + answer.Err.Error()
		}
	}
	return clip(printable(text), maxDetail)
}
