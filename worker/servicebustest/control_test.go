package servicebustest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"

	"batchterminator/worker/servicebustest"
)

// controller talks to the control endpoint.
type controller struct {
	t      *testing.T
	base   string
	client *http.Client
}

// controlInMemory reaches s without a socket, so that it works in a bubble.
func controlInMemory(t *testing.T, s *servicebustest.Server) controller {
	tr := &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx) },
		DisableKeepAlives: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return controller{t, "http://localhost", &http.Client{Transport: tr}}
}

// do sends body, if any, as JSON and returns the decoded answer.
func (c controller) do(method, path, body string, want int) map[string]any {
	c.t.Helper()
	var status int
	var raw []byte
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.client.Do(req)
	if err == nil {
		status = resp.StatusCode
		raw, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err != nil || status != want {
		c.t.Fatalf("%s %s: %d %s %v, want %d", method, path, status, raw, err, want)
	}
	answer := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &answer); err != nil {
			c.t.Fatalf("%s %s: %s: %v", method, path, raw, err)
		}
	}
	return answer
}

func (c controller) inject(spec string) int {
	c.t.Helper()
	return int(c.do(http.MethodPost, "/sandbox/faults", spec, http.StatusCreated)["id"].(float64))
}

// inControlledBubble is inBubble with a control endpoint.
func inControlledBubble(t *testing.T, cfg servicebustest.QueueConfig, test func(t *testing.T, r rig, c controller)) {
	t.Helper()
	inBubble(t, cfg, func(t *testing.T, r rig) { test(t, r, controlInMemory(t, r.Server)) }, servicebustest.WithControl())
}

func TestControlInjectsFaultsThatTheClientMeets(t *testing.T) {
	inControlledBubble(t, servicebustest.QueueConfig{LockDuration: 10 * time.Second}, func(t *testing.T, r rig, c controller) {
		c.inject(`{"op":"settle","kind":"fail","condition":"com.microsoft:message-lock-lost","description":"by hand","entity":"orders","message":"m1"}`)
		r.fill(t, 2)
		receiver := r.receiver(t)
		messages := receive(t, receiver, 2)
		complete(t, receiver, messages[1])
		wantCode(t, receiver.CompleteMessage(context.Background(), messages[0], nil), azservicebus.CodeLockLost)

		listed := c.do(http.MethodGet, "/sandbox/faults", "", http.StatusOK)["faults"].([]any)[0].(map[string]any)
		if listed["fired"] != 1.0 || listed["remaining"] != 0.0 || listed["condition"] != "com.microsoft:message-lock-lost" {
			t.Errorf("listed as %v", listed)
		}
		entity := c.do(http.MethodGet, "/sandbox/entities", "", http.StatusOK)["entities"].([]any)[0].(map[string]any)
		if counts := entity["counts"].(map[string]any); entity["entity"] != queueName || counts["Completed"] != 1.0 || counts["Locked"] != 1.0 {
			t.Errorf("counted %v", entity)
		}
		var events []string
		for _, e := range c.do(http.MethodGet, "/sandbox/history?entity=orders&message=m2", "", http.StatusOK)["events"].([]any) {
			events = append(events, fmt.Sprint(e.(map[string]any)["event"]))
		}
		if got := strings.Join(events, " "); got != "enqueued delivered completed" {
			t.Errorf("history of m2: %s", got)
		}
	})
}

func TestControlTakesFaultsBack(t *testing.T) {
	inControlledBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig, c controller) {
		sender := r.sender(t)
		send := func() error {
			return within(patience, func(ctx context.Context) error { return sender.SendMessage(ctx, &azservicebus.Message{}, nil) })
		}
		kept := c.inject(`{"op":"send","kind":"fail","condition":"amqp:not-allowed","keep":true}`)
		for range 2 {
			if err := send(); err == nil {
				t.Error("sent against a fault that is kept")
			}
		}
		listed := c.do(http.MethodGet, "/sandbox/faults", "", http.StatusOK)["faults"].([]any)[0].(map[string]any)
		if listed["fired"] != 2.0 || listed["remaining"] != nil {
			t.Errorf("listed as %v", listed)
		}
		c.do(http.MethodDelete, fmt.Sprint("/sandbox/faults/", kept), "", http.StatusNoContent)
		c.do(http.MethodDelete, fmt.Sprint("/sandbox/faults/", kept), "", http.StatusNotFound)
		if err := send(); err != nil {
			t.Error(err)
		}
		c.inject(`{"op":"send","kind":"fail","condition":"amqp:not-allowed","times":5}`)
		c.do(http.MethodDelete, "/sandbox/faults", "", http.StatusNoContent)
		if err := send(); err != nil {
			t.Error(err)
		}
	})
}

