package main

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

// ask is what curl does.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// faultMet injects a fault by hand and shows that the SDK meets it.
func faultMet(t *testing.T, connectionString, host string) {
	client, err := azservicebus.NewClientFromConnectionString(connectionString, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close(context.Background()) }() // its end is not what is tested
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sender, err := client.NewSender(queueName, nil)
	if err != nil {
		t.Fatal(err)
	}
	faults := host + "/sandbox/faults"
	status, answer := ask(t, http.MethodPost, faults,
		`{"op":"send","kind":"fail","condition":"amqp:not-allowed","description":"asked for by hand","entity":"terminate-requests"}`)
	if status != http.StatusCreated || !strings.Contains(answer, `"id":1`) {
		t.Fatalf("POST answered %d %s", status, answer)
	}
	if err := sender.SendMessage(ctx, &azservicebus.Message{}, nil); err == nil || !strings.Contains(err.Error(), "asked for by hand") {
		t.Errorf("send returned %v", err)
	}
	if err := sender.SendMessage(ctx, &azservicebus.Message{}, nil); err != nil {
		t.Errorf("a second send returned %v", err)
	}
	if status, answer := ask(t, http.MethodGet, faults, ""); status != http.StatusOK || !strings.Contains(answer, `"fired":1,"remaining":0`) {
		t.Errorf("GET answered %d %s", status, answer)
	}
	if _, answer := ask(t, http.MethodGet, host+"/sandbox/entities", ""); !strings.Contains(answer, `"Accepted":1`) {
		t.Errorf("entities: %s", answer)
	}
}

func TestServeTakesFaultsThatAClientMeets(t *testing.T) {
	t.Parallel()
	serving(t, func(text string) {
		host := strings.TrimSuffix(regexp.MustCompile(`http://\S+/health`).FindString(text), "/health")
		faultMet(t, regexp.MustCompile(`Endpoint=[^'\s]+`).FindString(text), host)
	})
}
