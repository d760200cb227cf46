package handler

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"batchterminator/batchapi"
)

// byStatus is what a status means when no listed code comes with it. Statuses that are not here take the class of their
// hundred.
var byStatus = map[int]class{
	401: refusedUs, 403: refusedUs, 407: refusedUs,
	405: ourFault, 411: ourFault, 501: ourFault, 505: ourFault,
	408: slowed, 504: slowed,
	409: readTask,
	410: noTask,
	412: condition,
	429: throttled, 503: throttled,
}

func statusClass(status int, batchSpoke bool) class {
	if c, ok := byStatus[status]; ok {
		return c
	}
	switch {
	case status == http.StatusNotFound && batchSpoke:
		return readTask
	case status == http.StatusNotFound, status < 400:
		return stranger
	case status < 500:
		return permanent
	}
	return retried
}

// Scorecard: H7.
func TestEveryHTTPStatusHasAVerdict(t *testing.T) {
	t.Parallel()
	for status := 100; status < 600; status++ {
		for _, code := range []string{"", "SomethingNew"} {
			want := statusClass(status, code != "")
			if got := classify(t.Context(), batchError(status, code)); got != verdicts[want] {
				t.Errorf("%d %q: %+v, want %+v (%s)", status, code, got, verdicts[want], want)
			}
		}
	}
}

// Answers reach policy wrapped, and still decide.
func TestAWrappedAnswerDecides(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("outer: %w", batchError(409, "TaskCompleted"))
	if got := classify(t.Context(), err); got.Outcome != AlreadyCompleted {
		t.Errorf("%v, want %v", got.Outcome, AlreadyCompleted)
	}
}

// A connection that broke inside an answer hid the code that decides, so the status alone must not pause the account,
// dead-letter the request or complete it.
//
// Scorecard: H3.
func TestAnAnswerCutOffInItsBodyIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{io.ErrUnexpectedEOF, reset("read"), context.DeadlineExceeded, tls.RecordHeaderError{}, errors.New("bad chunk")} {
		for status := 200; status < 600; status++ {
			e := batchError(status, "")
			e.Err = fmt.Errorf("%w: %w", batchapi.ErrBodyBroken, cause)
			if got := classify(t.Context(), e); !got.retry || got.Decision() != Redeliver {
				t.Errorf("%d cut off by %v: %+v", status, cause, got)
			}
		}
	}
}

func reset(op string) error {
	return &net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNRESET}
}

// sent wraps an error as net/http and batchapi do.
func sent(err error) error {
	return fmt.Errorf("terminate task: %w", &url.Error{Op: "Post", URL: contoso, Err: err})
}

func credential(err error) error {
	return fmt.Errorf("terminate task: %w", &batchapi.CredentialError{Err: err})
}

func tokenAnswer(status int) error {
	return &azidentity.AuthenticationFailedError{RawResponse: &http.Response{StatusCode: status}}
}

var withoutAnswer = []struct {
	name string
	err  error
	want verdict
}{
	{"attempt timed out", sent(context.DeadlineExceeded), again(TimedOut)},
	{"dial timed out", sent(&net.OpError{Op: "dial", Err: &net.DNSError{IsTimeout: true}}), again(TimedOut)},
	{"connection refused", sent(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), again(Network)},
	{"no route", sent(&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}), again(Network)},
	{"connection reset", sent(reset("read")), again(Network)},
	{"reused connection closed", sent(io.EOF), again(Network)},
	{"closed within the headers", sent(io.ErrUnexpectedEOF), again(Network)},
	{"resolver failed", sent(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), again(Network)},
	{"resolver timed out", sent(&net.DNSError{IsTimeout: true}), again(TimedOut)},
	{"unknown host", sent(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", IsNotFound: true}}), again(WrongEndpoint)},
	{"certificate not verified", sent(&tls.CertificateVerificationError{Err: errors.New("bad")}), final(WrongEndpoint)},
	{"certificate of another host", sent(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "contoso"}), final(WrongEndpoint)},
	{"certificate of an unknown authority", sent(x509.UnknownAuthorityError{}), final(WrongEndpoint)},
	{"no TLS at all", sent(tls.RecordHeaderError{Msg: "not TLS"}), final(WrongEndpoint)},
	{"identity service unavailable", credential(tokenAnswer(503)), again(Unavailable)},
	{"identity service throttles", credential(tokenAnswer(429)), again(Unavailable)},
	{"identity service slow", credential(tokenAnswer(408)), again(Unavailable)},
	{"identity endpoint failing", credential(&azcore.ResponseError{StatusCode: 500}), again(Unavailable)},
	{"identity service unreachable", credential(reset("dial")), again(Unavailable)},
	{"token timed out", credential(context.DeadlineExceeded), again(Unavailable)},
	{"unknown client", credential(tokenAnswer(401)), final(AuthFailed)},
	{"unknown tenant", credential(tokenAnswer(400)), final(AuthFailed)},
	{"no credential on this machine", credential(errors.New("no credential")), final(AuthFailed)},
	{"argument refused before sending", fmt.Errorf("terminate task: %w", &batchapi.ArgumentError{Field: "taskId", Reason: "bad"}), final(InvalidMessage)},
	{"unheard of", errors.New("odd"), again(Network)},
}

// Scorecard: H1, H8.
func TestFailuresWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range withoutAnswer {
		if got := classify(t.Context(), tt.err); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestTheCauseOfACancelledDeliveryDecidesWhereNoAnswerCame(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]Outcome{
		ErrLockLost:                            LockLost,
		fmt.Errorf("renewal: %w", ErrLockLost): LockLost,
		ErrDraining:                            Draining,
		context.Canceled:                       Draining,
		context.DeadlineExceeded:               Draining,
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		for _, tt := range withoutAnswer {
			if got := classify(ctx, tt.err); got != final(want) {
				t.Errorf("%s, cancelled by %v: %+v, want %v", tt.name, cause, got, want)
			}
		}
	}
}

// What Batch said stays known however the delivery ends.
func TestAnAnswerThatArrivedAsTheDeliveryEndedDecides(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{ErrLockLost, ErrDraining} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		for status := 200; status < 600; status++ {
			got, want := classify(ctx, batchError(status, "")), classify(t.Context(), batchError(status, ""))
			if got != want {
				t.Errorf("%d as the delivery ended by %v: %+v, want %+v", status, cause, got, want)
			}
		}
	}
}
