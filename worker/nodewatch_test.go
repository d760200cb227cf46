package worker

import (
	"encoding/binary"
	"testing"
)

// frameOf makes a frame on a channel with a performative whose fields are encoded already.
func frameOf(channel uint16, performative byte, fields int, list string) []byte {
	body := append([]byte{0, 0x53, performative, 0xc0, byte(len(list) + 1), byte(fields)}, list...)
	frame := binary.BigEndian.AppendUint32(nil, uint32(frameHeader+len(body)))
	frame = append(frame, 2, 0)
	return append(binary.BigEndian.AppendUint16(frame, channel), body...)
}

func attachOf(channel uint16, handle byte, address string) []byte {
	name := "\xa1\x04link"
	return frameOf(channel, performativeAttach, 4, name+"\x52"+string(handle)+"\x41\xa1"+string(rune(len(address)))+address)
}

// The link of the receiver is the first to a management node. Only the broker's end of it matters: another link may come and go.
func TestEndOfTheReceiversManagementLinkIsNoticed(t *testing.T) {
	t.Parallel()
	detach := func(channel uint16, handle byte) []byte {
		return frameOf(channel, performativeDetach, 1, "\x52"+string(handle))
	}
	end := func(channel uint16) []byte { return frameOf(channel, performativeEnd, 0, "") }
	attached := [][]byte{
		attachOf(1, 0, "requests"),                // the receive link
		attachOf(2, 0, "requests/$management"),    // requests to the node
		attachOf(2, 1, "requests/$management-to"), // and its answers
		attachOf(3, 0, "requests"),                // the sender's own
		attachOf(4, 0, "requests/$management"),
	}
	for name, c := range map[string]struct {
		last    []byte
		severed bool
	}{
		"nothing":                             {nil, false},
		"the link for requests":               {detach(2, 0), true},
		"the link for answers":                {detach(2, 1), true},
		"their session":                       {end(2), true},
		"another link of their session":       {detach(2, 7), false},
		"the receive link":                    {detach(1, 0), false},
		"the session of the sender":           {end(3), false},
		"the sender's management link":        {detach(4, 0), false},
		"a detach without fields":             {frameOf(2, performativeDetach, 0, ""), false},
		"a message that names such a link":    {frameOf(2, 0x14, 1, "\xa1\x0b$management"), false},
		"the same link, ended twice":          {append(detach(2, 0), detach(2, 0)...), true},
		"an attach that ends in the middle":   {attachOf(2, 0, "requests/$management")[:14], false},
		"a frame with nothing in it but that": {[]byte{0, 0, 0, 8, 2, 0, 0, 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newNodeWatch()
			watch := frameWatch{other: w.incoming}
			for _, frame := range attached {
				_, _ = watch.feed(frame)
			}
			_, _ = watch.feed(c.last)
			if got := isOver(w.severed); got != c.severed {
				t.Errorf("noticed: %t, want %t", got, c.severed)
			}
		})
	}
}
