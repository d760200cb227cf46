package front

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// withWeb serves one connection in a bubble. The handler says what it was asked for.
func withWeb(t *testing.T, test func(t *testing.T, client net.Conn, ended <-chan net.Conn, cancel func())) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		web := NewWeb(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+string(body))
		}), slog.New(slog.DiscardHandler))
		client, server := net.Pipe()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		ended := make(chan net.Conn, 1)
		go func() { ended <- web.Serve(ctx, server) }()
		test(t, client, ended, cancel)
		_ = client.Close()
	})
}

func TestRequestsAreAnsweredOneAfterTheOther(t *testing.T) {
	withWeb(t, func(t *testing.T, client net.Conn, ended <-chan net.Conn, _ func()) {
		answers := bufio.NewReader(client)
		for _, path := range []string{"/first", "/$Resources/Queues"} {
			go dribble(client, "PUT "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "PUT "+path+" hi" {
				t.Errorf("%q, %v", body, err)
			}
		}
		_ = client.Close()
		if upgraded := <-ended; upgraded != nil {
			t.Error("upgraded")
		}
	})
}

func TestSlowRequestsAreGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		said    string
		allowed time.Duration
	}{
		"head": {"GET / HTTP/1.1\r\nHo", Patience},
		"body": {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhi", requestPatience},
	} {
		t.Run(name, func(t *testing.T) {
			withWeb(t, func(t *testing.T, client net.Conn, ended <-chan net.Conn, _ func()) {
				began := time.Now()
				go dribble(client, c.said)
				go func() { _, _ = io.Copy(io.Discard, client) }() // a refusal, if any
				<-ended
				if took := time.Since(began); took < c.allowed || took > c.allowed+time.Second {
					t.Errorf("took %v, want %v", took, c.allowed)
				}
			})
		})
	}
}

func TestIdleKeepAliveEnds(t *testing.T) {
	withWeb(t, func(t *testing.T, client net.Conn, ended <-chan net.Conn, _ func()) {
		go dribble(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := http.ReadResponse(bufio.NewReader(client), nil); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-ended
		if took := time.Since(began); took != idlePatience {
			t.Errorf("took %v", took)
		}
	})
}

func TestEndOfTheServerEndsAConnection(t *testing.T) {
	withWeb(t, func(t *testing.T, client net.Conn, ended <-chan net.Conn, cancel func()) {
		go dribble(client, "GET / HTTP/1.1\r\n")
		synctest.Wait()
		cancel()
		began := time.Now()
		<-ended
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

// dialOver upgrades a connection, as a page of another origin.
func dialOver(t *testing.T, nc net.Conn, path string) (*websocket.Conn, *http.Response) {
	t.Helper()
	dial := func(context.Context, string, string) (net.Conn, error) { return nc, nil }
	ws, resp, err := websocket.Dial(context.Background(), "ws://host"+path, &websocket.DialOptions{
		Subprotocols: []string{"chat", "AMQPWSB10"},
		HTTPHeader:   http.Header{"Origin": {"https://elsewhere.example"}},
		HTTPClient:   &http.Client{Transport: &http.Transport{DialContext: dial}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return ws, resp
}

func TestTunnelToADeafClientClosesAtOnce(t *testing.T) {
	withWeb(t, func(t *testing.T, client net.Conn, ended <-chan net.Conn, _ func()) {
		ws, _ := dialOver(t, client, webSocketPath)
		tunnel := <-ended
		began := time.Now()
		_ = tunnel.Close() // that it ends is what counts
		if took := time.Since(began); took != 0 {
			t.Errorf("took %v", took)
		}
		_ = ws.CloseNow()
	})
}

func TestUpgradeCarriesBytesBothWays(t *testing.T) {
	for _, path := range []string{"/$servicebus/websocket", "/$servicebus/websocket/", "/%24ServiceBus/WebSocket"} {
		t.Run(path, func(t *testing.T) {
			withWeb(t, func(t *testing.T, client net.Conn, ended <-chan net.Conn, _ func()) {
				ws, resp := dialOver(t, client, path)
				if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != "AMQPWSB10" {
					t.Errorf("subprotocol %q", got)
				}
				tunnel := <-ended
				near := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
				for _, way := range []struct{ from, to net.Conn }{{near, tunnel}, {tunnel, near}} {
					go func() { _, _ = io.WriteString(way.from, amqpHeader) }()
					all := make([]byte, len(amqpHeader))
					if _, err := io.ReadFull(way.to, all); err != nil || string(all) != amqpHeader {
						t.Errorf("read %q, %v", all, err)
					}
				}
				_ = tunnel.Close()
				_ = ws.CloseNow()
			})
		})
	}
}

func TestUpgradeThatIsNoneIsAnswered(t *testing.T) {
	withWeb(t, func(t *testing.T, client net.Conn, ended <-chan net.Conn, _ func()) {
		go dribble(client, "GET /$servicebus/websocket HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusUpgradeRequired || !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
			t.Errorf("%d with %v", resp.StatusCode, resp.Header)
		}
		_ = client.Close()
		if <-ended != nil {
			t.Error("upgraded")
		}
	})
}
