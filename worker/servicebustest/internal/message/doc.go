// Package message holds an AMQP message the way a broker wants it: cut into its
// sections (part 3 §3.2) and otherwise left alone.
//
// A broker changes little of a message: delivery count, a few annotations, and
// on dead-lettering some application properties. All else has to reach the
// receiver as it left the sender, types, order and body kind included. So a
// section stays the bytes it came as until somebody edits it, maps are edited
// entry by entry on their encoded form, and the body is never decoded unless
// asked for. [Message.AppendDelivery] adds what belongs to one delivery while
// encoding, without touching the stored message.
//
// Sections must come in the standard's order with numeric descriptors; anything
// else is refused as undecodable.
//
// A Message may be read by many goroutines at once. Edits replace slices and
// never write into them, so that a [Message.Clone] is a copy of a few words and
// editing either one leaves the other alone.
package message
