package servicebustest_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"

	"batchterminator/worker/servicebustest"
)

// as returns a client that signs with a rule whose key is its name.
func as(t *testing.T, s *servicebustest.Server, rule string) rig {
	t.Helper()
	text := "Endpoint=sb://localhost;SharedAccessKeyName=" + rule + ";SharedAccessKey=" + rule + ";UseDevelopmentEmulator=true"
	return rig{s, newClientWith(t, text, inMemoryOptions(s)), s.Queue(queueName)}
}

// withRules runs a test in a bubble against a server with a rule for each set of rights.
func withRules(t *testing.T, test func(t *testing.T, s *servicebustest.Server), opts ...servicebustest.Option) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		test(t, servicebustest.New(t, append(opts, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}),
			servicebustest.WithSharedAccessRule("root", "root"),
			servicebustest.WithSharedAccessRule("sender", "sender", servicebustest.RightSend),
			servicebustest.WithSharedAccessRule("listener", "listener", servicebustest.RightListen),
			servicebustest.WithSharedAccessRule("manager", "manager", servicebustest.RightManage),
			servicebustest.WithSharedAccessRule("both", "both", servicebustest.RightSend, servicebustest.RightListen))...))
	})
}

func wantUnauthorized(t *testing.T, doing string, err error, text string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Errorf("%s: %v", doing, err)
		}
		return
	}
	wantCode(t, err, azservicebus.CodeUnauthorizedAccess)
	if !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v; want a text with %q", doing, err, text)
	}
}

const (
	noSend   = "Unauthorized access. 'Send' claim(s) are required to perform this operation"
	noListen = "Unauthorized access. 'Listen' claim(s) are required to perform this operation"
)

func TestRuleDecidesWhatItsHolderMayDo(t *testing.T) {
	for rule, refused := range map[string]struct{ send, schedule, receive, peek string }{
		"root":     {},
		"both":     {},
		"sender":   {receive: noListen, peek: noListen},
		"listener": {send: noSend, schedule: noSend},
	} {
		t.Run(rule, func(t *testing.T) {
			withRules(t, func(t *testing.T, s *servicebustest.Server) {
				r := as(t, s, rule)
				r.fill(t, 1)
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				sender, receiver := r.sender(t), r.receiver(t)
				err := sender.SendMessage(ctx, &azservicebus.Message{}, nil)
				wantUnauthorized(t, "send", err, refused.send)
				_, err = sender.ScheduleMessages(ctx, []*azservicebus.Message{{}}, time.Now().Add(time.Hour), nil)
				wantUnauthorized(t, "schedule", err, refused.schedule)
				_, err = receiver.ReceiveMessages(ctx, 1, nil)
				wantUnauthorized(t, "receive", err, refused.receive)
				_, err = receiver.PeekMessages(ctx, 1, nil)
				wantUnauthorized(t, "peek", err, refused.peek)
			})
		})
	}
}

func TestUnknownRuleIsUnauthorized(t *testing.T) {
	withRules(t, func(t *testing.T, s *servicebustest.Server) {
		err := as(t, s, "stranger").sender(t).SendMessage(context.Background(), &azservicebus.Message{}, nil)
		wantUnauthorized(t, "send", err, "InvalidSignature")
	})
}

func TestLinkWithoutATokenIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servicebustest.New(t, servicebustest.WithClaims(), servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
		session := rawSession(t, s)
		_, err := session.NewReceiver(context.Background(), queueName, nil)
		wantRefusal(t, err, amqp.ErrCondUnauthorizedAccess)
		_, err = session.NewSender(context.Background(), queueName, nil)
		wantRefusal(t, err, amqp.ErrCondUnauthorizedAccess)
		_, err = session.NewSender(context.Background(), queueName+"/$management", nil)
		wantRefusal(t, err, amqp.ErrCondUnauthorizedAccess)
		_, err = session.NewSender(context.Background(), "nobody", nil)
		wantRefusal(t, err, amqp.ErrCondUnauthorizedAccess) // who has no right does not learn what exists
	})
}

// A token is the connection's that showed it.
func TestTokenOfAnotherConnectionDoesNotCount(t *testing.T) {
	withRules(t, func(t *testing.T, s *servicebustest.Server) {
		receiveNothing(t, as(t, s, "root").receiver(t))
		_, err := rawSession(t, s).NewReceiver(context.Background(), queueName, nil)
		wantRefusal(t, err, amqp.ErrCondUnauthorizedAccess)
	})
}

// premade is a connection string whose token cannot be renewed.
func premade(lifetime time.Duration) string {
	return "Endpoint=sb://localhost;SharedAccessSignature=" + sas("root", lifetime) + ";UseDevelopmentEmulator=true"
}

// sas is a token for the namespace, signed with a rule whose key is its name.
func sas(rule string, lifetime time.Duration) string {
	resource := url.QueryEscape("sb://localhost/")
	expiry := time.Now().Add(lifetime).Unix()
	h := hmac.New(sha256.New, []byte(rule))
	_, _ = fmt.Fprintf(h, "%s\n%d", resource, expiry)
	mac := url.QueryEscape(base64.StdEncoding.EncodeToString(h.Sum(nil)))
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%d&skn=%s", resource, mac, expiry, rule)
}

