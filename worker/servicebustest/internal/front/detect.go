package front

import "strings"

// Protocol is what a client speaks.
type Protocol uint8

// The protocols, and Undecided while more bytes are needed.
const (
	Undecided Protocol = iota
	AMQP
	HTTP
	secure
)

// protocolName is how every AMQP header starts (AMQP 1.0 part 2 §2.2).
const protocolName = "AMQP"

// recordHandshake starts the first record of a TLS client (RFC 8446 §5.1).
const recordHandshake = 0x16

// detect judges a connection's first bytes. It never needs more than four: no HTTP method starts with "AMQP".
func detect(first []byte) Protocol {
	if len(first) == 0 {
		return Undecided
	}
	seen := string(first[:min(len(first), len(protocolName))])
	switch {
	case seen == protocolName:
		return AMQP
	case strings.HasPrefix(protocolName, seen):
		return Undecided
	case first[0] == recordHandshake:
		return secure
	case 'A' <= first[0] && first[0] <= 'Z':
		return HTTP
	}
	return AMQP
}
