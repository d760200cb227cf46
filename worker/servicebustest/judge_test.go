package servicebustest_test

import (
	"bytes"
	"fmt"
	"io"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// judge reads what the server writes and holds it against the rules that a client relies on (part 2 §2.4-2.6): whatever
// the client did, the server has no excuse.
type judge struct {
	opened, closed bool
	why            string // condition of the close; "" for none
	sessions       map[uint16]*judged
}

// judged is a session as seen from what the server wrote.
type judged struct {
	links    map[uint32]bool // by handle: the server is the sender
	next     uint32          // delivery-id of the next delivery
	numbered bool            // a delivery has been seen
}

// follow reads until the connection ends. All of it is read even after a breach, so that the server never waits.
func (j *judge) follow(r io.Reader) (breach error) {
	j.sessions = map[uint16]*judged{}
	all, _ := io.ReadAll(r) // a cut connection ends like a closed one
	if bytes.HasPrefix(all, []byte("HTTP/1.1")) {
		return nil // what did not start like AMQP
	}
	for len(all) > 0 {
		if len(all) < frames.HeaderSize {
			return nil // cut by a write that did not finish
		}
		if bytes.HasPrefix(all, []byte("AMQP")) {
			all = all[frames.HeaderSize:]
			continue
		}
		h, err := frames.ParseHeader(all, 1<<30)
		if err != nil {
			return err
		}
		if int(h.Size) > len(all) {
			return nil
		}
		body := all[h.Offset:h.Size]
		all = all[h.Size:]
		if len(body) == 0 || h.Type == frames.TypeSASL {
			continue
		}
		if err := j.frame(h.Channel, body); err != nil {
			return err
		}
	}
	return nil
}

func (j *judge) frame(channel uint16, body []byte) error {
	code, fields, err := frames.Split(body)
	if err != nil {
		return err
	}
	switch {
	case j.closed:
		return fmt.Errorf("frame %#02x after close", code)
	case code == frames.CodeOpen && j.opened:
		return fmt.Errorf("a second open")
	case code != frames.CodeOpen && !j.opened:
		return fmt.Errorf("frame %#02x before open", code)
	}
	switch code {
	case frames.CodeOpen:
		j.opened = true
		return nil
	case frames.CodeClose:
		var c frames.Close
		err := c.Decode(fields)
		if c.Error != nil {
			j.why = string(c.Error.Condition)
		}
		j.closed = true
		return err
	case frames.CodeBegin:
		if j.sessions[channel] != nil {
			return fmt.Errorf("begin on channel %d, which is in use", channel)
		}
		j.sessions[channel] = &judged{links: map[uint32]bool{}}
		var b frames.BeginSession
		return b.Decode(fields)
	}
	s := j.sessions[channel]
	if s == nil {
		return fmt.Errorf("frame %#02x on channel %d, which has no session", code, channel)
	}
	if code == frames.CodeEnd {
		delete(j.sessions, channel)
		return nil
	}
	return s.frame(code, fields)
}

func (s *judged) frame(code uint64, fields []byte) error {
	switch code {
	case frames.CodeAttach:
		var a frames.Attach
		if err := a.Decode(fields); err != nil {
			return err
		}
		if _, taken := s.links[a.Handle]; taken {
			return fmt.Errorf("handle %d attached twice", a.Handle)
		}
		s.links[a.Handle] = a.Role == frames.RoleSender
	case frames.CodeDetach:
		var d frames.Detach
		if err := d.Decode(fields); err != nil {
			return err
		}
		if _, attached := s.links[d.Handle]; !attached {
			return fmt.Errorf("detach of handle %d, which is not attached", d.Handle)
		}
		delete(s.links, d.Handle)
	case frames.CodeTransfer:
		return s.transfer(fields)
	case frames.CodeFlow:
		return s.flow(fields)
	case frames.CodeDisposition:
		var d frames.Disposition
		return d.Decode(fields)
	default:
		return fmt.Errorf("frame %#02x", code)
	}
	return nil
}

func (s *judged) transfer(fields []byte) error {
	var t frames.Transfer
	if _, err := t.Decode(fields); err != nil {
		return err
	}
	if !s.links[t.Handle] {
		return fmt.Errorf("transfer on handle %d, on which nothing may be sent", t.Handle)
	}
	if !t.DeliveryID.Set {
		return nil
	}
	// Service Bus clients: rhea throws unless ids are contiguous over all links of a session.
	if s.numbered && t.DeliveryID.Value != s.next {
		return fmt.Errorf("delivery-id %d, want %d", t.DeliveryID.Value, s.next)
	}
	s.next, s.numbered = t.DeliveryID.Value+1, true
	return nil
}

func (s *judged) flow(fields []byte) error {
	var f frames.Flow
	if err := f.Decode(fields); err != nil {
		return err
	}
	if !f.NextIncomingID.Set {
		return fmt.Errorf("flow without next-incoming-id") // go-amqp ends the session
	}
	sends, attached := s.links[f.Handle.Value]
	switch {
	case f.Handle == codec.Option[uint32]{}:
	case !attached:
		return fmt.Errorf("flow for handle %d, which is not attached", f.Handle.Value)
	case !sends && (!f.LinkCredit.Set || !f.DeliveryCount.Set):
		return fmt.Errorf("flow to a sender without credit or count") // go-amqp panics, rhea computes NaN
	}
	return nil
}
