package cbs

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/message"
	"batchterminator/worker/servicebustest/internal/transport"
)

// token is a put-token request; change one thing to make it fail.
type token struct{ operation, name, kind, value string }

func (k token) request(t *testing.T) *message.Message {
	t.Helper()
	m := &message.Message{}
	for key, value := range map[string]string{"operation": k.operation, "name": k.name, "type": k.kind} {
		if err := m.ApplicationProperties.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.SetValue(k.value); err != nil {
		t.Fatal(err)
	}
	return m
}

const sas = "servicebus.windows.net:sastoken"

// signed is a token as the Go SDK makes it: lower-case resource, lower-case escapes.
func signed(resource, rule, key string, expiry time.Time) string {
	sr := strings.ToLower(url.QueryEscape(resource))
	se := fmt.Sprint(expiry.Unix())
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%s&skn=%s", sr, url.QueryEscape(sign(key, sr, se)), se, rule)
}

func resolve(address string) error {
	switch strings.ToLower(address) {
	case "orders", "orders/$deadletterqueue":
		return nil
	case "orders/$transfer/$deadletterqueue":
		return broker.ErrNotImplemented
	}
	return broker.ErrEntityNotFound
}

func respond(t *testing.T, keys map[string]string, k token) (status int32, description, condition string) {
	t.Helper()
	m := New(Config{Resolve: resolve, Keys: keys}).Respond(transport.Request{}, k.request(t))
	v, _ := m.ApplicationProperties.Get("status-code")
	status, ok := v.(int32)
	if !ok {
		t.Fatalf("status-code is %T: the Go SDK panics", v)
	}
	if v, ok := m.ApplicationProperties.Get("error-condition"); ok {
		if _, ok := v.(codec.Symbol); !ok {
			t.Fatalf("error-condition is %T, want a symbol", v)
		}
	}
	return status, property(m, "status-description"), property(m, "error-condition")
}

func TestPutToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		later := time.Now().Add(time.Hour)
		good := signed("amqp://host/orders", "root", "key", later)
		for name, test := range map[string]struct {
			token
			status int32
			text   string // part of the description
		}{
			"entity":              {token{"put-token", "amqp://host/orders", sas, good}, 202, "Accepted"},
			"its management":      {token{"put-token", "sb://host/orders/$management", sas, good}, 202, ""},
			"its dead letters":    {token{"put-token", "orders/$DeadLetterQueue/$Management", sas, good}, 202, ""},
			"jwt":                 {token{"put-token", "orders", "jwt", "any"}, 202, ""},
			"empty jwt":           {token{"put-token", "orders", "jwt", ""}, 401, "InvalidToken"},
			"missing entity":      {token{"put-token", "amqp://host/other", sas, good}, 404, "The messaging entity 'amqp://host/other' could not be found."},
			"only $management":    {token{"put-token", "/$management", sas, good}, 404, ""},
			"not emulated entity": {token{"put-token", "orders/$Transfer/$DeadLetterQueue", sas, good}, 501, ""},
			"other operation":     {token{"delete-token", "orders", sas, good}, 501, "delete-token"},
			"other type":          {token{"put-token", "orders", "saml", good}, 400, "saml"},
			"no signature":        {token{"put-token", "orders", sas, "bearer"}, 401, "MalformedToken"},
			"no rule":             {token{"put-token", "orders", sas, good[:strings.Index(good, "&skn")]}, 401, "MalformedToken"},
			"odd expiry":          {token{"put-token", "orders", sas, "SharedAccessSignature sr=a&sig=b&se=soon&skn=c"}, 401, "MalformedToken"},
			"expired now":         {token{"put-token", "orders", sas, signed("orders", "root", "key", time.Now())}, 401, "ExpiredToken: The token is expired. Expiration time:"},
			"unverified by default": {
				token{"put-token", "orders", sas, signed("elsewhere", "nobody", "guess", later)}, 202, "",
			},
		} {
			status, text, condition := respond(t, nil, test.token)
			if status != test.status || !strings.Contains(text, test.text) {
				t.Errorf("%s: %d %q, want %d %q", name, status, text, test.status, test.text)
			}
			if (condition == "") != (status < 300) {
				t.Errorf("%s: status %d with condition %q", name, status, condition)
			}
		}
	})
}

func TestSignaturesAreVerifiedWhenThereIsAKey(t *testing.T) {
	t.Parallel()
	keys := map[string]string{"root": "key"}
	later := time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		value  string
		status int32
	}{
		"entity":       {signed("amqp://host/orders", "root", "key", later), 202},
		"namespace":    {signed("sb://host/", "root", "key", later), 202},
		"wrong key":    {signed("amqp://host/orders", "root", "other", later), 401},
		"unknown rule": {signed("amqp://host/orders", "guest", "key", later), 401},
		"other entity": {signed("amqp://host/other", "root", "key", later), 401},
		"prefix only":  {signed("amqp://host/ord", "root", "key", later), 401},
		"tampered":     {strings.Replace(signed("amqp://host/orders", "root", "key", later), "se=", "se=9", 1), 401},
	} {
		if status, text, _ := respond(t, keys, token{"put-token", "amqp://host/orders", sas, test.value}); status != test.status {
			t.Errorf("%s: status %d %q, want %d", name, status, text, test.status)
		}
	}
}
