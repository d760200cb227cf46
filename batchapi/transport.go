package batchapi

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"time"
)

// defaultMaxConnsPerHost leaves room above the worker's default concurrency.
const defaultMaxConnsPerHost = 128

// The limits of a call's steps. The service works on a request for at most 30 s;
// beyond that and a margin there is nobody left to answer. A caller's deadline is
// usually shorter than their sum.
const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	headerTimeout    = maxServiceTime + 10*time.Second
	totalTimeout     = dialTimeout + handshakeTimeout + headerTimeout
)

// newTransport returns the pool used when the caller brings none.
//
// HTTP/1.1 only: HTTP/2 would put every call in flight on one connection, so
// that one reset, one lost packet or one GOAWAY fails or delays all of them, and
// the peer's stream limit would bound concurrency instead of ours. Calls are
// tiny and bodiless; what matters is that they fail independently.
func newTransport(maxConns int) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            newDialer().DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxConnsPerHost:        maxConns,
		MaxIdleConnsPerHost:    maxConns,
		// Azure's load balancers drop idle flows after four minutes, silently by
		// default. A POST on such a connection is not replayed by net/http.
		IdleConnTimeout: 90 * time.Second,
		// No compressed answers: bodies are small, and a bounded read should
		// bound what it reads.
		DisableCompression: true,
		Protocols:          protocols,
	}
}

func newDialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
}

// bounded sends through transport within totalTimeout, the body included.
func bounded(transport *http.Transport) func(*http.Request) (*http.Response, error) {
	return withTimeout(transport.RoundTrip, totalTimeout)
}

// withTimeout keeps the meaning of http.Client.Timeout. The guard reads the
// answer before it returns, so the limit is released with the body.
func withTimeout(send func(*http.Request) (*http.Response, error), limit time.Duration) func(*http.Request) (*http.Response, error) {
	if limit <= 0 {
		return send
	}
	return func(req *http.Request) (*http.Response, error) {
		ctx, cancel := context.WithTimeout(req.Context(), limit)
		resp, err := send(req.WithContext(ctx))
		if err != nil {
			cancel()
			return nil, err
		}
		resp.Body = &cancelingBody{ReadCloser: resp.Body, cancel: cancel}
		return resp, nil
	}
}

// cancelingBody releases a call's time limit when its body is closed.
type cancelingBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelingBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}
