// Package admin fits the entities of package broker to the administration API of package atom, as package dialect fits
// them to AMQP. It has no rules of its own but those of the tiers: how large a message may be, and that the size of a
// partitioned entity is that of all its partitions together.
//
// What the API can set and no message can feel (shared access keys, the switch for batched operations) is kept in the
// broker's configuration as an opaque value, so that it lives and dies with the entity.
package admin
