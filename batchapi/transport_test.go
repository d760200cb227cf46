package batchapi

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheLimitsOfTheStepsLeaveTheServiceItsTime(t *testing.T) {
	t.Parallel()
	transport := newTransport(7)
	for name, limit := range map[string]time.Duration{
		"dial": newDialer().Timeout, "handshake": transport.TLSHandshakeTimeout, "idle": transport.IdleConnTimeout,
	} {
		if limit <= 0 || limit >= 4*time.Minute {
			t.Errorf("%s: %v", name, limit)
		}
	}
	if transport.ResponseHeaderTimeout <= maxServiceTime || totalTimeout <= transport.ResponseHeaderTimeout {
		t.Errorf("gives up after %v and %v; the service works for %v", transport.ResponseHeaderTimeout, totalTimeout, maxServiceTime)
	}
}

// callOver sends one call through the default transport over a pipe whose far
// end belongs to serve, and returns how long it took.
func callOver(t *testing.T, url string, serve func(net.Conn), roots ...*x509.Certificate) (time.Duration, error) {
	t.Helper()
	transport := newTransport(1)
	transport.Proxy = nil
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	for _, root := range roots {
		transport.TLSClientConfig.RootCAs.AddCert(root)
	}
	var owner sync.WaitGroup
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		owner.Go(func() {
			defer func() { _ = far.Close() }()
			serve(far)
		})
		return near, nil
	}
	defer owner.Wait()
	defer transport.CloseIdleConnections()
	target, err := parseEndpoint(url, "scope", true)
	if err != nil {
		t.Fatal(err)
	}
	a := &attempt{path: "/", caller: t.Context()}
	req, err := http.NewRequestWithContext(context.WithValue(t.Context(), attemptKey{}, a), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{endpoint: target, tokens: newTokenSource(fixedToken("token"), "scope"), sender: pooled(transport)}
	start := time.Now()
	resp, err := g.Do(req)
	if err == nil {
		_ = resp.Body.Close()
		err = a.answer.bodyErr
	}
	return time.Since(start), err
}

func takeRequest(c net.Conn) { _, _ = http.ReadRequest(bufio.NewReader(c)) }

// Scorecard: H2, H8.
func TestEveryStepOfACallIsBounded(t *testing.T) {
	t.Parallel()
	swallow := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	drip := func(c net.Conn) {
		takeRequest(c)
		_, err := io.WriteString(c, "HTTP/1.1 503 Busy\r\nContent-Length: 9999\r\n\r\n")
		for err == nil {
			time.Sleep(time.Second)
			_, err = c.Write([]byte("x"))
		}
	}
	for name, test := range map[string]struct {
		url   string
		serve func(net.Conn)
		want  time.Duration
	}{
		"handshake": {"https://contoso.example/", swallow, handshakeTimeout},
		"header":    {"http://localhost/", swallow, headerTimeout},
		"body":      {"http://localhost/", drip, totalTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				took, err := callOver(t, test.url, test.serve)
				var network net.Error
				if !errors.As(err, &network) || !network.Timeout() || took != test.want {
					t.Errorf("after %v: %v; want a timeout after %v", took, err, test.want)
				}
			})
		})
	}
}

// Scorecard: H7.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		_, err := callOver(t, "http://localhost/", func(c net.Conn) {
			takeRequest(c)
			_, err := io.WriteString(c, "HTTP/1.1 204 No Content\r\n")
			for ; err == nil; sent++ {
				_, err = fmt.Fprintf(c, "X-%d: %s\r\n", sent, strings.Repeat("x", 1000))
			}
		})
		if err == nil || !strings.Contains(err.Error(), "headers exceeded") || sent > 100 {
			t.Errorf("error %v after %d headers of 1 kB", err, sent)
		}
	})
}

// secureServer speaks TLS, within the versions of config, and offers HTTP/2.
func secureServer(t *testing.T, config *tls.Config) (*httptest.Server, *http.Transport) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	server.EnableHTTP2 = true
	server.TLS = config
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := newTransport(1)
	transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	t.Cleanup(transport.CloseIdleConnections)
	return server, transport
}

