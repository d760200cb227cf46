// Package codec turns the AMQP 1.0 type system (part 1 of the standard) into Go
// values and back. It does no I/O and knows no performative and no message.
//
// # Go types
//
// The Go type of a value alone decides its AMQP type, so that whoever builds a
// reply chooses between int and long by writing int32 or int64:
//
//	null                     nil
//	boolean                  bool
//	ubyte ushort uint ulong  uint8 uint16 uint32 uint64
//	byte short int long      int8 int16 int32 int64
//	float double             float32 float64
//	char                     Char
//	decimal32/64/128         Decimal32 Decimal64 Decimal128
//	timestamp                time.Time, in milliseconds
//	uuid                     UUID
//	binary string symbol     []byte string Symbol
//	list map                 []any Map
//	array                    []bool … []UUID, or Array where Go has no slice of its own
//	described                Described
//
// Go's int and uint are refused: the peer would see a width that nobody chose.
// Encoding takes the shortest form of a type (smallint for a small int), which
// every client under test reads; a value keeps its type through a round trip,
// not its exact bytes. What must keep its bytes is carried raw and cut out with
// [Skip].
//
// # Bounds
//
// Input comes from a peer, so decoding never trusts a length: every size is
// held against the bytes that are really there before anything is allocated,
// nesting ends at 32 levels, and a non-empty array of zero-width elements is
// refused, because a count alone would then decide how much memory it takes.
// Decoded binary values alias the input.
package codec
