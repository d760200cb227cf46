package frames

import (
	"encoding/binary"
	"errors"
	"fmt"

	"batchterminator/worker/servicebustest/internal/codec"
)

// Frame types (part 2 §2.3.1, part 5 §5.3.1).
const (
	TypeAMQP = 0
	TypeSASL = 1
)

// HeaderSize is the size of a frame header without extension, and so of the
// smallest frame: the heartbeat.
const HeaderSize = 8

// MinMaxFrameSize is the smallest max-frame-size a peer may ask for (part 2
// §2.7.1).
const MinMaxFrameSize = 512

// Errors of ParseHeader; any of them is amqp:connection:framing-error.
var (
	ErrTooLarge = errors.New("frame exceeds the maximum frame size")
	ErrHeader   = errors.New("malformed frame header")
)

// Header opens a frame.
type Header struct {
	Size    uint32 // of the whole frame
	Offset  int    // of the body: an extended header is skipped
	Type    uint8
	Channel uint16
}

// ParseHeader reads the first HeaderSize bytes of b and checks the size against
// limit, so that no caller allocates by a size nobody agreed to.
func ParseHeader(b []byte, limit uint32) (Header, error) {
	h := Header{
		Size:    binary.BigEndian.Uint32(b),
		Offset:  int(b[4]) * 4,
		Type:    b[5],
		Channel: binary.BigEndian.Uint16(b[6:]),
	}
	if h.Size < HeaderSize || h.Offset < HeaderSize || uint32(h.Offset) > h.Size {
		return h, fmt.Errorf("%w: size %d, data offset %d", ErrHeader, h.Size, h.Offset)
	}
	if h.Size > limit {
		return h, fmt.Errorf("%w: %d > %d", ErrTooLarge, h.Size, limit)
	}
	return h, nil
}

// Begin reserves a frame header at the end of b; End completes it.
func Begin(b []byte, typ uint8, channel uint16) []byte {
	return append(b, 0, 0, 0, 0, HeaderSize/4, typ, byte(channel>>8), byte(channel))
}

// End writes the size of the frame that starts at start.
func End(b []byte, start int) []byte {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start))
	return b
}

// Performative is what Append can write.
type Performative interface {
	append(b []byte) []byte
}

// Append writes a whole frame without payload.
func Append[P Performative](b []byte, typ uint8, channel uint16, p P) []byte {
	start := len(b)
	return End(p.append(Begin(b, typ, channel)), start)
}

// AppendTransfer writes a transfer frame with as much of payload as fits into
// limit bytes and returns what did not fit. More is set accordingly.
func AppendTransfer(b []byte, channel uint16, t Transfer, payload []byte, limit uint32) (out, rest []byte) {
	start := len(b)
	t.More = false
	b = t.append(Begin(b, TypeAMQP, channel))
	if room := int(limit) - (len(b) - start); len(payload) > room {
		t.More = true
		b = t.append(Begin(b[:start], TypeAMQP, channel))
		room = int(limit) - (len(b) - start)
		payload, rest = payload[:room], payload[room:]
	}
	return End(append(b, payload...), start), rest
}

// Split reads the descriptor of a frame body; fields is what follows it.
func Split(body []byte) (code uint64, fields []byte, err error) {
	code, fields, ok := codec.Descriptor(body)
	if !ok {
		return 0, nil, fmt.Errorf("frame body does not start with a performative")
	}
	return code, fields, nil
}

// errUnless names the performative in an error.
func errUnless(f *codec.Fields, name string) error {
	if err := f.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// fieldsOf opens the field list of the named performative.
func fieldsOf(b []byte, name string) (f codec.Fields, rest []byte, err error) {
	f, rest, err = codec.NewFields(b)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return f, rest, err
}

// missing reports a mandatory field that is absent.
func missing(performative, field string) error {
	return fmt.Errorf("%s: mandatory field %s is absent", performative, field)
}
