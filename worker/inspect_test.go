package worker

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/go-amqp"
)

func TestDurationsOfTheAdministrationAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"PT1M": time.Minute, "PT30S": 30 * time.Second, "PT0.5S": time.Second / 2, "P1DT2H3M4.5S": 26*time.Hour + 3*time.Minute + 4500*time.Millisecond,
		"P14D": 14 * 24 * time.Hour, "P10675199DT2H48M5.4775807S": Forever,
		"": -1, "P": -1, "PT": -1, "P1DT": -1, "1M": -1, "PT1D": -1, "PT1.5M": -1, "PT-1S": -1, "PT1M\n": -1, "P1Y": -1,
	} {
		got, ok := parseDuration(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
		}
	}
}

func TestHostIsTheNamespacesOrTheConnectionStrings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b    ServiceBus
		want string
	}{
		{ServiceBus{Namespace: "acme.servicebus.windows.net"}, "acme.servicebus.windows.net"},
		{ServiceBus{ConnectionString: "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0"}, "acme.servicebus.windows.net"},
		{ServiceBus{ConnectionString: "SharedAccessKey=c2VjcmV0; endpoint=sb://localhost:5673"}, "localhost:5673"},
		{ServiceBus{ConnectionString: "SharedAccessKey=c2VjcmV0"}, ""},
	} {
		if got := c.b.Host(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestAdministrationOfAnEmulatorIsLookedForWhereItCanBe(t *testing.T) {
	t.Parallel()
	for host, want := range map[string][]string{
		"localhost":      {"localhost:5300"},
		"localhost:5672": {"localhost:5672", "localhost:5300"},
		"localhost:5300": {"localhost:5300"},
		"[::1]:5672":     {"[::1]:5672", "[::1]:5300"},
	} {
		if got := emulatorHosts(host); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

func TestTroubleIsWhatTheBrokerSaidBeforeWhatTheNetworkDid(t *testing.T) {
	t.Parallel()
	condition := func(c amqp.ErrCond) error {
		return fmt.Errorf("attach: %w", &amqp.LinkError{RemoteErr: &amqp.Error{Condition: c}})
	}
	for _, c := range []struct {
		err  error
		want Trouble
	}{
		{condition(amqp.ErrCondUnauthorizedAccess), TroubleUnauthorized},
		{condition(amqp.ErrCondNotFound), TroubleNotFound},
		{condition("com.microsoft:entity-disabled"), TroubleDisabled},
		{condition(amqp.ErrCondNotAllowed), TroubleNotAllowed},
		{condition(amqp.ErrCondResourceLimitExceeded), TroubleFull},
		{condition(conditionServerBusy), TroubleThrottled},
		{&wedgeError{condition: conditionServerBusy}, TroubleThrottled},
		{&azcore.ResponseError{StatusCode: http.StatusUnauthorized}, TroubleUnauthorized},
		{&azcore.ResponseError{StatusCode: http.StatusServiceUnavailable}, TroubleThrottled},
		{errNoEntity, TroubleNotFound},
		{x509.HostnameError{Host: "x", Certificate: &x509.Certificate{}}, TroubleUntrusted},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, TroubleUnknownHost},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, TroubleUnreachable},
		{fmt.Errorf("peek: %w", context.DeadlineExceeded), TroubleNoAnswer},
		{errHung, TroubleNoAnswer},
		{errors.New("x"), TroubleOther},
		{nil, TroubleOther},
	} {
		if got := TroubleOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
