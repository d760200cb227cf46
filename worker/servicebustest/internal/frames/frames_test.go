package frames

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"batchterminator/worker/servicebustest/internal/codec"
)

// vectors reads frame bodies that the real client has sent.
func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "..", "testdata", "amqp", "frame-*.hex"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, digits, _ := strings.Cut(string(text), "\n") // behind the line of comment
		b, err := hex.DecodeString(strings.Join(strings.Fields(digits), ""))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[strings.TrimSuffix(filepath.Base(file), ".hex")] = b
	}
	return out
}

// decoded reads a performative of any kind, and encodes it again.
func decoded(body []byte) (v any, again []byte, err error) {
	code, fields, err := Split(body)
	if err != nil {
		return nil, nil, err
	}
	switch code {
	case CodeOpen:
		return reread(&Open{}, fields)
	case CodeBegin:
		return reread(&BeginSession{}, fields)
	case CodeAttach:
		return reread(&Attach{}, fields)
	case CodeFlow:
		return reread(&Flow{}, fields)
	case CodeTransfer:
		var t Transfer
		payload, err := t.Decode(fields)
		return t, append(t.append(nil), payload...), err
	case CodeDisposition:
		return reread(&Disposition{}, fields)
	case CodeDetach:
		return reread(&Detach{}, fields)
	case CodeEnd:
		return reread(&EndSession{}, fields)
	case CodeClose:
		return reread(&Close{}, fields)
	case CodeSASLMechanisms:
		return reread(&SASLMechanisms{}, fields)
	case CodeSASLInit:
		return reread(&SASLInit{}, fields)
	case CodeSASLOutcome:
		return reread(&SASLOutcome{}, fields)
	}
	return nil, nil, errors.New("unknown performative")
}

// reread decodes into p, a pointer to a performative T.
func reread[T Performative, P interface {
	*T
	Decode(b []byte) error
}](p P, fields []byte) (any, []byte, error) {
	if err := p.Decode(fields); err != nil {
		return nil, nil, err
	}
	return *p, (*p).append(nil), nil
}

