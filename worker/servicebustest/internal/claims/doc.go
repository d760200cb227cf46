// Package claims decides who may do what: which tokens are good, what they allow, on which entities, and for how long.
// It knows neither AMQP nor HTTP; both bring their tokens here.
//
//	token ──Authority──► Claim (rights, expiry) ──Book.Grant──► (connection, entity)
//	                                                              │        │
//	                         attach, $management ──Book.Allows────┘        └── expiry: the connection is told
//
// Service Bus: a shared access rule is a key with rights; whoever signs with the key has them. A token speaks for an
// entity and everything below it (dead-letter sub-queue, management node), one for the namespace for all. Who comes
// with a JWT has been given a role in Azure, which nobody here can look up: the token is taken for good, and for all
// rights.
//
// A claim belongs to the connection that showed it. A new one for the same entity takes its place, so that a renewal
// disturbs nothing; a refused one leaves the old one alone. What a claim has allowed ends with it: that is how a client
// that forgets to renew finds out.
package claims
