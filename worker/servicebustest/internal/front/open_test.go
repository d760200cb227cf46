package front

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/certificate"
)

const amqpHeader = "AMQP\x00\x01\x00\x00"

// ends of a pipe inside a bubble: what Open returns for what a client does.
type opened struct {
	nc       net.Conn
	protocol Protocol
	err      error
}

// withOpen runs Open against a client in a bubble.
func withOpen(t *testing.T, certificates *tls.Config, test func(t *testing.T, client net.Conn, result <-chan opened)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		result := make(chan opened, 1)
		go func() {
			nc, protocol, err := Open(context.Background(), server, certificates)
			result <- opened{nc, protocol, err}
		}()
		test(t, client, result)
		_ = client.Close()
	})
}

// dribble writes one byte a time.
func dribble(w io.Writer, text string) {
	for i := range len(text) {
		if _, err := io.WriteString(w, text[i:i+1]); err != nil {
			return
		}
	}
}

// own is TLS settings for a server, and for a client that trusts it.
func own(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	authority, err := certificate.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Issue(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5671})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM())
	made := time.Now() // which is not when the bubbles live
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: roots, ServerName: "localhost:5671", MinVersion: tls.VersionTLS12, Time: func() time.Time { return made }}
}

func TestWhatAClientSpeaksIsFoundByteByByte(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]Protocol{
		amqpHeader:                         AMQP,
		"AMQP\x03\x01\x00\x00":             AMQP,
		"GET / HTTP/1.1\r\n\r\n":           HTTP,
		"AMEN /x HTTP/1.1\r\n\r\n":         HTTP, // a method may start as AMQP does
		"A / HTTP/1.1\r\n\r\n":             HTTP,
		"DELETE /amqp HTTP/1.1\r\n\r\n":    HTTP,
		"\x00\x00\x00\x08\x02\x00\x00\x00": AMQP, // a frame before the header; its rules refuse it
		"junk":                             AMQP,
	} {
		t.Run(title(said), func(t *testing.T) {
			withOpen(t, nil, func(t *testing.T, client net.Conn, result <-chan opened) {
				go dribble(client, said)
				got := <-result
				if got.err != nil || got.protocol != want {
					t.Fatalf("%d, %v; want %d", got.protocol, got.err, want)
				}
				all := make([]byte, len(said))
				if _, err := io.ReadFull(got.nc, all); err != nil || string(all) != said {
					t.Errorf("read again: %q, %v; want %q", all, err, said)
				}
				time.Sleep(time.Hour) // the deadline is off
				go dribble(client, "x")
				if n, err := got.nc.Read(all); n != 1 || err != nil {
					t.Errorf("an hour later: %d, %v", n, err)
				}
				_ = got.nc.Close()
			})
		})
	}
}

// title is a name for a subtest.
func title(said string) string { return strings.ToValidUTF8(said[:4], "?") }

func TestTLSIsTakenOff(t *testing.T) {
	server, trusting := own(t)
	withOpen(t, server, func(t *testing.T, client net.Conn, result <-chan opened) {
		inner := tls.Client(slowly{client}, trusting)
		go func() {
			_, _ = io.WriteString(inner, amqpHeader) // the reader tells
		}()
		got := <-result
		if got.err != nil || got.protocol != AMQP {
			t.Fatalf("%d, %v", got.protocol, got.err)
		}
		all := make([]byte, len(amqpHeader))
		if _, err := io.ReadFull(got.nc, all); err != nil || string(all) != amqpHeader {
			t.Errorf("read %q, %v", all, err)
		}
		_ = client.Close()
		_ = got.nc.Close()
	})
}

// slowly is a connection that writes one byte at a time.
type slowly struct{ net.Conn }

func (c slowly) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

func TestTLSWithoutACertificateIsRefused(t *testing.T) {
	withOpen(t, nil, func(t *testing.T, client net.Conn, result <-chan opened) {
		go dribble(client, "\x16\x03\x01")
		if got := <-result; !errors.Is(got.err, ErrNoTLS) {
			t.Errorf("%v", got.err)
		}
	})
}

func TestTLSInsideTLSIsRefused(t *testing.T) {
	server, trusting := own(t)
	withOpen(t, server, func(t *testing.T, client net.Conn, result <-chan opened) {
		inner := tls.Client(client, trusting)
		go func() { _, _ = io.WriteString(inner, "\x16\x03\x01\x00") }()
		if got := <-result; got.err == nil || !strings.Contains(got.err.Error(), "TLS inside TLS") {
			t.Errorf("%v", got.err)
		}
	})
}

// However a client dawdles, before or inside the handshake, it is over after Patience.
func TestSlowClientIsGivenUp(t *testing.T) {
	server, _ := own(t)
	for name, first := range map[string]string{
		"silent": "", "one byte": "A", "half a name": "AMQ",
		"TLS record without content": "\x16\x03\x01\x02\x00", "TLS record half sent": "\x16\x03\x01\x02\x00\x01\x00",
	} {
		t.Run(name, func(t *testing.T) {
			withOpen(t, server, func(t *testing.T, client net.Conn, result <-chan opened) {
				began := time.Now()
				go dribble(client, first)
				if got := <-result; got.err == nil {
					t.Fatal("opened")
				}
				if took := time.Since(began); took != Patience {
					t.Errorf("took %v", took)
				}
				if _, err := client.Read(make([]byte, 1)); err == nil {
					t.Error("the connection is open")
				}
			})
		})
	}
}

func TestEndOfTheServerEndsOpening(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() {
			_, _, err := Open(ctx, server, nil)
			result <- err
		}()
		synctest.Wait()
		cancel()
		began := time.Now()
		if err := <-result; err == nil || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		_ = client.Close()
	})
}

// A verdict never changes when more bytes come, needs four at most, and does not depend on how they arrive.
func FuzzDetect(f *testing.F) {
	for _, seed := range []string{"", "A", "AMQP", "AMQ", "GET ", "\x16\x03", "amqp", "AMEN", "\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		verdict := Undecided
		for n := range len(said) + 1 {
			got := detect(said[:n])
			if verdict != Undecided && got != verdict {
				t.Fatalf("%q: %d, then %d", said[:n], verdict, got)
			}
			verdict = got
		}
		if len(said) >= len(protocolName) && verdict == Undecided {
			t.Fatalf("%q: undecided", said)
		}
		if (verdict == AMQP) && bytes.HasPrefix(said, []byte("GET ")) {
			t.Fatal("HTTP taken for AMQP")
		}
	})
}
