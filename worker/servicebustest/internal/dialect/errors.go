package dialect

import (
	"errors"

	"batchterminator/worker/servicebustest/internal/broker"
	"batchterminator/worker/servicebustest/internal/transport"
)

// The conditions this emulation answers with.
const (
	NotFound        = "amqp:not-found"
	NotAllowed      = "amqp:not-allowed"
	NotImplemented  = "amqp:not-implemented"
	InternalError   = "amqp:internal-error"
	SizeExceeded    = "amqp:link:message-size-exceeded"
	Unauthorized    = "amqp:unauthorized-access"
	LockLost        = "com.microsoft:message-lock-lost"
	MessageNotFound = "com.microsoft:message-not-found"
	OutOfRange      = "com.microsoft:argument-out-of-range"
	ArgumentError   = "com.microsoft:argument-error"
	Timeout         = "com.microsoft:timeout"

	SessionLockLost       = "com.microsoft:session-lock-lost"
	SessionCannotBeLocked = "com.microsoft:session-cannot-be-locked"
	EntityExists          = "com.microsoft:entity-already-exists"
	EntityDisabled        = "com.microsoft:entity-disabled"
	DetachForced          = "amqp:link:detach-forced"
)

// lockLostText is matched by clients and by the tests of the Go SDK.
const lockLostText = "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue. For more information please see https://aka.ms/ServiceBusExceptions."

// sessionRequiredText is matched by clients and by the tests of the Go SDK.
const sessionRequiredText = "It is not possible for an entity that requires sessions to create a non-sessionful message receiver."

// sessionLockLostText has what is known; the broker's own words would tell a receiver nothing more.
const sessionLockLostText = "The session lock was lost: it expired, or the receiver that held it was closed. Accept the session again."

// Error says err in Service Bus's words; nil stays nil.
func Error(err error) *transport.Error {
	var spoken *transport.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &spoken):
		return spoken
	case errors.Is(err, broker.ErrLockLost):
		return &transport.Error{Condition: LockLost, Description: lockLostText}
	case errors.Is(err, broker.ErrMessageNotFound):
		return &transport.Error{Condition: MessageNotFound, Description: err.Error()}
	case errors.Is(err, broker.ErrEntityNotFound):
		return &transport.Error{Condition: NotFound, Description: err.Error()}
	case errors.Is(err, broker.ErrEntityExists):
		return &transport.Error{Condition: EntityExists, Description: err.Error()}
	case errors.Is(err, broker.ErrEntityDisabled):
		return &transport.Error{Condition: EntityDisabled, Description: err.Error()}
	case errors.Is(err, broker.ErrEntityUpdated):
		return &transport.Error{Condition: DetachForced, Description: err.Error()}
	case errors.Is(err, broker.ErrInvalid):
		return &transport.Error{Condition: ArgumentError, Description: err.Error()}
	case errors.Is(err, broker.ErrTooLarge):
		return &transport.Error{Condition: SizeExceeded, Description: err.Error()}
	case errors.Is(err, broker.ErrSessionLockLost):
		return &transport.Error{Condition: SessionLockLost, Description: sessionLockLostText}
	case errors.Is(err, broker.ErrNoSessionCame):
		return &transport.Error{Condition: Timeout, Description: err.Error()}
	case errors.Is(err, broker.ErrSessionRequired):
		return &transport.Error{Condition: NotAllowed, Description: sessionRequiredText}
	case errors.Is(err, broker.ErrNoSessionID), errors.Is(err, broker.ErrNoSessions):
		return &transport.Error{Condition: NotAllowed, Description: err.Error()}
	case errors.Is(err, broker.ErrOutOfRange):
		return &transport.Error{Condition: OutOfRange, Description: err.Error()}
	case errors.Is(err, broker.ErrNotAllowed):
		return &transport.Error{Condition: NotAllowed, Description: err.Error()}
	case errors.Is(err, broker.ErrNotImplemented):
		return &transport.Error{Condition: NotImplemented, Description: err.Error()}
	}
	return &transport.Error{Condition: InternalError, Description: err.Error()}
}

// EntityNotFound is the text from which the JavaScript SDK tells a missing entity from other failures.
func EntityNotFound(address string) *transport.Error {
	return &transport.Error{
		Condition: NotFound,
		Description: "The messaging entity '" + address + "' could not be found. " +
			"To know more visit https://aka.ms/sbResourceMgrExceptions.",
	}
}

// SessionLocked is the text for a session that somebody else holds.
func SessionLocked(id string) *transport.Error {
	return &transport.Error{
		Condition:   SessionCannotBeLocked,
		Description: "The requested session '" + id + "' cannot be accepted. It may be locked by another receiver.",
	}
}

// Status is the status code of a $management reply that fails with the condition.
func Status(condition string) int32 {
	switch condition {
	case LockLost, SessionLockLost:
		return 410
	case MessageNotFound, NotFound:
		return 404
	case ArgumentError, OutOfRange, NotAllowed:
		return 400
	case EntityExists:
		return 409
	case EntityDisabled:
		return 403
	case SizeExceeded:
		return 413
	case Unauthorized:
		return 401
	case Timeout:
		return 408
	case NotImplemented:
		return 501
	}
	return 500
}