func TestFramesOfTheRealClientDecode(t *testing.T) {
	t.Parallel()
	zero := codec.Some[uint32](0)
	deadLetter := &Error{Condition: "com.microsoft:dead-letter", Info: codec.Map{
		{Key: "DeadLetterReason", Value: "bad"}, {Key: "DeadLetterErrorDescription", Value: ""},
	}}
	want := map[string]any{
		"frame-sasl-init":               SASLInit{Mechanism: "ANONYMOUS", InitialResponse: []byte("anonymous")},
		"frame-open":                    Open{Hostname: "localhost", MaxFrameSize: codec.Some[uint32](65536), IdleTimeout: codec.Some[uint32](30000)},
		"frame-begin":                   BeginSession{IncomingWindow: 5000, OutgoingWindow: 5000, HandleMax: codec.Some[uint32](4294967294)},
		"frame-attach-receiver":         Attach{Role: RoleReceiver, ReceiverMode: codec.Some(ReceiverSecond), Source: Terminus{Address: "q"}},
		"frame-attach-sender":           Attach{SenderMode: codec.Some(SenderMixed), ReceiverMode: codec.Some(ReceiverFirst), Target: Terminus{Address: "q"}, InitialDeliveryCount: zero},
		"frame-flow":                    Flow{NextIncomingID: zero, IncomingWindow: 5000, OutgoingWindow: 5000, Handle: zero, DeliveryCount: zero, LinkCredit: codec.Some[uint32](4)},
		"frame-transfer":                Transfer{DeliveryID: zero, DeliveryTag: make([]byte, 8), MessageFormat: zero},
		"frame-disposition-accepted":    Disposition{Role: RoleReceiver, State: Accepted{}},
		"frame-disposition-defer":       Disposition{Role: RoleReceiver, First: 1, State: Modified{UndeliverableHere: true}},
		"frame-disposition-dead-letter": Disposition{Role: RoleReceiver, First: 2, State: Rejected{deadLetter}},
		"frame-disposition-abandon":     Disposition{Role: RoleReceiver, First: 3, State: Modified{}},
		"frame-detach":                  Detach{Closed: true},
		"frame-end":                     EndSession{},
		"frame-close":                   Close{},
	}
	for name, body := range vectors(t) {
		got, _, err := decoded(body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want[name], withoutNames(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// withoutNames blanks what a client draws by lot or what only repeats another field.
func withoutNames(v any) any {
	switch p := v.(type) {
	case Open:
		p.ContainerID, p.Properties = "", nil
		return p
	case Attach:
		p.Name, p.Source.Raw, p.Target.Raw = "", nil, nil
		return p
	case SASLInit:
		p.Hostname = ""
		return p
	}
	return v
}

func TestPerformativesSurviveARoundTrip(t *testing.T) {
	t.Parallel()
	failure := &Error{Condition: "amqp:not-found", Description: "gone", Info: codec.Map{{Key: codec.Symbol("k"), Value: int64(1)}}}
	one := codec.Some[uint32](1)
	for _, p := range []Performative{
		Open{ContainerID: "c", Hostname: "h", MaxFrameSize: one, ChannelMax: codec.Some[uint16](9), IdleTimeout: one, Properties: []byte{0xc1, 1, 0}},
		BeginSession{RemoteChannel: codec.Some[uint16](3), NextOutgoingID: 1, IncomingWindow: 2, OutgoingWindow: 3, HandleMax: one},
		Attach{Name: "n", Handle: 1, Role: RoleReceiver, Source: Source("s"), Target: Target("t"), SenderMode: codec.Some(SenderSettled), MaxMessageSize: codec.Some[uint64](1 << 40)},
		Flow{NextIncomingID: one, Handle: one, DeliveryCount: one, LinkCredit: one, Available: one, Drain: true, Echo: true},
		Transfer{Handle: 300, DeliveryID: one, DeliveryTag: []byte("tag"), Settled: true, More: true, Resume: true, Aborted: true},
		Disposition{Role: RoleReceiver, First: 1, Last: one, Settled: true, State: Rejected{failure}},
		Disposition{State: Modified{DeliveryFailed: true, UndeliverableHere: true, Annotations: codec.Map{{Key: "a", Value: "b"}}}},
		Disposition{State: Released{}}, Disposition{State: Received{}}, Disposition{State: Transactional{}}, Disposition{},
		Detach{Handle: 1, Closed: true, Error: failure}, EndSession{failure}, Close{failure},
		SASLMechanisms{[]codec.Symbol{"A", "B"}}, SASLOutcome{1},
	} {
		got, again, err := decoded(p.append(nil))
		if err != nil {
			t.Errorf("%T: %v", p, err)
			continue
		}
		if diff := cmp.Diff(any(p), got); diff != "" {
			t.Errorf("%T (-want +got):\n%s", p, diff)
		}
		if first := p.append(nil); !bytes.Equal(first, again) || !bytes.HasPrefix(first, []byte{0x00, 0x53}) {
			t.Errorf("%T: encoded % x, then % x", p, first, again)
		}
	}
}

func TestMandatoryFieldsAreDemanded(t *testing.T) {
	t.Parallel()
	for _, code := range []byte{CodeBegin, CodeAttach, CodeFlow, CodeTransfer, CodeDisposition, CodeDetach} {
		if v, _, err := decoded([]byte{0x00, 0x53, code, 0x45}); err == nil {
			t.Errorf("%#02x without fields decodes to %+v", code, v)
		}
	}
}

func TestFrameHeaderIsHeldAgainstTheLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header []byte
		want   error
	}{
		"at the limit":           {[]byte{0, 0, 2, 0, 2, 0, 0, 7}, nil},
		"over the limit":         {[]byte{0, 0, 2, 1, 2, 0, 0, 0}, ErrTooLarge},
		"shorter than a header":  {[]byte{0, 0, 0, 7, 2, 0, 0, 0}, ErrHeader},
		"body before the header": {[]byte{0, 0, 0, 8, 1, 0, 0, 0}, ErrHeader},
		"body behind the end":    {[]byte{0, 0, 0, 8, 3, 0, 0, 0}, ErrHeader},
	} {
		h, err := ParseHeader(c.header, 512)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}

func TestTransferIsCutAtTheFrameLimit(t *testing.T) {
	t.Parallel()
	payload := bytes.Repeat([]byte("0123456789"), 100)
	first := Transfer{Handle: 1, DeliveryID: codec.Some[uint32](1), DeliveryTag: make([]byte, 16), MessageFormat: codec.Some[uint32](0)}
	var joined []byte
	for rest, frames := payload, 0; ; frames++ {
		var frame []byte
		frame, rest = AppendTransfer(nil, 5, first, rest, 512)
		h, err := ParseHeader(frame, 512)
		if err != nil || int(h.Size) != len(frame) || h.Channel != 5 {
			t.Fatalf("frame %d: %+v, %v", frames, h, err)
		}
		_, fields, err := Split(frame[h.Offset:])
		if err != nil {
			t.Fatal(err)
		}
		var got Transfer
		part, err := got.Decode(fields)
		if err != nil || got.More != (len(rest) > 0) || got.More && len(frame) != 512 {
			t.Fatalf("frame %d of %d bytes, more %t with %d to come, %v", frames, len(frame), got.More, len(rest), err)
		}
		joined = append(joined, part...)
		if first = (Transfer{Handle: 1}); len(rest) == 0 {
			break
		}
	}
	if !bytes.Equal(joined, payload) {
		t.Error("the parts are not the whole")
	}
}

func FuzzPerformative(f *testing.F) {
	for _, b := range vectors(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, again, err := decoded(body)
		if err != nil {
			return
		}
		back, _, err := decoded(again)
		if err != nil {
			t.Fatalf("%+v encodes to % x: %v", v, again, err)
		}
		if _, third, _ := decoded(again); !bytes.Equal(third, again) {
			t.Fatalf("%+v becomes %+v", v, back)
		}
	})
}
