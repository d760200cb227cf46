package servicebustest_test

import (
	"bufio"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"batchterminator/worker/servicebustest"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// taker is a connection that receives on links, by receive-and-delete, and counts.
type taker struct {
	*adversary
	received [2]atomic.Int64 // by handle; written by its reader
	gate     chan struct{}   // nothing is read before it is closed
	order    []uint32        // handles in the order of their transfers; its reader's until it has ended
	reading  sync.WaitGroup
}

func newTaker(t *testing.T, s *servicebustest.Server, links int) *taker {
	t.Helper()
	k := newDeafTaker(t, s, links)
	close(k.gate)
	return k
}

func newDeafTaker(t *testing.T, s *servicebustest.Server, links int) *taker {
	t.Helper()
	nc, err := s.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	k := &taker{adversary: &adversary{nc: nc}, gate: make(chan struct{})}
	k.reading.Go(func() { k.read(t, nc) })
	k.greet()
	for handle := range links {
		put(k.adversary, 0, frames.Attach{
			Name: string(rune('a' + handle)), Handle: uint32(handle), Role: frames.RoleReceiver,
			SenderMode: codec.Some(frames.SenderSettled), Source: frames.Source(queueName),
		})
	}
	k.flush()
	return k
}

func (k *taker) read(t *testing.T, nc net.Conn) {
	r := bufio.NewReaderSize(nc, 4<<10)
	<-k.gate
	for {
		body, err := readFrame(r)
		if err != nil {
			return // the connection has ended
		}
		if code, fields, err := frames.Split(body); err == nil && code == frames.CodeTransfer {
			var f frames.Transfer
			if _, err := f.Decode(fields); err != nil {
				t.Error(err)
			}
			k.received[f.Handle].Add(1)
			k.order = append(k.order, f.Handle)
		}
	}
}

// want gives a link credit for n messages more than it has received.
func (k *taker) want(handle uint32, n int) {
	put(k.adversary, 0, frames.Flow{
		NextIncomingID: codec.Some(uint32(k.received[0].Load() + k.received[1].Load())), IncomingWindow: 1 << 20,
		Handle: codec.Some(handle), DeliveryCount: codec.Some(uint32(k.received[handle].Load())), LinkCredit: codec.Some(uint32(n)),
	})
}

func (k *taker) close() {
	_ = k.nc.Close() // wakes the reader
	k.reading.Wait()
}

// takers runs f with n connections that have a link each, in a bubble.
func takers(t *testing.T, n int, f func(t *testing.T, q *servicebustest.Queue, all []*taker)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := servicebustest.New(t, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
		all := make([]*taker, n)
		for i := range all {
			all[i] = newTaker(t, s, 1)
			defer all[i].close()
		}
		f(t, s.Queue(queueName), all)
	})
}

func send(t *testing.T, q *servicebustest.Queue, n int) {
	t.Helper()
	if err := fill(q, n); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func TestReceiversThatWaitAreServedInTurn(t *testing.T) {
	const connections, mean = 50, 40
	takers(t, connections, func(t *testing.T, q *servicebustest.Queue, all []*taker) {
		for _, k := range all {
			k.want(0, connections*mean)
			k.flush()
		}
		for range connections * mean {
			send(t, q, 1) // everybody would take it
		}
		for i, k := range all {
			if n := k.received[0].Load(); n < mean/4 || n > mean*4 {
				t.Errorf("connection %d received %d of %d messages, the mean is %d", i, n, connections*mean, mean)
			}
		}
	})
}

func TestCreditIsServedWhereverItIs(t *testing.T) {
	const connections, rounds = 200, 5
	takers(t, connections, func(t *testing.T, q *servicebustest.Queue, all []*taker) {
		for round := range int64(rounds) {
			for _, k := range all {
				k.want(0, 1)
				k.flush()
			}
			send(t, q, connections/2)
			send(t, q, connections-connections/2) // for those who have had none
			for i, k := range all {
				if n := k.received[0].Load(); n != round+1 {
					t.Fatalf("connection %d received %d messages in %d rounds of one each", i, n, round+1)
				}
			}
		}
	})
}

func TestLinkWithHugeCreditLeavesOthersTheirTurn(t *testing.T) {
	t.Parallel()
	for _, huge := range []uint32{0, 1} { // whichever asked first
		synctest.Test(t, func(t *testing.T) {
			s := servicebustest.New(t, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
			send(t, s.Queue(queueName), 1000)
			k := newTaker(t, s, 2)
			k.want(0, []int{1 << 30, 100}[huge])
			k.want(1, []int{100, 1 << 30}[huge])
			k.flush()
			synctest.Wait()
			k.close()
			modest, among := k.received[1-huge].Load(), 0
			for _, handle := range k.order[:400] {
				if handle != huge {
					among++
				}
			}
			if modest != 100 || among != 100 {
				t.Errorf("the modest link received %d of 100, %d of them among the first 400 of all", modest, among)
			}
		})
	}
}

func TestReceiverThatDoesNotReadLeavesTheMessagesToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const messages, held = 3000, 2 * 256 // two buffers of 256 KiB, for messages of a kilobyte
		s := servicebustest.New(t, servicebustest.WithQueue(queueName, servicebustest.QueueConfig{}))
		send(t, s.Queue(queueName), messages)
		deaf := newDeafTaker(t, s, 1)
		deaf.want(0, 1<<30)
		deaf.flush()
		synctest.Wait()
		reading := newTaker(t, s, 1)
		reading.want(0, 1<<30)
		reading.flush()
		synctest.Wait()
		if n := reading.received[0].Load(); n < messages-held {
			t.Errorf("the one that reads received %d of %d", n, messages)
		}
		reading.close()
		close(deaf.gate)
		deaf.close()
	})
}
