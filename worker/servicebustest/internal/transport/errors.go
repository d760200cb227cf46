package transport

import (
	"errors"
	"fmt"

	"batchterminator/worker/servicebustest/internal/codec"
	"batchterminator/worker/servicebustest/internal/frames"
)

// Conditions the transport itself uses (part 2 §2.8.15-18; Service Bus for the
// last group).
const (
	condInternal       = "amqp:internal-error"
	condNotAllowed     = "amqp:not-allowed"
	condNotImplemented = "amqp:not-implemented"
	condDecode         = "amqp:decode-error"
	condInvalidField   = "amqp:invalid-field"
	condIllegalState   = "amqp:illegal-state"
	condFrameTooSmall  = "amqp:frame-size-too-small"
	condLimit          = "amqp:resource-limit-exceeded"

	condConnForced   = "amqp:connection:forced"
	condFraming      = "amqp:connection:framing-error"
	condHandleInUse  = "amqp:session:handle-in-use"
	condUnattached   = "amqp:session:unattached-handle"
	condSize         = "amqp:link:message-size-exceeded"
	condTransfers    = "amqp:link:transfer-limit-exceeded"
	condStolen       = "amqp:link:stolen"
	condDetachForced = "amqp:link:detach-forced"

	condLockLost = "com.microsoft:message-lock-lost"
)

// lockLostText is matched by clients and their tests (Service Bus).
const lockLostText = "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue."

// refusef makes an Error.
func refusef(condition, format string, args ...any) *Error {
	return &Error{Condition: condition, Description: fmt.Sprintf(format, args...)}
}

// asError finds the *Error in err, or makes it an internal error.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Condition: condInternal, Description: err.Error()}
}

// orDecode is err if it names a condition; anything else that goes wrong with a frame is that
// it cannot be read.
func orDecode(err error) error {
	if _, ok := errors.AsType[*Error](err); ok || err == nil {
		return err
	}
	return refusef(condDecode, "%v", err)
}

// wire is e as it travels; nil stays nil.
func (e *Error) wire() *frames.Error {
	if e == nil {
		return nil
	}
	return &frames.Error{Condition: codec.Symbol(e.Condition), Description: e.Description, Info: e.Info}
}

// orForced supplies the error of an action that names none.
func orForced(e *Error, condition string) *Error {
	if e != nil {
		return e
	}
	return &Error{Condition: condition, Description: "ended on purpose"}
}
