package batchtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRequestAge is the service's rule for the date of a request.
const maxRequestAge = 15 * time.Minute

var guidForm = regexp.MustCompile(`^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$`)

// judge applies the service's rules in their order and carries out what passes.
// The account's mutex is held.
func (x *exchange) judge() response {
	for _, rule := range []func() *response{x.checkAuth, x.checkDate, x.checkQuery, x.checkHeaders} {
		if resp := rule(); resp != nil {
			return *resp
		}
	}
	switch x.call.Operation {
	case TerminateTask:
		return x.terminateTask()
	case GetTask:
		return x.getTask()
	case Unknown:
		if x.call.TaskID != "" || x.call.JobID != "" {
			return x.refusal(http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "The resource does not take this verb.")
		}
		return x.refusal(http.StatusNotFound, "ResourceNotFound", "There is no such resource.")
	default:
		return x.strayChange()
	}
}

func (x *exchange) checkAuth() *response {
	token := bearer(x.r)
	if token != "" && x.account.accept(token) {
		return nil
	}
	resp := x.unauthorized()
	return &resp
}

// unauthorized is the 401 of a missing or refused token.
func (x *exchange) unauthorized() response {
	resp := x.refusal(http.StatusUnauthorized, "AuthenticationFailed",
		"The request could not be authenticated; its Authorization header is missing, malformed or not accepted.",
		"AuthenticationErrorDetail", "The bearer token is not accepted for this account.")
	resp.header["Www-Authenticate"] = []string{`Bearer authorization_uri="https://login.microsoftonline.com/common", resource="https://batch.core.windows.net/"`}
	return resp
}

// checkDate treats a date it cannot read like one that is too old, as the
// service was seen to do.
func (x *exchange) checkDate() *response {
	value := x.r.Header.Get("ocp-date")
	if value == "" {
		return nil
	}
	date, ok := parseDate(value)
	if age := time.Since(date); ok && age <= maxRequestAge && age >= -maxRequestAge {
		return nil
	}
	resp := x.refusal(http.StatusForbidden, "AuthenticationFailed",
		"The request could not be authenticated; its date is malformed or too far from the service's.",
		"AuthenticationErrorDetail", "The ocp-date header must be within 15 minutes of the time of arrival.")
	return &resp
}

func (x *exchange) checkQuery() *response {
	bad := func(code, text, name, value, reason string) *response {
		resp := x.refusal(http.StatusBadRequest, code, text,
			"QueryParameterName", name, "QueryParameterValue", value, "Reason", reason)
		return &resp
	}
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		resp := x.refusal(http.StatusBadRequest, "RequestUrlFailedToParse", "The query could not be parsed.")
		return &resp
	}
	version := query.Get("api-version")
	switch {
	case version == "":
		resp := x.refusal(http.StatusBadRequest, "MissingRequiredQueryParameter",
			"A query parameter that is required for this request is missing.", "QueryParameterName", "api-version")
		return &resp
	case !x.account.versions[version]:
		return bad("UnsupportedRequestVersion", "The api-version is not supported.", "api-version", version, "not a version of this account")
	}
	for name := range query {
		known := name == "api-version" || name == "timeOut" || (name == "$select" && x.call.Operation == GetTask)
		if !known {
			return bad("UnsupportedQueryParameter", "A query parameter is not supported for this request.", name, query.Get(name), "not known")
		}
	}
	if !query.Has("timeOut") {
		return nil
	}
	value := query.Get("timeOut")
	switch seconds, err := strconv.ParseInt(value, 10, 32); {
	case err != nil:
		return bad("InvalidQueryParameterValue", "The value of a query parameter is not valid.", "timeOut", value, "not a 32-bit integer")
	case seconds < 1:
		return bad("OutOfRangeQueryParameterValue", "The value of a query parameter is out of range.", "timeOut", value, "below 1")
	}
	return nil
}

