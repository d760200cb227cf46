package servicebustest_test

import (
	"context"
	"fmt"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest"
)

// FuzzConnection plays any bytes as a client. Whatever they are: nothing panics or hangs (a bubble whose goroutines all
// wait fails by itself), what the server writes keeps the protocol, it allocates no more than a multiple of what it was
// sent, no message is lost or doubled, and the next client is served as if nothing had been.
func FuzzConnection(f *testing.F) {
	for _, seed := range scripts {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 4096 {
			t.Skip("longer scripts repeat themselves")
		}
		before := allocated()
		synctest.Test(t, func(t *testing.T) { assault(t, program) })
		// The bubble, its server and its well-behaved client are in the constant. The largest step is an attach or a
		// message of 300 kB, for a few bytes of script.
		if used := allocated() - before; used > 16<<20+uint64(len(program))*(2<<20) {
			t.Fatalf("allocated %d bytes for a script of %d", used, len(program))
		}
	})
}

// scripts are programs that reach deep: see adversary.step for the meaning of the numbers.
var scripts = []string{
	"",
	"\x00\x00\x00\x12\x01\x01\x12\x00\x01\x12\x02",
	"\x01\x04\x00\x00\x00\x00\x01\x00\x00\x12\x06\x00\x00\x00\x05\x05\x01\x00\x01\x00\x01\x05\x00\x00\x12\x0a\x00\x00\x00\x01\x03\x00\x00\x00",
	"\x01\x04\x00\x00\x00\x00\x00\x00\x00\x12\x08\x00\x01\x00\x00\x02\x02\x00\x00\x00\x00\x12",
	"\x01\x10\x08\xff\xff\xff\xff\x02\x00\x00\x00\x12",
}

func assault(t *testing.T, program []byte) {
	s := servicebustest.New(t,
		servicebustest.WithQueue(queueName, servicebustest.QueueConfig{MaxDeliveryCount: 3}),
		servicebustest.WithQueue(sessionsName, servicebustest.QueueConfig{RequiresSession: true}),
		servicebustest.WithTopic(topicName, servicebustest.TopicConfig{}),
		servicebustest.WithSubscription(topicName, "all", servicebustest.SubscriptionConfig{}))
	q := s.Queue(queueName)
	for i := range 8 {
		if _, err := q.Send(servicebustest.Message{ID: fmt.Sprint("m", i), Body: make([]byte, 100)}); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := s.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var watching sync.WaitGroup
	var j judge
	var breach error
	watching.Go(func() { breach = j.follow(nc) })
	a := &adversary{script: script{program}, nc: nc}
	a.play()
	watching.Wait()
	if breach != nil {
		t.Errorf("the server broke the protocol: %v", breach)
	}
	for _, q := range []*servicebustest.Queue{q, s.Queue(sessionsName), s.Topic(topicName), s.Subscription(topicName, "all")} {
		conserved(t, q)
	}
	time.Sleep(2 * time.Minute) // virtual: what the adversary locked is free, or dead-lettered
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	client := newClient(t, s)
	c := q.Counts()
	r := rig{s, client, q}
	receiver := r.receiver(t)
	complete(t, receiver, receive(t, receiver, c.Active)...)
	conserved(t, q)
	if c := q.Counts(); c.Active != 0 || c.Locked != 0 {
		t.Errorf("after the next client: %+v", c)
	}
}

// conserved asserts that every message is in exactly one place and its history agrees.
func conserved(t *testing.T, q *servicebustest.Queue) {
	t.Helper()
	c := q.Counts()
	if sum := c.Active + c.Locked + c.Deferred + c.Scheduled + c.DeadLettered + c.Completed + c.Expired + c.Cancelled + c.Forwarded; sum != c.Accepted {
		t.Errorf("%d of %d messages are accounted for: %+v", sum, c.Accepted, c)
	}
	if live := len(q.Messages()); live != c.Active+c.Locked+c.Deferred+c.Scheduled {
		t.Errorf("%d live messages, counts say %+v", live, c)
	}
}

// allocated is what the process has allocated since it started.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
