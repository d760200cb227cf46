package batchapi

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Reached is what an answer to a call without a token shows. The service refuses such a call, which is proof enough that it
// is there.
type Reached struct {
	StatusCode int
	// Code is that of Batch's refusal; empty if something else answered.
	Code string
	// TLS is the version, such as "TLS 1.3"; empty on a loopback http endpoint.
	TLS string
	// ServerDate is the answer's Date, in whole seconds, and zero if absent. Sent and Received are the local times around it.
	ServerDate, Sent, Received time.Time
}

// Reach asks the account for a task, once and without a token: it shows whether the address resolves, the network lets the
// call through and the certificate is the account's, even to who has no right or no identity at all. Redirects are not followed.
func (c *Client) Reach(ctx context.Context, jobID, taskID string) (Reached, error) {
	const operation = "reach"
	k := call{operation: operation, method: http.MethodGet, jobID: jobID, taskID: taskID, selects: "id", options: &TerminateTaskOptions{}}
	if err := k.validate(); err != nil {
		return Reached{}, fmt.Errorf("%s: %w", operation, err)
	}
	ctx, cancel := c.way.bound(ctx)
	defer cancel()
	target := &url.URL{Scheme: c.endpoint.scheme, Host: c.endpoint.host, Path: k.path(), RawQuery: c.query(&k)}
	req := (&http.Request{Method: k.method, URL: target, Host: c.endpoint.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header)}).WithContext(ctx)
	c.setHeaders(req.Header, k.options)
	r := Reached{Sent: time.Now()}
	resp, err := c.way.send(req)
	if err != nil {
		return Reached{}, fmt.Errorf("%s: %w", operation, err)
	}
	r.Received = time.Now()
	a := readAnswer(resp)
	r.StatusCode, r.ServerDate = a.status, httpTime(a.header.Get("Date"))
	if refusal, ok := decodeBatchError(a.body); ok {
		r.Code = refusal.Code
	}
	if resp.TLS != nil {
		r.TLS = tls.VersionName(resp.TLS.Version)
	}
	return r, nil
}
