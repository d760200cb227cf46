package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
	"batchterminator/worker/servicebustest/internal/message"
)

// endless is a source that never runs dry and costs next to nothing, so that what is
// measured is the transport.
type endless struct{ payload []byte }

func (e endless) OpenSource(Link) (Source, error)                              { return e, nil }
func (e endless) OpenSink(Link) (Sink, error)                                  { return nil, refusef(condNotAllowed, "receive only") }
func (e endless) OpenNode(Link) (Node, error)                                  { return nil, nil }
func (e endless) OpenSession(Link, func(SessionSource, error)) (cancel func()) { return func() {} }
func (e endless) Acquire(into []Delivery, limit int) []Delivery {
	for range limit {
		into = append(into, Delivery{Payload: e.payload})
	}
	return into
}
func (endless) Settle(codec.UUID, Outcome) error { return nil }
func (endless) Watch(func()) func()              { return func() {} }
func (endless) Close()                           {}

// BenchmarkReceiveAndComplete measures the server's share of a message received and
// completed, in batches of 250, against a client that parses nothing.
func BenchmarkReceiveAndComplete(b *testing.B) {
	const batch = 250
	m := &message.Message{}
	m.SetData(make([]byte, 1024))
	payload := m.Append(nil)
	ours, theirs := net.Pipe()
	var serving sync.WaitGroup
	serving.Go(func() { _ = Serve(context.Background(), ours, Config{Namespace: endless{payload}}) })
	greeting, size := hello()
	exchange(b, theirs, greeting, size)
	b.ReportAllocs()
	b.ResetTimer()
	var out []byte
	for next := uint32(0); int(next) < b.N; next += batch {
		out = frames.Append(out[:0], 0, 0, credit(0, next, batch, false))
		want := 0
		for id := next; id < next+batch; id++ {
			want += transferSize(id, payload)
			if next > 0 { // the batch before is completed together with asking for this one
				out = frames.Append(out, 0, 0, frames.Disposition{Role: frames.RoleReceiver, First: id - batch, State: frames.Accepted{}})
				want += answerSize(id - batch)
			}
		}
		exchange(b, theirs, out, want)
	}
	b.StopTimer()
	_ = theirs.Close()
	serving.Wait()
}

// hello is the client's half of an opening, and the size of the server's.
func hello() (out []byte, want int) {
	out = []byte("AMQP\x00\x01\x00\x00")
	out = frames.Append(out, 0, 0, frames.Open{ContainerID: "bench"})
	out = frames.Append(out, 0, 0, frames.BeginSession{IncomingWindow: 1 << 30, OutgoingWindow: 10})
	out = frames.Append(out, 0, 0, frames.Attach{Name: "l", Role: frames.RoleReceiver, Source: frames.Source("q")})
	in := []byte("AMQP\x00\x01\x00\x00")
	in = frames.Append(in, 0, 0, frames.Open{
		ContainerID: "servicebustest", MaxFrameSize: codec.Some[uint32](256 << 10),
		ChannelMax: codec.Some[uint16](channelMax), IdleTimeout: codec.Some[uint32](120_000),
	})
	in = frames.Append(in, 0, 0, frames.BeginSession{
		RemoteChannel: codec.Some[uint16](0), IncomingWindow: window, OutgoingWindow: window, HandleMax: codec.Some[uint32](handleMax),
	})
	in = frames.Append(in, 0, 0, frames.Attach{
		Name: "l", Role: frames.RoleSender, Source: frames.Source("q"), InitialDeliveryCount: codec.Some[uint32](0),
	})
	return out, len(in)
}

func transferSize(id uint32, payload []byte) int {
	t := frames.Transfer{DeliveryID: codec.Some(id), DeliveryTag: make([]byte, 16), MessageFormat: codec.Some[uint32](0)}
	f, _ := frames.AppendTransfer(nil, 0, t, payload, 1<<20)
	return len(f)
}

func answerSize(id uint32) int {
	return len(frames.Append(nil, 0, 0, frames.Disposition{First: id, Last: codec.Some(id), Settled: true, State: frames.Accepted{}}))
}

// exchange writes out and reads want bytes at the same time.
func exchange(b *testing.B, nc net.Conn, out []byte, want int) {
	written := make(chan error, 1)
	go func() { _, err := nc.Write(out); written <- err }()
	_, err := io.CopyN(io.Discard, nc, int64(want))
	if err := errors.Join(err, <-written); err != nil {
		b.Fatal(err)
	}
}
