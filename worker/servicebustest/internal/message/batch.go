package message

import "fmt"

// BatchFormat is the message-format of a batch (Service Bus): each data section
// of the envelope holds one encoded message.
const BatchFormat = 0x80013700

// Split returns the messages of a batch. The envelope's other sections repeat
// those of the first message and mean nothing.
func (m *Message) Split() ([]*Message, error) {
	parts, err := m.Data()
	if err != nil {
		return nil, fmt.Errorf("split batch: %w", err)
	}
	out := make([]*Message, len(parts))
	for i, p := range parts {
		if out[i], err = Parse(p); err != nil {
			return nil, fmt.Errorf("split batch: message %d: %w", i, err)
		}
	}
	return out, nil
}