func TestControlTakesEveryKind(t *testing.T) {
	inControlledBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, _ rig, c controller) {
		for _, spec := range []string{
			`{"op":"connect","kind":"delay","delay":"1s"}`,
			`{"op":"open","kind":"close-connection","condition":"amqp:connection:forced"}`,
			`{"op":"cbs","kind":"swallow"}`,
			`{"op":"attach","kind":"server-busy","delay":"1s"}`,
			`{"op":"attach-node","kind":"mute-link","times":2}`,
			`{"op":"detach","kind":"drop-connection"}`,
			`{"op":"send","kind":"duplicate"}`,
			`{"op":"flow","kind":"detach-link","condition":"amqp:link:detach-forced","description":"idle"}`,
			`{"op":"flow","kind":"end-session","condition":"amqp:internal-error"}`,
			`{"op":"deliver","kind":"slow-transfer","parts":3,"duration":"1s"}`,
			`{"op":"deliver","kind":"expire-lock","duration":"5s"}`,
			`{"op":"deliver","kind":"alter","noAnnotations":true,"annotations":{"x":null},"properties":{"n":1,"f":1.5,"b":true},"body":"text"}`,
			`{"op":"settle","kind":"mute-connection"}`,
			`{"op":"settle-echo","kind":"reset-connection"}`,
			`{"op":"renew-lock","kind":"fail","condition":"amqp:unauthorized-access"}`,
			`{"op":"management","kind":"swallow","keep":true,"message":"m1"}`,
			`{"op":"reply","kind":"swallow"}`,
			`{"op":"connect","kind":"trickle","parts":7,"duration":"1ms"}`,
		} {
			id := c.inject(spec)
			c.do(http.MethodDelete, fmt.Sprint("/sandbox/faults/", id), "", http.StatusNoContent)
		}
	})
}

func TestControlAltersWhatIsDelivered(t *testing.T) {
	inControlledBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig, c controller) {
		c.inject(`{"op":"deliver","kind":"alter","properties":{"n":1,"f":1.5}}`)
		r.fill(t, 1)
		m := receiveOne(t, r.receiver(t))
		if m.ApplicationProperties["n"] != int64(1) || m.ApplicationProperties["f"] != 1.5 {
			t.Errorf("properties %v", m.ApplicationProperties)
		}
	})
}

func TestControlActsOnWhatThereIs(t *testing.T) {
	inControlledBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig, c controller) {
		act := func(spec string) {
			t.Helper()
			c.do(http.MethodPost, "/sandbox/actions", spec, http.StatusNoContent)
			synctest.Wait()
		}
		receiver := r.receiver(t)
		exchange := func() {
			t.Helper()
			r.fill(t, 1)
			complete(t, receiver, receiveOne(t, receiver))
		}
		exchange()
		for _, action := range []string{
			`{"action":"drop-connections"}`, `{"action":"reset-connections"}`, `{"action":"close-connections","condition":"amqp:connection:forced"}`,
			`{"action":"detach-links","entity":"orders","condition":"amqp:link:detach-forced","description":"by hand"}`,
		} {
			act(action)
			exchange()
		}
		act(`{"action":"mute-links","entity":"orders"}`)
		r.fill(t, 1)
		receiveNothing(t, receiver)
		act(`{"action":"unmute-links","entity":"orders"}`)
		complete(t, receiver, receiveOne(t, receiver))

		act(`{"action":"mute-connections"}`)
		act(`{"action":"unmute-connections"}`)
		act(`{"action":"skew-clock","duration":"-1h"}`)
		r.fill(t, 1)
		m := receiveOne(t, receiver)
		if ago := time.Since(*m.EnqueuedTime); ago < time.Hour {
			t.Errorf("enqueued %v ago", ago)
		}
		complete(t, receiver, m)

		act(`{"action":"expire-tokens"}`)
		wantCode(t, receiveWithin(patience, receiver), azservicebus.CodeUnauthorizedAccess)
		act(`{"action":"set-status","entity":"orders","status":"disabled"}`)
		if err := receiveWithin(patience, receiver); err == nil || !strings.Contains(err.Error(), "entity-disabled") {
			t.Errorf("receive returned %v", err)
		}
		act(`{"action":"set-status","entity":"orders","status":"Active"}`)
		exchange()
	})
}

