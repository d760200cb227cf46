// Package dialect translates between the rules in package broker, which know no AMQP, and Service Bus's way of
// speaking AMQP: which sections carry what the broker knows about a message, and which condition, status and text
// each refusal has. Delivery on a link, delivery over $management and the management replies all pass here, so they
// cannot disagree.
package dialect
