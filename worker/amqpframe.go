package worker

// As much of AMQP 1.0's encoding as is needed to look into the frames of a connection.

import (
	"bytes"
	"encoding/binary"
)

// frameBody returns what follows the header of a frame.
func frameBody(frame []byte) []byte {
	return frame[min(len(frame), 4*int(frame[4])):] // doff: the header's length in words
}

// performative reads the descriptor of a frame's body, 0 for none that is a small number. Both of its forms are
// understood (AMQP 1.0 part 1 §1.6.6), for what the broker may write and the SDK may read is not ours to narrow.
func performative(body []byte) byte {
	code, _ := described(body)
	return code
}

// described separates the descriptor from what it describes.
func described(body []byte) (code byte, rest []byte) {
	switch {
	case len(body) >= 3 && body[0] == 0 && body[1] == 0x53: // smallulong
		return body[2], body[3:]
	case len(body) >= 10 && body[0] == 0 && body[1] == 0x80 && binary.BigEndian.Uint64(body[2:]) <= 0xff: // ulong
		return body[9], body[10:]
	}
	return 0, nil
}

// toNode tells whether an attach is to a node that answers requests, rather than to an entity.
func toNode(attach []byte) bool {
	return bytes.Contains(attach, []byte("$management")) || bytes.Contains(attach, []byte("$cbs"))
}

// listFields returns the first fields of a performative, up to most: numbers as they are, false and true as 0 and 1, null
// as -1, text as 0. It ends early at anything else, and where the frame does.
func listFields(body []byte, most int) (fields []int64) {
	_, list := described(body)
	switch { // the size and the number of fields come first (part 1 §1.6.22)
	case len(list) >= 3 && list[0] == 0xc0:
		most, list = min(most, int(list[2])), list[3:]
	case len(list) >= 9 && list[0] == 0xd0:
		most, list = int(min(uint32(most), binary.BigEndian.Uint32(list[5:]))), list[9:]
	default:
		return nil
	}
	for len(fields) < most {
		value, size := field(list)
		if size == 0 || size > len(list) {
			return fields
		}
		fields, list = append(fields, value), list[size:]
	}
	return fields
}

// field reads one value, and how many bytes it takes; 0 for what is not understood.
func field(p []byte) (value int64, size int) {
	if len(p) == 0 {
		return 0, 0
	}
	switch p[0] {
	case 0x40: // null
		return -1, 1
	case 0x41: // true
		return 1, 1
	case 0x42, 0x43: // false, uint 0
		return 0, 1
	}
	if len(p) < 2 {
		return 0, 0
	}
	switch p[0] {
	case 0x52, 0x56: // smalluint, boolean
		return int64(p[1]), 2
	case 0xa1, 0xa3: // str8, sym8
		return 0, 2 + int(p[1])
	}
	if len(p) < 5 {
		return 0, 0
	}
	n := binary.BigEndian.Uint32(p[1:])
	switch p[0] {
	case 0x70: // uint
		return int64(n), 5
	case 0xb1, 0xb3: // str32, sym32
		return 0, int(min(n, 1<<20)) + 5
	}
	return 0, 0
}
