package batchapi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxRetryAfter is as long as any wait is believed.
	maxRetryAfter = 24 * time.Hour

	maxCodeBytes = 128
	maxValues    = 64
)

// answer is what came back, read and bounded.
type answer struct {
	status          int
	header          http.Header
	body            []byte
	bodyErr         error // why body is not all of it
	clientRequestID string
}

var (
	errAnotherRequest = errors.New("the answer is to another request")
	errNotBatch       = errors.New("not an answer of Batch")
)

// settleRequestID fills in the id that was sent where the service echoed none.
// It reports false for the echo of another request: neither a success nor a
// refusal is to be believed then.
func (a *answer) settleRequestID(sent string) bool {
	a.clientRequestID = cmp.Or(a.header.Get(headerClientRequestID), sent)
	return strings.EqualFold(a.clientRequestID, sent)
}

// requestID is what Microsoft's support asks for; what a stranger puts in its
// place reaches logs and the dead-letter queue no longer than an id.
func (a *answer) requestID() string {
	id := a.header.Get(headerRequestID)
	return id[:min(len(id), maxCodeBytes)]
}

// doubt says why a success of Terminate Task is none. 204 is the documented one;
// any other has to look like Batch's, for portals and gateways say 200 too.
func (a *answer) doubt() error {
	if a.status == http.StatusNoContent || a.bodyErr != nil {
		return a.bodyErr
	}
	if body := trimBOM(a.body); a.header.Get(headerRequestID) == "" || len(body) > 0 && !json.Valid(body) {
		return errNotBatch
	}
	return nil
}

// asError reports the answer as a failure of operation.
func (a *answer) asError(operation string, cause error) *Error {
	e := &Error{
		Operation:       operation,
		StatusCode:      a.status,
		RequestID:       a.requestID(),
		ClientRequestID: a.clientRequestID,
		ServerDate:      httpTime(a.header.Get("Date")),
		Err:             cause,
	}
	for _, value := range a.header.Values("Retry-After") { // of a service and of a gateway before it: both are to be heeded
		if wait, ok := retryAfter(value, e.ServerDate, time.Now()); ok {
			e.RetryAfter, e.HasRetryAfter = max(e.RetryAfter, wait), true
		}
	}
	if body, ok := decodeBatchError(a.body); ok {
		e.Code = body.Code
		e.Message = ErrorMessage{Lang: body.Message.Lang, Value: redact(body.Message.Value)}
		for _, v := range body.details() {
			e.Values = append(e.Values, ErrorDetail{Key: v.Key, Value: redact(v.Value)})
		}
	}
	return e
}

// batchError is the BatchError of the API: every member is optional, and members
// that are not named here are ignored.
type batchError struct {
	Code    string `json:"code"`
	Message struct {
		Lang  string `json:"lang"`
		Value string `json:"value"`
	} `json:"message"`
	Values json.RawMessage `json:"values"`
}

// decodeBatchError reports whether body is a BatchError. The media type is not
// consulted: what a proxy labels JSON is still not Batch's, and Batch's answer
// is the same behind a wrong label.
func decodeBatchError(body []byte) (batchError, bool) {
	var e batchError
	if err := json.Unmarshal(trimBOM(body), &e); err != nil || !isCode(e.Code) {
		return batchError{}, false
	}
	return e, true
}

// details are decoded on their own: Batch's verdict must not hang on them.
func (e *batchError) details() []ErrorDetail {
	var values []ErrorDetail
	if json.Unmarshal(e.Values, &values) != nil {
		return nil
	}
	return values[:min(len(values), maxValues)]
}

// isCode tells an identifier from whatever else a stranger may put there; codes
// become metric reasons and dead-letter reasons.
func isCode(s string) bool {
	if s == "" || len(s) > maxCodeBytes {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

// retryAfter reads delay-seconds or a date (RFC 9110 §10.2.3), the latter
// against the server's own clock where the answer has one.
func retryAfter(value string, serverDate, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if digits := strings.TrimPrefix(value, "-"); digits != "" && strings.Trim(digits, "0123456789") == "" {
		if digits != value {
			return 0, true
		}
		seconds, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || seconds > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	date := httpTime(value)
	if date.IsZero() {
		return 0, false
	}
	if serverDate.IsZero() {
		serverDate = now
	}
	return min(max(date.Sub(serverDate), 0), maxRetryAfter), true
}

// httpTime returns the zero time for what is not an HTTP date.
func httpTime(s string) time.Time {
	t, err := http.ParseTime(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

func trimBOM(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }
