package worker

import (
	"context"
	"io"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"batchterminator/handler"
	"batchterminator/metrics"
)

// stockpile is an SDK that allocates nothing: its messages are made beforehand, and settled by counting them.
type stockpile struct {
	*scripted
	messages []*azservicebus.ReceivedMessage // the receive loop's
	left     atomic.Int64
	done     chan struct{} // closed when none are left
}

func (s *stockpile) ReceiveMessages(ctx context.Context, n int, _ *azservicebus.ReceiveMessagesOptions) ([]*azservicebus.ReceivedMessage, error) {
	n = min(n, len(s.messages))
	if n == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	got := s.messages[:n]
	s.messages = s.messages[n:]
	return got, nil
}

func (s *stockpile) CompleteMessage(context.Context, *azservicebus.ReceivedMessage, *azservicebus.CompleteMessageOptions) error {
	if s.left.Add(-1) == 0 {
		close(s.done)
	}
	return nil
}

// A guard against what is added to each delivery without being noticed; how long one takes is for the benchmarks to say.
// It measures alone: allocations are counted for the whole process. The least of some runs counts: the runtime and the
// race detector, which empties pools at random, add some.
func TestDeliveryCostsFewAllocations(t *testing.T) {
	const most = 34 // 21 to 24 on two processors; 29 to 31 on one, where each message has a receive of its own
	least := math.Inf(1)
	for range 5 {
		least = min(least, allocationsEach(t))
	}
	if least > most {
		t.Errorf("%.1f allocations for each delivery, want at most %d", least, most)
	} else {
		t.Logf("%.1f allocations for each delivery", least)
	}
}

// allocationsEach runs a worker through a stockpile and returns what each delivery allocated.
func allocationsEach(t *testing.T) float64 {
	t.Helper()
	const n = 5_000
	queue := &stockpile{scripted: newScripted(), messages: messages(n), done: make(chan struct{})}
	queue.left.Store(n)
	until := time.Now().Add(time.Minute)
	for _, m := range queue.messages {
		m.LockedUntil, m.DeliveryCount = &until, 1
	}
	config := Defaults()
	config.Handler, config.Metrics = always(handler.Terminated), metrics.New(prometheus.NewRegistry(), "test", []string{account})
	config.Log = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zapcore.InfoLevel))
	config.Gates = NewGates([]string{account}, 0, config.Metrics, config.Log)
	w := assemble(config, func() (*connection, error) {
		return &connection{receiver: queue, sender: queue, close: queue.close, ended: func() error { return nil }}, nil
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan Report, 1)
	go func() { ended <- w.Run(ctx) }()
	<-queue.done
	runtime.ReadMemStats(&after)
	stop()
	<-ended
	return float64(after.Mallocs-before.Mallocs) / n
}
