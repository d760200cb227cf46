package servicebustest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/coder/websocket"

	"batchterminator/worker/servicebustest"
)

// trusting returns the TLS settings of a client that trusts the server's own authority.
func trusting(t testing.TB, s *servicebustest.Server) *tls.Config {
	t.Helper()
	ca, err := s.CertificateAuthority()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		t.Fatalf("not a certificate:\n%s", ca)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// overTLS returns a server with one TLS port.
func overTLS(t testing.TB, opts ...servicebustest.Option) *servicebustest.Server {
	t.Helper()
	s := servicebustest.New(t, append(opts, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))...)
	if _, err := s.ListenTLS("127.0.0.1:0", nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// sendAndReceive is what every way in has to carry.
func sendAndReceive(t *testing.T, r rig) {
	t.Helper()
	body := []byte(strings.Repeat("x", 200_000)) // several frames, and several TLS records
	if err := r.sender(t).SendMessage(context.Background(), &azservicebus.Message{Body: body}, nil); err != nil {
		t.Fatal(err)
	}
	receiver := r.receiver(t)
	m := receiveOne(t, receiver)
	if len(m.Body) != len(body) {
		t.Fatalf("received %d bytes of %d", len(m.Body), len(body))
	}
	complete(t, receiver, m)
	wantCounts(t, r.queue, servicebustest.Counts{Accepted: 1, Completed: 1})
}

// webSocket is a dialer as the SDK's documentation has it, with connections of the client's own making.
func webSocket(client *http.Client, subprotocol string) func(context.Context, azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
	return func(ctx context.Context, args azservicebus.NewWebSocketConnArgs) (net.Conn, error) {
		ws, _, err := websocket.Dial(ctx, args.Host, &websocket.DialOptions{Subprotocols: []string{subprotocol}, HTTPClient: client})
		if err != nil {
			return nil, err
		}
		return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
	}
}

// The SDK takes the namespace with its port for the server's name, so that this fails unless the certificate has both.
func TestClientConnectsOverTLS(t *testing.T) {
	t.Parallel()
	s := overTLS(t)
	client := newClientWith(t, s.SecureConnectionString(), &azservicebus.ClientOptions{TLSConfig: trusting(t, s)})
	sendAndReceive(t, rig{s, client, s.Queue(queueName)})
}

func TestClientConnectsOverWebSocketOnTheTLSPort(t *testing.T) {
	t.Parallel()
	s := overTLS(t)
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting(t, s)}}
	client := newClientWith(t, s.SecureConnectionString(), &azservicebus.ClientOptions{NewWebSocketConn: webSocket(web, "amqp")})
	sendAndReceive(t, rig{s, client, s.Queue(queueName)})
}

func TestPlainClientConnectsToTheTLSPort(t *testing.T) {
	t.Parallel()
	s := overTLS(t)
	sendAndReceive(t, rig{s, newClientWith(t, s.ConnectionString(), nil), s.Queue(queueName)})
}

// inMemory is an HTTP client whose connections, of whatever scheme, are pipes to s. Without TLS: pipes have no listener
// that a certificate could be for.
func inMemory(s *servicebustest.Server) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx) }
	return &http.Client{Transport: &http.Transport{DialContext: dial, DialTLSContext: dial}}
}

func TestClientConnectsOverWebSocketInABubble(t *testing.T) {
	t.Parallel()
	for _, subprotocol := range []string{"amqp", "AMQPWSB10"} {
		t.Run(subprotocol, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := servicebustest.New(t, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}),
					servicebustest.WithIdleLimits(servicebustest.IdleLimits{}))
				client := newClientWith(t, s.ConnectionString(), &azservicebus.ClientOptions{NewWebSocketConn: webSocket(inMemory(s), subprotocol)})
				r := rig{s, client, s.Queue(queueName)}
				sendAndReceive(t, r)
				time.Sleep(time.Hour + time.Minute) // heartbeats keep the tunnel up; not at the very moment a claim is renewed
				if s.Connections() != 1 {
					t.Errorf("%d connections after an hour", s.Connections())
				}
			})
		})
	}
}

func TestHealthIsTheEmulators(t *testing.T) {
	t.Parallel()
	s := overTLS(t)
	secure := strings.TrimPrefix(firstHost(s.SecureConnectionString()), "Endpoint=sb://")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting(t, s)}}
	defer client.CloseIdleConnections()
	for _, scheme := range []string{"https://", "http://"} {
		resp, err := client.Get(scheme + strings.TrimSuffix(secure, "/") + "/health")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		const want = `{"status":"healthy","message":"Service is healthy."}`
		if err != nil || resp.StatusCode != http.StatusOK || string(body) != want || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %v", scheme, resp.StatusCode, body, err)
		}
	}
}

// What a list or an entry calls an entity is where to find it again.
func TestAdministrationAnswersWithTheSchemeItWasAskedBy(t *testing.T) {
	t.Parallel()
	s := overTLS(t)
	host := strings.TrimSuffix(firstHost(s.SecureConnectionString()), "/")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting(t, s)}}
	defer client.CloseIdleConnections()
	for _, scheme := range []string{"https://", "http://"} {
		resp, err := client.Get(scheme + host + "/" + queueName)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !strings.Contains(string(body), "<id>"+scheme+host+"/"+queueName) {
			t.Errorf("%d %v: no id with %s%s in %s", resp.StatusCode, err, scheme, host, body)
		}
	}
}

// Whoever connects and says nothing, or stops in the middle of a handshake, costs the others nothing.
func TestSilentClientsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	s := overTLS(t)
	host := strings.TrimSuffix(firstHost(s.SecureConnectionString()), "/")
	for _, first := range []string{"", "A", "\x16\x03\x01", "GET / HT", "AMQP\x03\x01\x00\x00"} {
		nc, err := new(net.Dialer).DialContext(context.Background(), "tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = nc.Close() }()
		if _, err := io.WriteString(nc, first); err != nil {
			t.Fatal(err)
		}
	}
	client := newClientWith(t, s.SecureConnectionString(), &azservicebus.ClientOptions{TLSConfig: trusting(t, s)})
	sendAndReceive(t, rig{s, client, s.Queue(queueName)})
}
