// Package frames holds the AMQP 1.0 frame and the performatives it carries
// (part 2), one file each, for both directions: the server reads what a client
// writes, and hand-written tests do it the other way round.
//
// Decoding goes into plain values that a caller keeps on its stack, because
// flow, transfer and disposition come once per message. So there is no type for
// "any performative": [Split] gives the descriptor and the caller names the type
// to read. Binary fields alias the frame. A field is an [codec.Option] where
// absent differs from zero, and a plain value where it does not.
//
// Performatives are written with the three-byte descriptor 00 53 code; on the way
// in any numeric form is taken. The termini of an attach are kept as the client
// encoded them, because the reply must repeat them in every detail.
//
// Transactions and dynamic nodes are recognised, to be refused, and not read
// further.
package frames