func TestExpiredTokenIsRefused(t *testing.T) {
	withRules(t, func(t *testing.T, s *servicebustest.Server) {
		r := rig{s, newClientWith(t, premade(-10*time.Minute), inMemoryOptions(s)), s.Queue(queueName)}
		err := r.sender(t).SendMessage(context.Background(), &azservicebus.Message{}, nil)
		wantUnauthorized(t, "send", err, "rpc: failed, status code 401 and description: ExpiredToken: The token is expired. Expiration time:")
	})
}

func TestLinkIsDetachedWhenItsTokenExpires(t *testing.T) {
	withRules(t, func(t *testing.T, s *servicebustest.Server) {
		r := rig{s, newClientWith(t, premade(5*time.Minute), inMemoryOptions(s)), s.Queue(queueName)}
		receiver, other := r.receiver(t), as(t, s, "root").receiver(t)
		began := time.Now()
		got := make(chan error, 1)
		go func() {
			_, err := receiver.ReceiveMessages(context.Background(), 1, nil)
			got <- err
		}()
		wantUnauthorized(t, "receive", <-got, "ExpiredToken")
		if lived := time.Since(began); lived.Round(time.Second) != 5*time.Minute {
			t.Errorf("the link lived for %v", lived)
		}
		r.fill(t, 1)
		receiveOne(t, other) // whose token is good
	})
}

// The SDK renews a token some minutes before its end, for two hours more each time.
func TestRenewedTokenDisturbsNothing(t *testing.T) {
	withRules(t, func(t *testing.T, s *servicebustest.Server) {
		r := as(t, s, "root")
		receiver := r.receiver(t)
		got := make(chan error, 1)
		go func() {
			_, err := receiver.ReceiveMessages(context.Background(), 1, nil)
			got <- err
		}()
		lost := s.OnNext(servicebustest.Attach, servicebustest.Delay(0), servicebustest.Keep(), servicebustest.OnEntity(queueName))
		synctest.Wait()
		time.Sleep(24*time.Hour + 10*time.Minute)
		if lost.Fired() != 1 || s.Connections() != 1 {
			t.Errorf("%d attaches and %d connections in a day, want one of each", lost.Fired(), s.Connections())
		}
		r.fill(t, 1)
		if err := <-got; err != nil {
			t.Error(err)
		}
	}, servicebustest.WithIdleLimits(servicebustest.IdleLimits{}))
}

// putToken shows a claim below the SDK, which asks for nothing that its own rights do not cover.
func putToken(t *testing.T, session *amqp.Session, rule string) {
	t.Helper()
	reply := request(t, session, "$cbs", &amqp.Message{
		Value:                 sas(rule, time.Hour),
		ApplicationProperties: map[string]any{"operation": "put-token", "type": "servicebus.windows.net:sastoken", "name": "amqp://localhost/" + queueName},
	})
	if status := reply.ApplicationProperties["status-code"]; status != int32(202) {
		t.Fatalf("put-token: %v", reply.ApplicationProperties)
	}
}

// request sends one request to a node and returns the answer.
func request(t *testing.T, session *amqp.Session, node string, m *amqp.Message) *amqp.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	receiver, err := session.NewReceiver(ctx, node, &amqp.ReceiverOptions{TargetAddress: "me"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = receiver.Close(ctx) }()
	sender, err := session.NewSender(ctx, node, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sender.Close(ctx) }()
	me := "me"
	m.Properties = &amqp.MessageProperties{MessageID: "1", ReplyTo: &me}
	if err := sender.Send(ctx, m, nil); err != nil {
		t.Fatal(err)
	}
	reply, err := receiver.Receive(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestEachManagementOperationNeedsItsRight(t *testing.T) {
	for rule, allowed := range map[string]map[string]bool{
		"sender":   {"com.microsoft:schedule-message": true, "com.microsoft:cancel-scheduled-message": true},
		"listener": {"com.microsoft:peek-message": true, "com.microsoft:renew-lock": true, "com.microsoft:add-rule": true, "com.microsoft:enumerate-rules": true},
		"manager":  {"com.microsoft:add-rule": true, "com.microsoft:enumerate-rules": true},
	} {
		t.Run(rule, func(t *testing.T) {
			withRules(t, func(t *testing.T, s *servicebustest.Server) {
				session := rawSession(t, s)
				putToken(t, session, rule)
				for _, operation := range []string{
					"com.microsoft:schedule-message", "com.microsoft:cancel-scheduled-message", "com.microsoft:peek-message",
					"com.microsoft:renew-lock", "com.microsoft:add-rule", "com.microsoft:enumerate-rules",
				} {
					reply := request(t, session, queueName+"/$management", &amqp.Message{
						Value: map[string]any{"x": "y"}, ApplicationProperties: map[string]any{"operation": operation},
					})
					// The request says too little to succeed; what counts is whether it was looked at.
					refused := reply.ApplicationProperties["statusCode"] == int32(401)
					if refused == allowed[operation] {
						t.Errorf("%s: %v", operation, reply.ApplicationProperties)
					}
				}
			})
		})
	}
}
