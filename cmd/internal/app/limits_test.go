package app

import (
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"batchterminator/handler"
)

// worst is the limits of default retries: 4 attempts of at most 4 calls, a last read, and 4 calls that a refused token has
// made again, in a minute and a last call's 35 s; a renewal each 2.5 s at most.
func worst(deliveries, held int) Limits {
	return Limits{handler.Worst{Calls: 21, Delivery: 95 * time.Second, Deliveries: deliveries}, 41, held}
}

func TestLimitsAreTheWorstCase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  func(*Settings)
		want Limits
	}{
		// 15 + 30 + 60 + 120 + 240 s of shortest waits, then 450 s each up to 24 h.
		"defaults":         {func(*Settings) {}, worst(6+(86400-465)/450, 80)},
		"count ends it":    {func(s *Settings) { s.Retry.MaxRedeliveries = 3 }, worst(4, 80)},
		"age ends it":      {func(s *Settings) { s.Retry.MaxAge, s.Retry.MaxRedeliveries = time.Minute, 100 }, worst(3, 80)},
		"no second one":    {func(s *Settings) { s.Retry.MaxAge, s.Retry.RedeliveryInitial = time.Second, 3*time.Second }, worst(1, 80)},
		"constant waits":   {func(s *Settings) { s.Retry.RedeliveryMax, s.Retry.MaxAge = 30*time.Second, time.Minute }, worst(5, 80)},
		"without a buffer": {func(s *Settings) { s.Worker.ReadyBuffer = 0 }, worst(6+(86400-465)/450, 64)},
	} {
		s := Defaults()
		c.set(&s)
		if got := s.Limits(); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestIdentitySignsInAtTheCloudOfItsHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hosts []string
		want  cloud.Configuration
		ok    bool
	}{
		{nil, cloud.AzurePublic, true},
		{[]string{"n.servicebus.windows.net", "a.westeurope.batch.azure.com"}, cloud.AzurePublic, true},
		{[]string{"n.servicebus.chinacloudapi.cn", "a.chinaeast.batch.chinacloudapi.cn"}, cloud.AzureChina, true},
		{[]string{"N.SERVICEBUS.USGOVCLOUDAPI.NET"}, cloud.AzureGovernment, true},
		{[]string{"n.servicebus.windows.net", "a.usgovvirginia.batch.usgovcloudapi.net"}, cloud.Configuration{}, false},
	} {
		got, err := signInAt(c.hosts)
		if (err == nil) != c.ok || got.ActiveDirectoryAuthorityHost != c.want.ActiveDirectoryAuthorityHost {
			t.Errorf("%q: %s, %v", c.hosts, got.ActiveDirectoryAuthorityHost, err)
		}
	}
}
