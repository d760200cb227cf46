package cbs

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/claims"
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

// unsigned is a shared access signature that nobody verifies.
func unsigned(expiry time.Time) string {
	return fmt.Sprintf("SharedAccessSignature sr=sb%%3A%%2F%%2Fhost&sig=guess&se=%d&skn=root", expiry.Unix())
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

// granted is what the node passed on.
type granted struct {
	conn    uint64
	address string
	claim   claims.Claim
}

func respond(t *testing.T, req *message.Message) (status int32, description, condition string, grants []granted) {
	t.Helper()
	node := New(Config{Resolve: resolve, Authority: claims.NewAuthority(nil), Grant: func(conn uint64, address string, c claims.Claim) {
		grants = append(grants, granted{conn, address, c})
	}})
	m := node.Respond(transport.Request{Link: transport.Link{Conn: 7}}, req)
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
	return status, property(m, "status-description"), property(m, "error-condition"), grants
}

func TestPutToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		later := time.Now().Add(time.Hour)
		good := unsigned(later)
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
			"expired now":         {token{"put-token", "orders", sas, unsigned(time.Now())}, 401, "ExpiredToken: The token is expired. Expiration time:"},
			"bad and missing":     {token{"put-token", "other", sas, "bearer"}, 401, "MalformedToken"},
		} {
			status, text, condition, grants := respond(t, test.request(t))
			if status != test.status || !strings.Contains(text, test.text) {
				t.Errorf("%s: %d %q, want %d %q", name, status, text, test.status, test.text)
			}
			if (condition == "") != (status < 300) {
				t.Errorf("%s: status %d with condition %q", name, status, condition)
			}
			if (len(grants) == 1) != (status < 300) {
				t.Errorf("%s: status %d with grants %v", name, status, grants)
			}
		}
	})
}

// Each SDK says in its own way until when a JWT is good.
func TestClaimOfAJWTEndsWhenTheClientSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		later := time.Now().Add(time.Hour)
		for name, test := range map[string]struct {
			expiration any
			want       time.Time
		}{
			"go":         {fmt.Sprint(later.Unix()), later},
			"python":     {later, later},
			"javascript": {nil, time.Time{}},
			"no end":     {"0", time.Time{}},
			"odd":        {"soon", time.Time{}},
		} {
			req := token{"put-token", "amqp://host/orders", "jwt", "any"}.request(t)
			if err := req.ApplicationProperties.Set("expiration", test.expiration); err != nil {
				t.Fatal(err)
			}
			status, _, _, grants := respond(t, req)
			if status != 202 || len(grants) != 1 {
				t.Fatalf("%s: status %d, grants %v", name, status, grants)
			}
			got := grants[0]
			if got.conn != 7 || got.address != "amqp://host/orders" || !got.claim.Expires.Equal(test.want) || got.claim.Rights != claims.All {
				t.Errorf("%s: granted %+v, want the end %v", name, got, test.want)
			}
		}
	})
}

func TestExpiredJWTIsRefused(t *testing.T) {
	t.Parallel()
	req := token{"put-token", "orders", "jwt", "any"}.request(t)
	if err := req.ApplicationProperties.Set("expiration", time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	if status, text, _, _ := respond(t, req); status != 401 || !strings.Contains(text, "ExpiredToken") {
		t.Errorf("status %d %q", status, text)
	}
}
