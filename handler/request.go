package handler

import (
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"batchterminator/batchapi"
)

// MaxBody bounds a message body, in bytes. A request needs a few hundred.
const MaxBody = 64 << 10

const (
	maxETag  = 256 // bytes of ifMatch and ifNoneMatch
	maxAudit = 256 // characters of reason and requestedBy
	// maxTimeOut is the service's own limit: "If the value is larger than 30, the default will be used instead".
	maxTimeOut = 30
)

// Request is a decoded and valid terminate request. README's message table describes the fields, schema.json the contract.
type Request struct {
	JobID, TaskID string
	// Endpoint is the canonical endpoint of the account to call, from the allow-list.
	Endpoint string
	// TimeOut limits the server's processing, in whole seconds; 0 when absent.
	TimeOut time.Duration
	// At most one of these, or one of the two pairs that Batch allows.
	IfMatch, IfNoneMatch               string
	IfModifiedSince, IfUnmodifiedSince time.Time
	// CreatedBefore guards against a newer task of the same id; zero when absent.
	CreatedBefore time.Time
	// ClientRequestID is the sender's own id, "" when it is to be derived.
	ClientRequestID string
	// Reason and RequestedBy are for the audit line only.
	Reason, RequestedBy string
}

// field is one member of the request object: its JSON kind and what its value must be.
type field struct {
	name string
	kind jsontext.Kind
	set  func(*Request, jsontext.Value) error
}

// fields is the message contract. A member that is not here refuses the message: a misspelt condition must never turn
// into an unconditional terminate.
var fields = [...]field{
	{"jobId", '"', text(func(r *Request) *string { return &r.JobID }, CheckJobID)},
	{"taskId", '"', text(func(r *Request) *string { return &r.TaskID }, CheckTaskID)},
	{"endpoint", '"', text(func(r *Request) *string { return &r.Endpoint }, notEmpty)},
	{"timeOut", '0', timeOut},
	{"ifMatch", '"', text(func(r *Request) *string { return &r.IfMatch }, etag)},
	{"ifNoneMatch", '"', text(func(r *Request) *string { return &r.IfNoneMatch }, etag)},
	{"ifModifiedSince", '"', date(func(r *Request) *time.Time { return &r.IfModifiedSince }, anyDate)},
	{"ifUnmodifiedSince", '"', date(func(r *Request) *time.Time { return &r.IfUnmodifiedSince }, anyDate)},
	{"createdBefore", '"', date(func(r *Request) *time.Time { return &r.CreatedBefore }, rfc3339)},
	{"clientRequestId", '"', text(func(r *Request) *string { return &r.ClientRequestID }, plainGUID)},
	{"reason", '"', text(func(r *Request) *string { return &r.Reason }, atMost(maxAudit))},
	{"requestedBy", '"', text(func(r *Request) *string { return &r.RequestedBy }, atMost(maxAudit))},
}

var (
	// time.Parse would also take a comma, an hour of one digit, names in any case and zones of a day and more. Year 0001 is
	// what an unset date becomes in many a language; GMT, in which dates are sent on, must neither go back to it nor leave the
	// four digits of RFC 7231.
	rfc3339Grammar = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)
	rfc7231Grammar = regexp.MustCompile(`^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$`)
	noSuchYear     = regexp.MustCompile(`^000[01]-|^0002-.*\+|^9999-.*-[\d:]+$| 000[01] `)
)

// DecodeRequest reads one request object. It refuses unknown and repeated members, wrong types, null, wrong-case names,
// trailing data and invalid UTF-8; the error is one line that names the member and what it must be.
// The endpoint is not checked against the allow-list here: that is the handler's.
func DecodeRequest(body []byte) (Request, error) {
	var r Request
	if len(body) == 0 {
		return r, fmt.Errorf("body: empty; want one JSON object with jobId and taskId")
	}
	if len(body) > MaxBody {
		return r, fmt.Errorf("body: %d bytes; at most %d are read", len(body), MaxBody)
	}
	if k := jsontext.Value(body).Kind(); k != '{' {
		return r, fmt.Errorf("body: want one JSON object, got %s", kindName(k))
	}
	m := members{body: body}
	if err := json.Unmarshal(body, &m); err != nil {
		return r, fmt.Errorf("body: %s", printable(err.Error()))
	}
	for i, f := range fields {
		v := m.values[i]
		if v == nil {
			continue
		}
		if v.Kind() != f.kind {
			return r, fmt.Errorf("%s: want %s, got %s", f.name, kindName(f.kind), kindName(v.Kind()))
		}
		if err := f.set(&r, v); err != nil {
			return r, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if len(m.unknown) > 0 {
		return r, unknownMember(slices.Min(m.unknown))
	}
	return r, r.check()
}

// members is a request object whose values have not been looked at: a syntax error anywhere comes before all else.
type members struct {
	body    []byte
	values  [len(fields)]jsontext.Value // parts of body, by their place in fields
	unknown []string
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom. The decoder refuses repeated names by itself.
func (m *members) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); err != nil { // the brace
		return err
	}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(fields[:], func(f field) bool { return f.name == name }); i >= 0 {
			end := int(d.InputOffset()) // the decoder's own copy does not outlive the next read
			m.values[i] = m.body[end-len(v) : end]
		} else {
			m.unknown = append(m.unknown, name)
		}
	}
	_, err := d.ReadToken() // the other brace, or what stands in its place
	return err
}

