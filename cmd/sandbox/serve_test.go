package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"batchterminator/cmd/internal/app"
	"batchterminator/worker"
)

// serving runs serve on free ports while look has a look at what it prints.
func serving(t *testing.T, look func(text string), args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	ended := make(chan int, 1)
	args = append([]string{"serve", "--amqp", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--batch", "127.0.0.1:0"}, args...)
	go func() {
		ended <- run(ctx, args, nil, writer, io.Discard)
		_ = writer.Close()
	}()
	var text strings.Builder
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C") {
			look(text.String())
			cancel()
		}
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What serve prints is all that the worker and a publisher need.
func TestServePrintsHowToConnect(t *testing.T) {
	t.Parallel()
	serving(t, func(text string) {
		for _, want := range []string{"with terminate-requests:", "Endpoint=sb://127.0.0.1:", "UseDevelopmentEmulator=true", "http://127.0.0.1:", "BATCH_ENDPOINT="} {
			if !strings.Contains(text, want) {
				t.Errorf("serve does not print %q:\n%s", want, text)
			}
		}
		if strings.Contains(text, "TLS") {
			t.Errorf("serve speaks of TLS without any:\n%s", text)
		}
		health := regexp.MustCompile(`http://\S+/health`).FindString(text)
		resp, err := http.Get(health) //nolint:noctx // a loopback server of this test
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s answers %d", health, resp.StatusCode)
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

func TestServeTakesTheEmulatorsPlace(t *testing.T) {
	t.Parallel()
	serving(t, func(text string) {
		if !strings.Contains(text, "with orders, failed, Sessions/a.b-c_d, events, events/Subscriptions/all, events/Subscriptions/vip:") {
			t.Errorf("serve does not list the entities:\n%s", text)
		}
		if strings.Contains(text, "SERVICEBUS_QUEUE=") {
			t.Errorf("serve names a queue for the worker:\n%s", text)
		}
		publish(t, regexp.MustCompile(`Endpoint=\S+`).FindString(text), "failed")
	}, "--config", "emulator/testdata/config.json")
}

func TestServeAddsTheWorkersQueueToAConfig(t *testing.T) {
	t.Parallel()
	for queue, list := range map[string]string{"mine": "events/Subscriptions/vip, mine:", "FAILED": "events/Subscriptions/vip:"} {
		serving(t, func(text string) {
			if !strings.Contains(text, list) || !strings.Contains(text, "SERVICEBUS_QUEUE="+queue) {
				t.Errorf("serve does not name the queue %s:\n%s", queue, text)
			}
		}, "--config", "emulator/testdata/config.json", "--queue", queue)
	}
}

// The file is what a client trusts; that the SDK connects then is shown beside the server.
func TestServeWritesTheAuthorityOfItsTLSPort(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ca.pem")
	serving(t, func(text string) {
		for _, want := range []string{"SSL_CERT_FILE='" + file, "NODE_EXTRA_CA_CERTS='" + file} {
			if !strings.Contains(text, want) {
				t.Errorf("serve does not print %q:\n%s", want, text)
			}
		}
		ca, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(ca)
		address := regexp.MustCompile(`TLS, [^\n]*\n  Endpoint=sb://([^/]+)/`).FindStringSubmatch(text)
		if address == nil {
			t.Fatalf("no connection string for TLS:\n%s", text)
		}
		conn, err := tls.Dial("tcp", address[1], &tls.Config{RootCAs: roots, ServerName: address[1], MinVersion: tls.VersionTLS12}) //nolint:noctx // loopback
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}, "--tls", "127.0.0.1:0", "--ca-file", file)
}

// publish sends one message with the SDK.
func publish(t *testing.T, connectionString, queue string) {
	t.Helper()
	s := app.Defaults()
	s.ServiceBus.ConnectionString, s.ServiceBus.Queue = app.Secret(connectionString), queue
	publisher, err := s.ServiceBus.Publisher(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Publish(t.Context(), []worker.Outgoing{{MessageID: "1", Body: []byte("{}")}}, func(int) {}); err != nil {
		t.Error(err)
	}
	if err := publisher.Close(); err != nil {
		t.Error(err)
	}
}

// The file that deploy/local hands to Microsoft's emulator is one that serve takes too, with the queue as the worker expects it.
func TestServeTakesTheConfigOfComposeWithTheWorkersQueue(t *testing.T) {
	t.Parallel()
	serving(t, func(text string) {
		for _, want := range []string{"Service Bus with terminate-requests:", "SERVICEBUS_QUEUE=terminate-requests"} {
			if !strings.Contains(text, want) {
				t.Errorf("serve does not print %q:\n%s", want, text)
			}
		}
	}, "--config", "../../deploy/local/Config.json", "--queue", "terminate-requests")
	text, err := os.ReadFile("../../deploy/local/Config.json")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`"MaxDeliveryCount": %d,`, app.Defaults().Worker.MaxDeliveryCount); !strings.Contains(string(text), want) {
		t.Errorf("Config.json lacks %s, which is the worker's default", want)
	}
}