func (x *exchange) checkHeaders() *response {
	h := x.r.Header
	bad := func(name string) *response {
		resp := x.refusal(http.StatusBadRequest, "InvalidHeaderValue", "The value of a header is not in the right format.",
			"HeaderName", name, "HeaderValue", h.Get(name))
		return &resp
	}
	if id := h.Get("client-request-id"); id != "" && !guidForm.MatchString(id) {
		return bad("client-request-id")
	}
	if echo := h.Get("return-client-request-id"); echo != "" && echo != "true" && echo != "false" {
		return bad("return-client-request-id")
	}
	for _, name := range []string{"If-Modified-Since", "If-Unmodified-Since"} {
		if _, ok := parseDate(h.Get(name)); h.Get(name) != "" && !ok {
			return bad(name)
		}
	}
	if x.r.Method == http.MethodPost {
		switch {
		case h.Get("Content-Length") == "":
			resp := x.refusal(http.StatusLengthRequired, "MissingContentLengthHeader", "The Content-Length header is missing.")
			return &resp
		case x.r.ContentLength != 0:
			resp := x.refusal(http.StatusBadRequest, "InvalidRequestBody", "The request takes no body.")
			return &resp
		}
	}
	return x.checkConditionPairs()
}

// checkConditionPairs refuses every combination but the two the service takes.
func (x *exchange) checkConditionPairs() *response {
	var present []string
	for _, name := range []string{"If-Match", "If-Modified-Since", "If-None-Match", "If-Unmodified-Since"} {
		if x.r.Header.Get(name) != "" {
			present = append(present, name)
		}
	}
	legal := len(present) < 2 ||
		slices.Equal(present, []string{"If-Match", "If-Unmodified-Since"}) ||
		slices.Equal(present, []string{"If-Modified-Since", "If-None-Match"})
	if legal {
		return nil
	}
	resp := x.refusal(http.StatusBadRequest, "MultipleConditionHeadersNotSupported",
		"These condition headers cannot be combined.", "HeaderName", strings.Join(present, ", "))
	return &resp
}

// condition evaluates the condition headers. In either pair only the ETag
// counts. An unmet condition of the "changed since" kind is 304 on a read and
// 412 on a write.
func (x *exchange) condition(task *TaskInfo) *response {
	h := x.r.Header
	unmet, changedKind := false, false
	since := func(name string) (bool, bool) { // changed after the date?, present
		date, ok := parseDate(h.Get(name))
		return task.LastModified.Truncate(time.Second).After(date), ok
	}
	switch {
	case h.Get("If-Match") != "":
		unmet = h.Get("If-Match") != task.ETag && h.Get("If-Match") != "*"
	case h.Get("If-None-Match") != "":
		unmet, changedKind = h.Get("If-None-Match") == task.ETag || h.Get("If-None-Match") == "*", true
	case h.Get("If-Unmodified-Since") != "":
		unmet, _ = since("If-Unmodified-Since")
	case h.Get("If-Modified-Since") != "":
		changed, _ := since("If-Modified-Since")
		unmet, changedKind = !changed, true
	}
	if !unmet {
		return nil
	}
	if changedKind && x.r.Method == http.MethodGet {
		return &response{status: http.StatusNotModified, header: http.Header{"Etag": {task.ETag}}}
	}
	resp := x.refusal(http.StatusPreconditionFailed, "ConditionNotMet",
		"The condition named by the request's headers is not met.")
	return &resp
}

// parseDate takes the two forms of a date the service documents, both in GMT.
func parseDate(s string) (time.Time, bool) {
	if !strings.HasSuffix(s, " GMT") {
		return time.Time{}, false
	}
	for _, layout := range []string{http.TimeFormat, "Monday, 02-Jan-06 15:04:05 GMT"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// quote writes a JSON string.
func quote(s string) string {
	b, _ := json.Marshal(s) // a string always marshals
	return string(b)
}

// guid numbers requests in the form of a GUID.
func guid(n uint64) string {
	return fmt.Sprintf("7b0e5f3c-1d2a-4c6b-8e00-%012x", n)
}
