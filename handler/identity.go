package handler

import (
	"crypto/sha1"
	"strings"

	"github.com/google/uuid"
)

// requestNamespace is the name space of derived ids (RFC 9562 §5.5). Changing it breaks promise P3 for every request that
// is in a queue at the time.
var requestNamespace = uuid.MustParse("6f0b7f53-3f3c-4f0e-9f0c-5d0a1f5b7a11")

// deriveRequestID returns the client-request-id of a request that names none. It depends only on what all deliveries,
// replicas and restarts agree about: the account's host, the ids, and the identity of the original message. Job and
// task ids are folded because Batch compares them without case.
func deriveRequestID(host, jobID, taskID, identity string) string {
	var short [512]byte // on the stack, as most names are
	name := append(short[:0], requestNamespace[:]...)
	for _, part := range [...]string{strings.ToLower(host), strings.ToLower(jobID), strings.ToLower(taskID)} {
		name = append(append(name, part...), '\n')
	}
	// uuid.NewSHA1 without its allocations: this runs for every request (RFC 9562 §5.5).
	sum := sha1.Sum(append(name, identity...))
	id := uuid.UUID(sum[:len(uuid.UUID{})])
	id[6] = id[6]&0x0f | 5<<4
	id[8] = id[8]&0x3f | 0x80
	return id.String()
}