func TestControlRefusesWhatItDoesNotUnderstand(t *testing.T) {
	inControlledBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, _ rig, c controller) {
		for _, spec := range []string{
			`{`, `{} {}`, `[]`, `{"op":"settle","kind":"swallow","extra":1}`, `{"op":"nap","kind":"swallow"}`, `{"op":"settle","kind":"nap"}`,
			`{"op":"settle","kind":"delay"}`, `{"op":"settle","kind":"fail"}`, `{"op":"settle","kind":"trickle","parts":1,"duration":"1s"}`,
			`{"op":"deliver","kind":"slow-transfer"}`, `{"op":"deliver","kind":"alter"}`, `{"op":"deliver","kind":"alter","body":{}}`,
			`{"op":"settle","kind":"swallow","entity":"nobody"}`, `{"op":"settle","kind":"swallow","times":-1}`, `{"op":"settle","kind":"delay","delay":"soon"}`, `{"op":"settle","kind":"delay","delay":"25h"}`,
			`{"op":"settle","kind":"swallow","message":"` + strings.Repeat("x", 64<<10) + `"}`,
		} {
			c.do(http.MethodPost, "/sandbox/faults", spec, http.StatusBadRequest)
		}
		if got := c.do(http.MethodPost, "/sandbox/faults", `{"op":"settle","kind":"nap"}`, http.StatusBadRequest)["error"]; !strings.HasPrefix(fmt.Sprint(got), `kind is "nap", not one of alter, close-connection, delay, `) {
			t.Errorf("refused with %v", got)
		}
		for _, spec := range []string{
			`{"action":"nap"}`, `{"action":"skew-clock"}`, `{"action":"detach-links"}`, `{"action":"mute-links"}`, `{"action":"close-connections"}`,
			`{"action":"set-status","entity":"orders","status":"tired"}`, `{"action":"set-status","entity":"nobody","status":"Active"}`,
		} {
			c.do(http.MethodPost, "/sandbox/actions", spec, http.StatusBadRequest)
		}
		c.do(http.MethodPost, "/sandbox/faults", "", http.StatusUnsupportedMediaType)
		c.do(http.MethodGet, "/sandbox/history?entity=nobody", "", http.StatusNotFound)

		if got := c.do(http.MethodGet, "/sandbox/faults", "", http.StatusOK)["faults"]; got != nil {
			t.Errorf("waiting: %v", got)
		}
	})
}

func TestControlHoldsABoundedNumberOfFaults(t *testing.T) {
	inControlledBubble(t, servicebustest.QueueConfig{}, func(t *testing.T, r rig, c controller) {
		for range 1000 {
			c.inject(`{"op":"send","kind":"duplicate"}`)
		}
		c.do(http.MethodPost, "/sandbox/faults", `{"op":"send","kind":"duplicate"}`, http.StatusConflict)
		if err := r.sender(t).SendMessage(context.Background(), &azservicebus.Message{}, nil); err != nil {
			t.Fatal(err)
		}
		c.inject(`{"op":"send","kind":"duplicate"}`) // one is over
	})
}

func TestControlIsThereOnlyOnRequestAndNotForBrowsers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts   []servicebustest.Option
		header string
		want   int // 0: somebody else answers
	}{
		"asked for":     {[]servicebustest.Option{servicebustest.WithControl()}, "", http.StatusOK},
		"by a browser":  {[]servicebustest.Option{servicebustest.WithControl()}, "http://localhost", http.StatusForbidden},
		"not asked for": {nil, "", 0},
	} {
		s := servicebustest.New(t, c.opts...)
		address, err := s.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address.String()+"/sandbox/faults", bytes.NewReader(nil))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", c.header)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		status := resp.StatusCode
		if resp.Header.Get("Content-Type") != "application/json" {
			status = 0
		}
		if status != c.want {
			t.Errorf("%s: answered %d, %s", name, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
	}
}
