package servicebustest_test

import (
	"net"
	"testing/synctest"
	"time"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
	"batchterminator/worker/servicebustest/internal/message"
)

// script is the input of a fuzz target read as a program. Every byte string is a program, and a program that has run
// out reads zeros, so that cutting bytes off keeps its beginning.
type script struct{ rest []byte }

func (s *script) byte() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

func (s *script) bool() bool { return s.byte()&1 == 1 }

func (s *script) take(n int) []byte {
	n = min(n, len(s.rest))
	b := s.rest[:n:n]
	s.rest = s.rest[n:]
	return b
}

func pick[T any](s *script, from ...T) T { return from[int(s.byte())%len(from)] }

// number is a small number, or one of those at which serial arithmetic and announced limits turn.
func (s *script) number() uint32 {
	b := s.byte()
	if b < 200 {
		return uint32(b) % 8
	}
	return pick(s, uint32(64), 255, 256, 999, 1000, 2047, 4999, 5000, 5001, 65535, 65536, 1<<31-1, 1<<31, 1<<32-1)
}

func (s *script) optional() codec.Option[uint32] {
	if s.bool() {
		return codec.Some(s.number())
	}
	return codec.Option[uint32]{}
}

// adversary plays a script against a connection: frames in any order with any numbers, some of them damaged, cut into
// writes anywhere.
type adversary struct {
	script
	nc  net.Conn
	out []byte
	err error // of the first write that failed
}

func put[P frames.Performative](a *adversary, channel uint16, p P) {
	a.out = frames.Append(a.out, frames.TypeAMQP, channel, p)
}

// greet opens the connection and a session as a client should, so that short scripts get far.
func (a *adversary) greet() {
	a.out = append(a.out, "AMQP\x00\x01\x00\x00"...)
	put(a, 0, frames.Open{ContainerID: "adversary"})
	put(a, 0, frames.BeginSession{IncomingWindow: 1 << 20, OutgoingWindow: 1 << 20})
}

// steps bounds a script: what a server owes for one step is looked at after all of them.
const steps = 100

// play performs the script and then hangs up.
func (a *adversary) play() {
	if a.bool() {
		a.greet()
	}
	for range steps {
		if len(a.rest) == 0 || a.err != nil {
			break
		}
		a.step()
	}
	a.flush()
	synctest.Wait()
	_ = a.nc.Close()
}

// flush writes what has come together. A server that does not read for ten minutes does not read at all.
func (a *adversary) flush() {
	if a.err == nil {
		a.err = a.nc.SetWriteDeadline(time.Now().Add(10 * time.Minute))
	}
	if a.err == nil && len(a.out) > 0 {
		_, a.err = a.nc.Write(a.out)
	}
	a.out = a.out[:0]
}

// step is one decision of the script. It is a switch as long as the protocol has frames.
func (a *adversary) step() {
	switch channel := uint16(0); a.byte() % 20 {
	case 0:
		a.out = append(a.out, "AMQP"...)
		a.out = append(a.out, pick(&a.script, byte(3), 0, 2, 1), 1, 0, 0)
	case 1:
		init := frames.SASLInit{Mechanism: "ANONYMOUS", InitialResponse: make([]byte, pick(&a.script, 0, 9, 600))}
		a.out = frames.Append(a.out, frames.TypeSASL, 0, init)
	case 2:
		put(a, 0, frames.Open{
			ContainerID: "adversary", MaxFrameSize: a.optional(),
			ChannelMax: pick(&a.script, codec.Option[uint16]{}, codec.Some[uint16](0), codec.Some[uint16](9)), IdleTimeout: a.optional(),
		})
	case 3:
		put(a, uint16(a.number()), frames.BeginSession{
			NextOutgoingID: a.number(), IncomingWindow: a.number(), OutgoingWindow: a.number(), HandleMax: a.optional(),
		})
	case 4, 5:
		a.attach()
	case 6, 7:
		put(a, pick(&a.script, channel, 1), frames.Flow{
			NextIncomingID: a.optional(), IncomingWindow: a.number(), OutgoingWindow: a.number(), Handle: a.optional(),
			DeliveryCount: a.optional(), LinkCredit: a.optional(), Drain: a.bool(), Echo: a.bool(),
		})
	case 8, 9:
		a.transfer()
	case 10, 11:
		put(a, pick(&a.script, channel, 1), frames.Disposition{
			Role: !a.bool(), First: a.number(), Last: a.optional(), Settled: a.bool(), State: a.state(),
		})
	case 12:
		put(a, pick(&a.script, channel, 1), frames.Detach{Handle: a.number(), Closed: a.bool()})
	case 13:
		put(a, uint16(a.number()), frames.EndSession{})
	case 14:
		put(a, 0, frames.Close{})
	case 15:
		a.out = frames.End(frames.Begin(a.out, a.byte(), uint16(a.byte())), len(a.out))
	case 16:
		a.out = append(a.out, a.take(int(a.byte()))...)
	case 17:
		a.damage()
	case 18:
		a.flush()
		synctest.Wait()
	default:
		a.flush()
		time.Sleep(pick(&a.script, time.Millisecond, time.Second, time.Minute+time.Second, 5*time.Minute)) // virtual
	}
}

