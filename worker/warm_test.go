package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"batchterminator/metrics"
)

// A new client is given up soon after the broker has fallen silent, and not while it answers, however slowly.
func TestWarmUpEndsSoonAfterTheBrokerFellSilent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arrived     func(since time.Duration) uint64
		least, most time.Duration
	}{
		"connected, and never heard of again": {func(time.Duration) uint64 { return 1 }, warmSilent, warmSilent + time.Second},
		"silent after a while": {func(since time.Duration) uint64 { return min(1+uint64(since/time.Second), 5) },
			4*time.Second + warmSilent, 5*time.Second + warmSilent},
		"slow":               {func(since time.Duration) uint64 { return 1 + uint64(since/(warmSilent-time.Second)) }, warmLimit, warmLimit},
		"no connection yet":  {func(time.Duration) uint64 { return 0 }, warmLimit, warmLimit},
		"not our connection": {nil, warmLimit, warmLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				queue := newScripted()
				queue.before = func(ctx context.Context, op string, _ *azservicebus.ReceivedMessage) error {
					if op != "probe" {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}
				began := time.Now()
				connect := func() (*connection, error) {
					conn, err := queue.connect()
					if c.arrived != nil {
						conn.arrived = func() uint64 { return c.arrived(time.Since(began)) }
					}
					return conn, err
				}
				s := newClients(connect, metrics.New(prometheus.NewRegistry(), "test", []string{account}), zap.NewNop())
				client, err := s.open(t.Context())
				if took := time.Since(began); err == nil || took < c.least || took > c.most {
					t.Errorf("given up after %v (%v); want %v to %v", took, err, c.least, c.most)
				}
				s.retire(client)
				s.farewells.Wait()
			})
		})
	}
}
