package broker

import (
	"errors"
	"fmt"
)

// The refusals a caller can act on. They arrive wrapped; compare with errors.Is.
var (
	// ErrEntityNotFound means that no entity has the path.
	ErrEntityNotFound = errors.New("entity not found")
	// ErrEntityExists means that the name is taken.
	ErrEntityExists = errors.New("entity exists")
	// ErrNotImplemented means that Service Bus can do this and this package does not emulate it.
	ErrNotImplemented = errors.New("not implemented")
	// ErrLockLost means that the lock token is unknown: expired, settled before, or never given out.
	ErrLockLost = errors.New("message lock lost")
	// ErrMessageNotFound means that no message with the sequence number is in the state the operation needs.
	ErrMessageNotFound = errors.New("message not found")
	// ErrTooLarge means that a message is larger than the entity allows.
	ErrTooLarge = errors.New("message too large")
	// ErrOutOfRange means that an argument is longer than the entity takes.
	ErrOutOfRange = errors.New("argument out of range")
	// ErrNotAllowed means that the entity never does this, like accepting a message into a dead-letter sub-queue.
	ErrNotAllowed = errors.New("operation not allowed")
	// ErrSessionRequired means that an entity that requires sessions was to be received from outside of one.
	ErrSessionRequired = errors.New("session required")
	// ErrNoSessionID means that a message without a session id was sent to an entity that requires sessions.
	ErrNoSessionID = errors.New("the session id is null, and the entity takes only messages that belong to a session")
	// ErrNoSessions means that a session was asked for where there are none.
	ErrNoSessions = errors.New("the entity does not require sessions")
	// ErrSessionLocked means that somebody else holds the session.
	ErrSessionLocked = errors.New("session locked")
	// ErrSessionLockLost means that the session is no longer held: expired, released, or never accepted.
	ErrSessionLockLost = errors.New("session lock lost")
	// ErrNoSessionCame means that no session became available within the time that somebody waited for the next one.
	ErrNoSessionCame = errors.New("no session became available in time")
	// ErrInvalid means that a setting or a name is outside of what Service Bus allows.
	ErrInvalid = errors.New("invalid")
	// ErrEntityDisabled means that the entity's status forbids the operation.
	ErrEntityDisabled = errors.New("entity disabled")
	// ErrEntityUpdated is why links are detached when a setting changes; nothing returns it.
	ErrEntityUpdated = errors.New("entity updated")
	// ErrClosed means that the namespace was closed.
	ErrClosed = errors.New("namespace closed")
)

// ImmutableError is an update of a property that is fixed at creation.
type ImmutableError struct {
	Kind     Kind
	Property string
}

// Error says it in Service Bus's words, which clients compare.
func (e *ImmutableError) Error() string {
	if e.Property == "EnablePartitioning" {
		return fmt.Sprintf("Partitioning cannot be changed for %v. ", e.Kind)
	}
	return fmt.Sprintf("The value for the %s property of an existing %v cannot be changed", e.Property, e.Kind)
}