func (a *adversary) attach() {
	address := pick(&a.script, queueName, queueName+"/$deadletterqueue", queueName+"/$management", "$cbs", "missing", "", "$management",
		sessionsName, sessionsName+"/$management", topicName, topicName+"/subscriptions/all")
	source := frames.Source(address)
	if sessions := a.byte(); sessions&1 == 1 {
		source = withSession(address, pick[any](&a.script, nil, "", "s", codec.Described{Descriptor: sessionFilter, Value: "s"}, int32(1)))
	}
	put(a, pick(&a.script, uint16(0), 1), frames.Attach{
		Name: pick(&a.script, "a", "b", "c", "d"), Handle: a.number(), Role: a.bool(),
		SenderMode: codec.Option[uint8]{Value: a.byte() % 3, Set: a.bool()}, Source: source, Target: frames.Target(address),
	})
}

const sessionsName = "ordered"

// sessionFilter is what Service Bus names the session that a receiver wants.
const sessionFilter = codec.Symbol("com.microsoft:session-filter")

// withSession is a source with a session filter.
func withSession(address string, session any) frames.Terminus {
	const descriptor = 0x28
	raw, err := codec.Append(nil, codec.Described{Descriptor: uint64(descriptor), Value: []any{
		address, nil, nil, nil, nil, nil, nil, codec.Map{{Key: sessionFilter, Value: session}},
	}})
	if err != nil {
		panic(err) // all of these types encode
	}
	return frames.Terminus{Raw: raw, Address: address}
}

func (a *adversary) transfer() {
	t := frames.Transfer{
		Handle: a.number(), DeliveryID: a.optional(), Settled: a.bool(), Resume: a.byte()%16 == 1, Aborted: a.byte()%16 == 1,
		MessageFormat: pick(&a.script, codec.Some[uint32](0), codec.Some[uint32](message.BatchFormat), codec.Option[uint32]{}),
	}
	payload := a.payload()
	// A limit below the size of the payload sets more and leaves the delivery open.
	limit := pick(&a.script, uint32(1<<20), uint32(64+len(payload)/2))
	a.out, _ = frames.AppendTransfer(a.out, pick(&a.script, uint16(0), 1), t, payload, limit)
}

func (a *adversary) payload() []byte {
	m := &message.Message{}
	switch a.byte() % 6 {
	case 0:
		m.SetData([]byte("sent by the adversary"))
	case 5:
		m.SetData([]byte("for a session"))
		if err := m.SetProperties(message.Properties{GroupID: codec.Some(pick(&a.script, "", "s", "t"))}); err != nil {
			panic(err) // there is no id that could be of a wrong type
		}
	case 1:
		m.SetData([]byte("first"))
		one := m.Append(nil)
		m.SetData(one, one, a.take(int(a.byte()%8)))
	case 2:
		m.SetData(make([]byte, pick(&a.script, 1, 10_000, 300_000)))
	case 3:
		return a.take(int(a.byte()))
	default:
		return a.request()
	}
	return m.Append(nil)
}

// state is an outcome, perhaps with what travels along.
func (a *adversary) state() frames.State {
	with := codec.Map{{Key: codec.Symbol("DeadLetterReason"), Value: "why"}, {Key: "count", Value: int64(a.byte())}}
	return pick[frames.State](&a.script,
		frames.Accepted{}, frames.Released{}, frames.Rejected{}, frames.Modified{}, frames.Modified{UndeliverableHere: true},
		frames.Modified{DeliveryFailed: true, Annotations: with}, frames.Received{}, frames.Transactional{}, nil,
		frames.Rejected{Error: &frames.Error{Condition: "com.microsoft:dead-letter", Info: with}},
	)
}

// request is a request to a node, with arguments of many types.
func (a *adversary) request() []byte {
	m := &message.Message{}
	operation := pick(&a.script, "renew-lock", "peek-message", "receive-by-sequence-number", "update-disposition",
		"schedule-message", "cancel-scheduled-message", "set-session-state", "get-message-sessions", "add-rule")
	body := codec.Map{}
	for _, key := range []string{"lock-tokens", "sequence-numbers", "from-sequence-number", "message-count", "receiver-settle-mode",
		"disposition-status", "properties-to-modify", "messages", "session-id"} {
		if v := a.argument(); v != nil {
			body = append(body, codec.Pair{Key: key, Value: v})
		}
	}
	err := m.ApplicationProperties.Set("operation", "com.microsoft:"+operation)
	if err == nil {
		err = m.SetValue(body)
	}
	if err != nil {
		panic(err) // all of these types encode
	}
	return m.Append(nil)
}

func (a *adversary) argument() any {
	return pick[any](&a.script,
		nil, int32(1), int64(-1), uint64(1<<63), "completed", "defered", "suspended", "abandoned", true, []byte("text"),
		[]int64{1, 2}, []any{int64(1), "two"}, []codec.UUID{{}}, codec.Map{{Key: "k", Value: "v"}}, time.UnixMilli(0),
		[]any{codec.Map{{Key: "message", Value: []byte{0, 0x53, 0x75, 0xa0, 0}}}}, []int64{}, codec.Map{},
	)
}

// damage changes a byte of what is not yet written.
func (a *adversary) damage() {
	at, by := int(a.byte())<<8|int(a.byte()), a.byte()
	if len(a.out) > 0 {
		a.out[at%len(a.out)] ^= by
	}
}
