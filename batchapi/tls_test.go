package batchapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// issued is a certificate that signs itself, changed to be wrong in one way.
func issued(t *testing.T, change func(*x509.Certificate)) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, root
}

// asked serves TLS as config says and reports what of the request it could read.
func asked(config *tls.Config, request *strings.Builder) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.Copy(request, io.LimitReader(tls.Server(c, config), 1))
	}
}

// Who cannot prove to be the account gets no byte of the request, and so no token, encrypted or not.
//
// Scorecard: H8.
func TestAPeerThatCannotProveItselfIsToldNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(*x509.Certificate)
		latest  uint16 // version of TLS that the peer speaks; 0: the newest
		trusted bool
		blames  func(error) bool // nil: the protocol, not the certificate
	}{
		"expired":       {change: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, trusted: true, blames: invalid(x509.Expired)},
		"not yet valid": {change: func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) }, trusted: true, blames: invalid(x509.Expired)},
		"wrong host":    {change: func(c *x509.Certificate) { c.DNSNames = []string{"example.org"} }, trusted: true, blames: isType[x509.HostnameError]},
		"self-signed":   {change: func(*x509.Certificate) {}, blames: isType[x509.UnknownAuthorityError]},
		"for clients only": {change: func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
			trusted: true, blames: invalid(x509.IncompatibleUsage)},
		"version 1.0": {change: func(*x509.Certificate) {}, latest: tls.VersionTLS10, trusted: true},
		"version 1.1": {change: func(*x509.Certificate) {}, latest: tls.VersionTLS11, trusted: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				certificate, root := issued(t, test.change)
				config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS10, MaxVersion: test.latest}
				var roots []*x509.Certificate
				if test.trusted {
					roots = append(roots, root)
				}
				var request strings.Builder
				_, err := callOver(t, "https://example.com/", asked(config, &request), roots...)
				if err == nil || test.blames != nil && !test.blames(err) {
					t.Errorf("error %v", err)
				}
				if request.Len() > 0 {
					t.Errorf("the peer was told %q", request.String())
				}
			})
		})
	}
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func invalid(reason x509.InvalidReason) func(error) bool {
	return func(err error) bool {
		e, ok := errors.AsType[x509.CertificateInvalidError](err)
		return ok && e.Reason == reason
	}
}

// A peer that speaks plain HTTP on the port for TLS is told nothing either.
//
// Scorecard: H8.
func TestPlainTextIsNoWayOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []byte
		_, err := callOver(t, "https://example.com/", func(c net.Conn) {
			seen = make([]byte, 4096)
			n, _ := c.Read(seen)
			seen = seen[:n]
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		})
		if !isType[tls.RecordHeaderError](err) && (err == nil || !strings.Contains(err.Error(), "HTTP response to HTTPS client")) {
			t.Errorf("error %v", err)
		}
		if strings.Contains(string(seen), "Bearer") || len(seen) == 0 || seen[0] != 22 { // a handshake record, RFC 8446 §5.1
			t.Errorf("%q was sent", seen)
		}
	})
}

// TLS that breaks amid the answer leaves a body that is broken off, and so no success.
//
// Scorecard: H8.
func TestTLSThatBreaksAmidTheAnswerIsNoSuccess(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]string{
		"alert in plain text": "\x15\x03\x03\x00\x02\x02\x50", // fatal, internal_error
		"record that fails":   "\x17\x03\x03\x00\x20" + strings.Repeat("x", 32),
		"record too large":    "\x17\x03\x03\xff\xff",
		"no record":           "HTTP/1.1 204 No Content\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				certificate, root := issued(t, func(*x509.Certificate) {})
				_, err := callOver(t, "https://example.com/", func(c net.Conn) {
					secure := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
					takeRequest(secure)
					_, _ = io.WriteString(secure, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")
					var reader sync.WaitGroup // beside the writer: neither end of a pipe may only write
					reader.Go(func() { _, _ = io.Copy(io.Discard, c) })
					_, _ = io.WriteString(c, record)
					_ = c.Close()
					reader.Wait()
				}, root)
				if !errors.Is(err, ErrBodyBroken) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}
