package servicebustest

import (
	"net"
	"time"

	"batchterminator/worker/servicebustest/internal/transport"
)

// Fault is what happens instead of the usual. The package comment says what a client sees of each.
type Fault struct {
	action transport.Action
	// end says how long the locks of the operation's messages live on; nil: as usual.
	end *time.Duration
	// wrap changes a connection before it is served: at Connect only.
	wrap func(net.Conn) net.Conn
}

// Delay holds the one operation up and then lets it pass; the connection goes on meanwhile.
func Delay(d time.Duration) Fault { return Fault{action: transport.Action{Delay: d}} }

// Fail answers with an AMQP error in the operation's own way: a refused attach, a rejected settlement or message, a
// reply with a failed status.
func Fail(condition, description string) Fault {
	return fault(transport.Fail, condition, description)
}

// ServerBusy is Fail in the words of a namespace that is being throttled.
func ServerBusy() Fault {
	return Fail("com.microsoft:server-busy", "The request was terminated because the namespace is being throttled. "+
		"Error code : 50009. Please wait 2 seconds and try again. To know more visit https://aka.ms/sbResourceMgrExceptions.")
}

// DetachLink detaches the operation's link with an AMQP error.
func DetachLink(condition, description string) Fault {
	return fault(transport.DetachLink, condition, description)
}

// EndSession ends the operation's session with an AMQP error.
func EndSession(condition, description string) Fault {
	return fault(transport.EndSession, condition, description)
}

// CloseConnection closes the connection with an AMQP error.
func CloseConnection(condition, description string) Fault {
	return fault(transport.CloseConn, condition, description)
}

// DropConnection cuts the connection without a word.
func DropConnection() Fault { return Fault{action: transport.Action{Kind: transport.DropConn}} }

// ResetConnection is DropConnection with an RST, where the connection is TCP.
func ResetConnection() Fault { return Fault{action: transport.Action{Kind: transport.ResetConn}} }

// MuteConnection makes the whole connection a half-open one from here on, as MuteConnections does.
func MuteConnection() Fault { return Fault{action: transport.Action{Kind: transport.MuteConn}} }

// MuteLink performs the operation, and from here on the link sends its receiver nothing, as MuteLinks does. What it
// has locked by then stays locked. Meant for Attach, AttachNode, Flow and Deliver.
func MuteLink() Fault { return Fault{action: transport.Action{Kind: transport.MuteLink}} }

// Swallow does nothing and never answers. A delivery that is swallowed is locked and lost, and its credit goes to the
// next message; for a link that sends nothing any more, see MuteLink.
func Swallow() Fault { return Fault{action: transport.Action{Kind: transport.Swallow}} }

// Duplicate has a Send stored twice, as after a retry by the sender, or a Deliver made twice under one lock.
func Duplicate() Fault { return Fault{action: transport.Action{Kind: transport.Duplicate}} }

// ExpireLock performs the operation, and d from now the locks of its messages end, whatever the client was told and
// whatever it renews. Meant for Deliver, Settle and RenewLock.
func ExpireLock(d time.Duration) Fault { return Fault{end: &d} }

// SlowTransfer writes a Deliver in about parts frames, with a pause between two of them.
func SlowTransfer(parts int, pause time.Duration) Fault {
	return Fault{action: transport.Action{Parts: max(parts, 1), Pause: pause}}
}

// Trickle has all that the server writes on a connection arrive in pieces of size bytes, with a pause after each. At
// Connect only.
func Trickle(size int, pause time.Duration) Fault {
	return Fault{wrap: func(nc net.Conn) net.Conn { return newTrickle(nc, max(size, 1), pause) }}
}

// Rewrite changes the encoded message of a Send, Deliver or Reply. The function returns new bytes; it runs while a
// connection waits and must not call the server. Alter does the usual things without counting bytes.
func Rewrite(change func(message []byte) []byte) Fault {
	return Fault{action: transport.Action{Rewrite: change}}
}

// After puts a delay before the fault.
func (f Fault) After(d time.Duration) Fault {
	f.action.Delay = d
	return f
}

func fault(kind transport.ActionKind, condition, description string) Fault {
	return Fault{action: transport.Action{Kind: kind, Err: &transport.Error{Condition: condition, Description: description}}}
}
