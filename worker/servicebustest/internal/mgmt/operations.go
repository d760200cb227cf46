package mgmt

import (
	"slices"
	"time"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/dialect"
	"batchterminator/worker/servicebustest/internal/message"
)

// Service Bus: a peek returns at most 250 messages and about as many bytes as one message may have.
const (
	maxPeeked      = 250
	maxPeekedBytes = 256 << 10
)

// done is the body of a reply that has nothing to say but its status.
var done = codec.Map{}

func renewLock(q target, req codec.Map) (codec.Map, error) {
	tokens, err := lockTokens(req)
	if err != nil {
		return nil, err
	}
	until, err := q.Renew(tokens...)
	if err != nil {
		return nil, err
	}
	return codec.Map{{Key: "expirations", Value: slices.Repeat([]time.Time{until}, len(tokens))}}, nil
}

func peekMessage(q target, req codec.Map) (codec.Map, error) {
	from, err := number(req, "from-sequence-number")
	if err != nil {
		return nil, err
	}
	count, err := number(req, "message-count")
	if err != nil {
		return nil, err
	}
	if count < 1 {
		return nil, badArgument("message-count is %d, not positive", count)
	}
	session, inSession, err := optionalText(req, "session-id")
	if err != nil {
		return nil, err
	}
	count = min(count, maxPeeked)
	var found []broker.Stored
	if inSession {
		found = q.PeekSession(session, from, int(count))
	} else {
		found = q.Peek(from, int(count))
	}
	var peeked []any
	size := 0
	for _, m := range found {
		encoded := dialect.EncodePeeked(m)
		if size += len(encoded); size > maxPeekedBytes && len(peeked) > 0 {
			break
		}
		peeked = append(peeked, codec.Map{{Key: "message", Value: encoded}})
	}
	if peeked == nil {
		return nil, nil
	}
	return codec.Map{{Key: "messages", Value: peeked}}, nil
}

func receiveBySequenceNumber(q target, req codec.Map) (codec.Map, error) {
	numbers, err := sequenceNumbers(req)
	if err != nil {
		return nil, err
	}
	settleMode, err := number(req, "receiver-settle-mode")
	if err != nil {
		return nil, err
	}
	mode := broker.ReceiveAndDelete
	if settleMode == 1 {
		mode = broker.PeekLock
	}
	from, err := q.settler(req)
	if err != nil {
		return nil, err
	}
	stored, err := from.ReceiveDeferred(numbers, mode)
	if err != nil {
		return nil, err
	}
	received := make([]any, len(stored))
	for i, m := range stored {
		received[i] = codec.Map{
			{Key: "message", Value: dialect.EncodeDeferred(m)},
			{Key: "lock-token", Value: codec.UUID(m.LockToken)},
		}
	}
	return codec.Map{{Key: "messages", Value: received}}, nil
}

// dispositions are the settlements by token. Service Bus spells them like this.
var dispositions = map[string]broker.OutcomeKind{
	"completed": broker.Complete, "abandoned": broker.Abandon, "suspended": broker.DeadLetter, "defered": broker.Defer,
}

func updateDisposition(q target, req codec.Map) (codec.Map, error) {
	tokens, err := lockTokens(req)
	if err != nil {
		return nil, err
	}
	status, err := text(req, "disposition-status")
	if err != nil {
		return nil, err
	}
	kind, ok := dispositions[status]
	if !ok {
		return nil, badArgument("disposition-status is %q", status)
	}
	outcome := broker.Outcome{Kind: kind}
	if outcome.Reason, err = text(req, "deadletter-reason"); err != nil {
		return nil, err
	}
	if outcome.Description, err = text(req, "deadletter-description"); err != nil {
		return nil, err
	}
	if v, _ := req.Get("properties-to-modify"); v != nil {
		properties, ok := v.(codec.Map)
		if !ok {
			return nil, badArgument("properties-to-modify is %T, not a map", v)
		}
		outcome.Properties = dialect.Properties(properties)
	}
	in, err := q.settler(req)
	if err != nil {
		return nil, err
	}
	return done, in.Settle(outcome, tokens...)
}

func scheduleMessage(q target, req codec.Map) (codec.Map, error) {
	v, _ := req.Get("messages")
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, badArgument("messages is %T, not a list of messages", v)
	}
	messages := make([]broker.Message, len(list))
	for i, e := range list {
		entry, _ := e.(codec.Map)
		v, _ := entry.Get("message")
		encoded, ok := v.([]byte)
		if !ok {
			return nil, badArgument("message %d is %T, not binary", i, v)
		}
		// Parse keeps what it is given, which here is part of a whole request.
		m, err := message.Parse(slices.Clone(encoded))
		if err != nil {
			return nil, badArgument("message %d: %v", i, err)
		}
		messages[i] = dialect.Message(m, len(encoded))
	}
	numbers, err := q.Enqueue(messages...)
	if err != nil {
		return nil, err
	}
	return codec.Map{{Key: "sequence-numbers", Value: numbers}}, nil
}

func cancelScheduledMessage(q target, req codec.Map) (codec.Map, error) {
	numbers, err := sequenceNumbers(req)
	if err != nil {
		return nil, err
	}
	return done, q.Cancel(numbers...)
}
