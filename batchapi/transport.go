package batchapi

import (
	"cmp"
	"context"
	"crypto/tls"
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

// HTTP/2 puts the calls in flight on one connection, so a peer that falls silent
// there stalls all of them at once. A ping after silence tells such a connection
// from calls that merely take long, well before the calls' own limits.
const (
	pingAfter   = 5 * time.Second // without a frame from the peer
	pingTimeout = 5 * time.Second
)

// newTransport returns the pool used when the caller brings none.
//
// HTTP/2 is spoken where the peer offers it (ALPN, RFC 9113 §3.2). The peer's
// limit of streams does not bound the calls under way: beyond it a further
// connection is opened, up to maxConns. A GOAWAY costs nothing: net/http repeats
// what the peer has not begun, and these requests have no body to lose.
func newTransport(maxConns int) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
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
		// default: a call on such a connection would wait in vain.
		IdleConnTimeout: 90 * time.Second,
		// No compressed answers: bodies are small, and a bounded read should
		// bound what it reads.
		DisableCompression: true,
		Protocols:          protocols,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}

func newDialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
}

// sender is the last step before the network.
type sender struct {
	send      func(*http.Request) (*http.Response, error)
	limit     time.Duration // of a call, the reading of its body included; 0: none
	closeIdle func()
}

// newSender returns the way that options name. An *http.Client is unwrapped to
// its RoundTripper, which can neither follow a redirect nor keep a cookie; its
// Timeout keeps its meaning.
func newSender(options *ClientOptions) sender {
	switch t := options.Transport.(type) {
	case nil:
		return pooled(newTransport(cmp.Or(options.MaxConnsPerHost, defaultMaxConnsPerHost)))
	case *http.Client:
		var transport = http.DefaultTransport
		if t.Transport != nil {
			transport = t.Transport
		}
		return sender{send: transport.RoundTrip, limit: t.Timeout, closeIdle: t.CloseIdleConnections}
	default:
		return sender{send: t.Do, closeIdle: func() {}}
	}
}

func pooled(transport *http.Transport) sender {
	return sender{send: transport.RoundTrip, limit: totalTimeout, closeIdle: transport.CloseIdleConnections}
}

// bound limits a call that begins now, unless its caller does.
func (s *sender) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if until, ok := ctx.Deadline(); s.limit <= 0 || ok && time.Until(until) <= s.limit {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.limit)
}