// check holds the rules that join several members.
func (r Request) check() error {
	switch {
	case r.JobID == "":
		return fmt.Errorf("jobId: required")
	case r.TaskID == "":
		return fmt.Errorf("taskId: required")
	}
	var set []string
	for _, condition := range [...]struct { // by name
		name    string
		present bool
	}{
		{"ifMatch", r.IfMatch != ""}, {"ifModifiedSince", !r.IfModifiedSince.IsZero()},
		{"ifNoneMatch", r.IfNoneMatch != ""}, {"ifUnmodifiedSince", !r.IfUnmodifiedSince.IsZero()},
	} {
		if condition.present {
			set = append(set, condition.name)
		}
	}
	both := strings.Join(set, "+")
	switch {
	case len(set) > 0 && !r.CreatedBefore.IsZero():
		return fmt.Errorf("createdBefore: cannot be combined with %s: it sets its own condition", both)
	case len(set) < 2, both == "ifModifiedSince+ifNoneMatch", both == "ifMatch+ifUnmodifiedSince":
		return nil
	}
	return fmt.Errorf("%s: Batch allows one condition, or ifNoneMatch+ifModifiedSince, or ifMatch+ifUnmodifiedSince", both)
}

func unknownMember(name string) error {
	for _, f := range fields {
		if strings.EqualFold(f.name, name) {
			return fmt.Errorf("%s: unknown member; did you mean %s?", quoted(name), f.name)
		}
	}
	return fmt.Errorf("%s: unknown member", quoted(name))
}

func text(at func(*Request) *string, valid func(string) error) func(*Request, jsontext.Value) error {
	return func(r *Request, v jsontext.Value) error {
		s, err := unquoted(v)
		if err != nil {
			return err
		}
		*at(r) = s
		return valid(s)
	}
}

func unquoted(v jsontext.Value) (string, error) {
	var short [128]byte // on the stack, as most values are
	s, err := jsontext.AppendUnquote(short[:0], v)
	return string(s), err
}

func date(at func(*Request) *time.Time, parse func(string) (time.Time, error)) func(*Request, jsontext.Value) error {
	return func(r *Request, v jsontext.Value) error {
		s, err := unquoted(v)
		if err != nil {
			return err
		}
		t, err := parse(s)
		*at(r) = t
		return err
	}
}

// timeOut takes every spelling of a whole number: 5.0 and 5e0 are what some languages write for 5, and to JSON Schema they
// are integers.
func timeOut(r *Request, v jsontext.Value) error {
	text := v.String()
	// The float decides on the size first, so that 1e999999999 is never computed, and the ratio on being whole to the last digit.
	f, err := strconv.ParseFloat(text, 64)
	var n *big.Rat
	if err == nil && f >= 1 && f <= maxTimeOut {
		n, _ = new(big.Rat).SetString(text)
	}
	if n == nil || !n.IsInt() {
		return fmt.Errorf("want a whole number from 1 to %d (seconds), got %s", maxTimeOut, clip(text, 20))
	}
	r.TimeOut = time.Duration(n.Num().Int64()) * time.Second
	return nil
}

func plainGUID(s string) error {
	if !batchapi.IsGUID(s) {
		return fmt.Errorf("want a GUID without braces, got %s", quoted(s))
	}
	return nil
}

func notEmpty(s string) error {
	if s == "" {
		return fmt.Errorf("empty; leave the member out to use the configured one")
	}
	return nil
}

func etag(s string) error {
	if s == "" || len(s) > maxETag || strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("want 1 to %d visible ASCII characters, got %s", maxETag, quoted(s))
	}
	return nil
}

func atMost(n int) func(string) error {
	return func(s string) error {
		if c := utf8.RuneCountInString(s); c > n {
			return fmt.Errorf("%d characters; at most %d", c, n)
		}
		return nil
	}
}

func rfc3339(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !rfc3339Grammar.MatchString(s) || noSuchYear.MatchString(s) {
		return t, fmt.Errorf("want an RFC 3339 date such as 2026-01-31T17:00:00Z, got %s", quoted(s))
	}
	return t.UTC(), nil
}

func anyDate(s string) (time.Time, error) {
	if t, err := rfc3339(s); err == nil {
		return t, nil
	}
	// Only the preferred form of RFC 7231 §7.1.1.1; http.ParseTime would also take the two obsolete ones.
	t, err := time.Parse(http.TimeFormat, s)
	if err != nil || !rfc7231Grammar.MatchString(s) || noSuchYear.MatchString(s) {
		return t, fmt.Errorf("want an RFC 3339 or RFC 7231 date, got %s", quoted(s))
	}
	return t.UTC(), nil
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "no JSON"
}