func post(t *testing.T, transport *http.Transport, url string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	return resp, err
}

func TestHTTP2IsSpokenWhereItIsOffered(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		offered []string
		want    int
	}{{nil, 2}, {[]string{"http/1.1"}, 1}} {
		server, transport := secureServer(t, &tls.Config{NextProtos: test.offered})
		resp, err := post(t, transport, server.URL)
		if err != nil || resp.ProtoMajor != test.want || resp.TLS.Version < tls.VersionTLS12 {
			t.Errorf("offered %q: answer %+v, error %v", test.offered, resp, err)
		}
	}
}

// A peer that allows few streams on a connection gets more connections: what
// bounds the calls under way is the caller.
func TestTheStreamLimitOfAPeerDoesNotBoundTheCalls(t *testing.T) {
	t.Parallel()
	const calls, streams = 16, 4
	var arrived sync.WaitGroup
	arrived.Add(calls)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("spoke %s", r.Proto)
		}
		arrived.Done()
		arrived.Wait() // for all the others
		w.WriteHeader(http.StatusNoContent)
	}))
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := newTransport(calls)
	transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	t.Cleanup(transport.CloseIdleConnections)
	var callers sync.WaitGroup
	for range calls {
		callers.Go(func() {
			if resp, err := post(t, transport, server.URL); err != nil || resp.StatusCode != http.StatusNoContent {
				t.Errorf("answer %v, error %v", resp, err)
			}
		})
	}
	callers.Wait()
}

// HTTP/2 frames without payload worth naming (RFC 9113 §6).
const (
	settingsFrame = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	goAwayFrame   = "\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" // nothing begun, no error
)

// certificate is for example.com, and valid at any time a bubble may have.
func certificate(t *testing.T) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return server.TLS.Certificates[0], server.Certificate()
}

// greet takes the client's preface, which a pipe wants read before it carries
// anything back, and answers it.
func greet(c net.Conn) {
	_, _ = c.Read(make([]byte, 4096))
	_, _ = io.WriteString(c, settingsFrame)
}

func TestASilentHTTP2ConnectionIsFoundByItsPing(t *testing.T) {
	t.Parallel()
	certificate, root := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		took, err := callOver(t, "https://example.com/", func(c net.Conn) {
			secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}})
			greet(secure)
			_, _ = io.Copy(io.Discard, secure)
		}, root)
		if err == nil || took != pingAfter+pingTimeout {
			t.Errorf("after %v: %v; want an error after %v", took, err, pingAfter+pingTimeout)
		}
	})
}

func TestAGoAwayCostsNoCall(t *testing.T) {
	t.Parallel()
	certificate, root := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		_, err := callOver(t, "https://example.com/", func(c net.Conn) {
			connections++
			config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}}
			if connections > 1 {
				config.NextProtos = nil
			}
			secure := tls.Server(c, config)
			if connections > 1 {
				takeRequest(secure)
				_, _ = io.WriteString(secure, "HTTP/1.1 204 No Content\r\n\r\n")
				return
			}
			greet(secure)
			buffer := make([]byte, 4096)
			for seen := ""; !strings.Contains(seen, "\x01\x05"); { // HEADERS, complete and without a body
				n, err := secure.Read(buffer)
				if err != nil {
					t.Error(err)
					return
				}
				seen += string(buffer[:n])
			}
			var writer sync.WaitGroup // beside the reader: neither end of a pipe may only write
			writer.Go(func() { _, _ = io.WriteString(secure, goAwayFrame) })
			_, _ = io.Copy(io.Discard, secure)
			writer.Wait()
		}, root)
		if err != nil || connections != 2 {
			t.Errorf("%d connections: %v", connections, err)
		}
	})
}

// Scorecard: H8.
func TestTLSBelowVersion12IsRefused(t *testing.T) {
	t.Parallel()
	server, transport := secureServer(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if resp, err := post(t, transport, server.URL); err == nil {
		t.Errorf("spoke TLS version %#x", resp.TLS.Version)
	}
}
