package batchapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
)

// maxBodyBytes bounds what is read of any answer. Batch's error bodies are a few
// hundred bytes.
const maxBodyBytes = 64 << 10

// loopbackToken stands in for a token on plain http, where a real one must not
// be seen.
const loopbackToken = "loopback-placeholder"

// attempt travels in the request's context from do to the guard and brings the
// result back, past policies that may replace it. It belongs to the one
// goroutine that runs the call.
type attempt struct {
	path  string // in: the only path this call may leave with
	query string // in: what the guard puts behind it

	// in: the caller's context, for the credential. The pipeline's carries
	// settings, retries off among them, that azcore would apply to the
	// credential's own requests too.
	caller context.Context

	answer *answer
	err    error
}

type attemptKey struct{}

// guard is the transport of the pipeline: the last step before the network, and
// the only code that ever holds a token and a request together.
type guard struct {
	endpoint endpoint
	tokens   *tokenSource
	sender   sender
}

// Do sends req if, and only if, it is still the request that was built.
func (g *guard) Do(req *http.Request) (*http.Response, error) {
	a, _ := req.Context().Value(attemptKey{}).(*attempt)
	if a == nil {
		return nil, errors.New("guard: request does not belong to a call of this client")
	}
	a.answer = nil // of an earlier pass, where a caller's policy repeats calls
	resp, err := g.do(req, a)
	a.err = err
	return resp, err
}

func (g *guard) do(req *http.Request, a *attempt) (*http.Response, error) {
	if err := g.check(req, a.path); err != nil {
		return nil, err
	}
	token, generation := loopbackToken, uint64(0)
	if g.tokens != nil {
		var err error
		if token, generation, err = g.tokens.get(a.caller); err != nil {
			return nil, err
		}
	}
	ctx, cancel := g.sender.bound(req.Context())
	defer cancel()
	// A private copy: the pipeline's policies, logs and traces keep req.
	out := req.WithContext(ctx)
	// The query comes last because azcore would parse it and write it anew for
	// a log line, for each call and whether anyone listens or not.
	out.URL = &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: a.path, RawQuery: a.query}
	out.Header = maps.Clone(req.Header)
	values := [...]string{"Bearer " + token, ""}
	out.Header[headerAuthorization] = values[0:1:1]
	// After the token, which may have taken a while: the service refuses
	// requests older than 15 minutes.
	values[1] = formatNow()
	out.Header[headerOCPDate] = values[1:2:2]
	// Never sent, being empty: it tells net/http that the call may be repeated
	// where a connection that had served before turns out to be closed. Only a
	// new connection's failure is the caller's to see.
	out.Header["Idempotency-Key"] = nil
	resp, err := g.sender.send(out)
	if err != nil {
		return nil, err
	}
	if moved := resp.Request; moved != nil && moved.URL != out.URL && moved.URL.String() != out.URL.String() {
		_ = resp.Body.Close()
		return nil, errors.New("guard: transport followed a redirect")
	}
	resp.Request = req
	a.answer = readAnswer(resp)
	if a.answer.status == http.StatusUnauthorized || a.answer.status == http.StatusForbidden {
		if g.tokens != nil {
			g.tokens.refused(generation, claimsChallenge(resp.Header))
		}
	}
	return resp, nil
}

// check compares the request with what it must be. Without an opaque part, the
// escaped path is what net/http writes on the wire.
func (g *guard) check(req *http.Request, path string) error {
	u := req.URL
	switch {
	case u.Scheme != g.endpoint.scheme || u.Host != g.endpoint.host || u.User != nil ||
		(req.Host != "" && req.Host != g.endpoint.host):
		return &ArgumentError{Field: "url", Reason: "request was moved to another host"}
	case u.Opaque != "" || u.EscapedPath() != path:
		return &ArgumentError{Field: "url", Reason: "request was moved to another path"}
	case u.RawQuery != "" || u.ForceQuery:
		return &ArgumentError{Field: "url", Reason: "request was given a query"}
	case req.Method == http.MethodPost && req.ContentLength != 0:
		return &ArgumentError{Field: "body", Reason: "request was given a body"}
	}
	return nil
}

// readAnswer takes the answer off the connection, as far as the bound, and
// leaves resp with the bytes that were read. Batch's answers are small enough to
// hold; whatever is longer did not come from it.
func readAnswer(resp *http.Response) *answer {
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if resp.StatusCode == http.StatusSwitchingProtocols { // what follows is no body, and may never end
		_ = resp.Body.Close()
		resp.Body = nil
	}
	if resp.Body == nil || resp.Body == http.NoBody {
		resp.Body = http.NoBody
		return a
	}
	var err error
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxBodyBytes+1))
	_ = resp.Body.Close() // unread rest: closes the connection instead of draining it
	switch {
	case err != nil:
		a.bodyErr = fmt.Errorf("%w: %w", ErrBodyBroken, err)
	case len(a.body) > maxBodyBytes:
		a.body, a.bodyErr = a.body[:maxBodyBytes], errBodyTooLong
	}
	resp.Body = io.NopCloser(bytes.NewReader(a.body))
	return a
}

var errBodyTooLong = errors.New("body exceeds 64 KiB")
