package transport

import (
	"strings"
	"sync"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/message"
)

// bench is the least namespace the transport can be tested against: queues without
// lock expiry, a $cbs that believes everything, a $management that echoes.
type bench struct {
	mu     sync.Mutex
	queues map[string]*queue // by lower-case name, under mu
	limit  uint64            // MaxMessageSize of every sink
	asked  []*sessionRequest // for sessions, under mu
}

func newBench() *bench { return &bench{queues: map[string]*queue{}, limit: 4 << 20} }

func (b *bench) queue(name string) *queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[strings.ToLower(name)]
	if q == nil {
		q = &queue{bench: b, locked: map[codec.UUID]*stored{}, watchers: map[int]func(){}}
		b.queues[strings.ToLower(name)] = q
	}
	return q
}

type stored struct {
	m   *message.Message
	seq int64
	dc  uint32
}

type settled struct {
	seq     int64
	outcome Outcome
}

type queue struct {
	bench *bench

	mu       sync.Mutex
	ready    []*stored
	locked   map[codec.UUID]*stored
	seq      int64
	token    byte
	history  []settled
	watchers map[int]func()
	lastWake int
	opened   int
	closed   int
}

// put stores messages with the given bodies.
func (q *queue) put(bodies ...[]byte) {
	for _, b := range bodies {
		m := &message.Message{}
		m.SetData(b)
		_ = q.Accept([]*message.Message{m}) // never refuses
	}
}

func (q *queue) counts() (ready, locked int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.ready), len(q.locked)
}

func (q *queue) outcomes() []settled {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]settled(nil), q.history...)
}

// unlock forgets every lock, as if it had run out and the message were gone.
func (q *queue) unlock() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.locked)
}

func (q *queue) Accept(msgs []*message.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range msgs {
		if subject := m.Properties().Subject; subject == "refuse me" {
			return &Error{Condition: "com.microsoft:entity-disabled", Description: "the queue is closed"}
		}
	}
	for _, m := range msgs {
		m.Strip()
		q.seq++
		q.ready = append(q.ready, &stored{m: m, seq: q.seq})
	}
	q.wakeAll()
	return nil
}

// wakeAll is called under mu; wake may be called so too, as it never blocks.
func (q *queue) wakeAll() {
	for _, wake := range q.watchers {
		wake()
	}
}

func (q *queue) MaxMessageSize() uint64 { return q.bench.limit }

func (b *bench) OpenSource(l Link) (Source, error) {
	if strings.HasPrefix(l.Address, "missing") {
		return nil, &Error{Condition: "amqp:not-found", Description: "The messaging entity '" + l.Address + "' could not be found."}
	}
	q := b.queue(l.Address)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.opened++
	return &source{queue: q, mode: l.Mode}, nil
}

func (b *bench) OpenSession(l Link, opened func(SessionSource, error)) (cancel func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := &sessionRequest{link: l, opened: opened}
	b.asked = append(b.asked, r)
	return func() { r.cancelled.Add(1) }
}

func (b *bench) OpenSink(l Link) (Sink, error) { return b.queue(l.Address), nil }

func (b *bench) OpenNode(l Link) (Node, error) {
	if l.Address == "$cbs" || strings.HasSuffix(l.Address, "/$management") {
		return &node{b}, nil
	}
	return nil, nil
}

type source struct {
	*queue
	mode SettleMode
}

func (s *source) Acquire(into []Delivery, limit int) []Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; limit > 0 && len(s.ready) > 0; limit-- {
		st := s.ready[0]
		s.ready = s.ready[1:]
		s.token++
		token := codec.UUID{0: 0x10, 1: 0x11, 2: 0x12, 3: 0x13, 4: 0x14, 5: 0x15, 14: byte(st.seq), 15: s.token}
		d := message.Delivery{DeliveryCount: st.dc, EnqueuedTime: time.Now(), SequenceNumber: st.seq}
		if s.mode == PeekLock {
			d.LockToken, d.LockedUntil = token, time.Now().Add(time.Minute)
		}
		s.locked[token] = st
		into = append(into, Delivery{Token: token, Payload: st.m.AppendDelivery(nil, d)})
	}
	return into
}

func (s *source) Settle(token codec.UUID, o Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.locked[token]
	if st == nil {
		return &Error{Condition: condLockLost, Description: lockLostText}
	}
	delete(s.locked, token)
	s.history = append(s.history, settled{st.seq, o})
	if o.Settlement == Release || o.Settlement == Abandon {
		if o.Settlement == Abandon {
			st.dc++
		}
		s.ready = append([]*stored{st}, s.ready...)
		s.wakeAll()
	}
	return nil
}

func (s *source) Watch(wake func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastWake++
	n := s.lastWake
	s.watchers[n] = wake
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, n)
	}
}

func (s *source) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
}

type node struct{ *bench }

func (n *node) Respond(r Request, req *message.Message) *message.Message {
	resp := &message.Message{}
	set := func(key string, v any) {
		if err := resp.ApplicationProperties.Set(key, v); err != nil {
			panic(err)
		}
	}
	if r.Link.Address == "$cbs" {
		set("status-code", int32(202))
		set("status-description", "Accepted")
		return resp
	}
	set("statusCode", int32(200))
	set("statusDescription", "OK")
	if v, _ := req.ApplicationProperties.Get("operation"); v == "com.microsoft:renew-lock" {
		until := []time.Time{time.Now().Add(time.Hour)}
		if err := resp.SetValue(codec.Map{{Key: "expirations", Value: until}}); err != nil {
			panic(err)
		}
	}
	return resp
}
