package check

import (
	"context"
	"errors"
	"fmt"

	"batchterminator/cmd/internal/app"
	"batchterminator/worker"
)

// checkServiceBus makes the checks of the entity and returns its settings.
func checkServiceBus(g *group, s app.Settings, services app.Services) entity {
	b, name := services.ServiceBus, services.ServiceBus.Entity()
	g.check("servicebus-token", "", func(ctx context.Context) verdict {
		if b.ConnectionString != "" {
			return pass("not needed: the connection string has a key")
		}
		return checkToken(ctx, b.Credential, worker.TokenScope)
	})
	g.check("servicebus-network", b.Host(), func(ctx context.Context) verdict {
		version, err := b.Reach(ctx)
		switch {
		case err != nil:
			return trouble("no connection", err, "")
		case version == "":
			return pass("reached, without TLS")
		}
		return pass("reached over %s, the certificate is good", version)
	})
	missing := false
	g.check("servicebus-receive", name, func(ctx context.Context) verdict {
		waiting, err := b.TryReceive(ctx)
		missing = worker.TroubleOf(err) == worker.TroubleNotFound
		switch {
		case err != nil:
			return trouble("may not receive, or cannot", err, "Azure Service Bus Data Receiver")
		case waiting:
			return pass("may receive; messages wait")
		}
		return pass("may receive; no message waits")
	}, "servicebus-token", "servicebus-network")
	if missing {
		g.skip(name, "there is no such entity", append([]string{"servicebus-send", "scaler", "entity"}, entityChecks()...)...)
		return entity{}
	}
	g.check("servicebus-send", name, func(ctx context.Context) verdict { return checkSend(ctx, b, s) }, "servicebus-token", "servicebus-network")
	return checkAdministration(g, s, b)
}

// checkAdministration makes the checks that read what a scaler reads, and returns the entity's settings.
func checkAdministration(g *group, s app.Settings, b worker.ServiceBus) (e entity) {
	name, readable := b.Entity(), false
	g.check("scaler", name, func(ctx context.Context) verdict {
		counts, err := b.ReadCounts(ctx)
		if readable = err == nil; !readable {
			return unread(err)
		}
		return pass("%d active, %d scheduled, %d dead-lettered; read as this process, while KEDA reads with the identity of its scale rule", counts.Active, counts.Scheduled, counts.DeadLettered)
	}, "servicebus-token", "servicebus-network") // an emulator's administration is on a port of its own, where another may answer
	if !readable {
		g.skip(name, "scaler did not pass, and the settings are read the same way", append([]string{"entity"}, entityChecks()...)...)
		return e
	}
	g.check("entity", name, func(ctx context.Context) verdict {
		var at worker.ServerTime
		var err error
		if e.EntitySettings, at, err = b.ReadEntity(ctx); err != nil {
			return unread(err)
		}
		e.read = true
		g.clocks = append(g.clocks, clock{source: "Service Bus", date: at.Date, sent: at.Sent, received: at.Received})
		return judgeEntity(e.EntitySettings)
	})
	checkEntity(g, name, s, e)
	return e
}

func checkSend(ctx context.Context, b worker.ServiceBus, s app.Settings) verdict {
	cost := fmt.Sprintf("a request that has to come back is abandoned, which burns one of %d deliveries each time", s.Worker.MaxDeliveryCount)
	err := b.TrySend(ctx)
	switch {
	case errors.Is(err, worker.ErrNoCopies):
		return warn("prefer a queue", "%v: %s", err, cost)
	case err == nil:
		return pass("may send, so that requests can be brought back as scheduled copies")
	}
	v := trouble("may not send, or cannot", err, "Azure Service Bus Data Sender")
	switch worker.TroubleOf(err) { // those that the worker lives with
	case worker.TroubleUnauthorized, worker.TroubleDisabled, worker.TroubleFull:
		v.status = Warn
	}
	v.detail += "; " + cost
	return v
}

// trouble judges an error of Service Bus; role is the one that gives the right.
func trouble(what string, err error, role string) verdict {
	action, status := "look at the error; a worker would wait for it to pass", Fail
	switch worker.TroubleOf(err) {
	case worker.TroubleUnauthorized:
		action = "grant the identity the role " + role + " on the queue, and wait some minutes; with a key, its rule needs the right"
	case worker.TroubleNotFound:
		action = "create the queue, or name the right one with --queue (SERVICEBUS_QUEUE)"
	case worker.TroubleDisabled:
		action = "set the queue's status to Active"
	case worker.TroubleNotAllowed:
		action = "use a queue that neither requires sessions nor forwards its messages"
	case worker.TroubleFull:
		action = "make room: the queue is full, or the namespace is at its quota"
	case worker.TroubleThrottled:
		action, status = "nothing, if it passes; else give the namespace more units", Warn
	case worker.TroubleUntrusted:
		action = "let the TLS of this host through untouched, or give the image the certificate authorities that it is signed by"
	case worker.TroubleUnknownHost:
		action = "correct --namespace (SERVICEBUS_NAMESPACE); with a private endpoint, link its DNS zone to this network"
	case worker.TroubleUnreachable, worker.TroubleNoAnswer:
		action = "let this network out to the host: port 5671 for messages and 443 for administration; for an emulator, start it"
	}
	return verdict{status, fmt.Sprintf("%s: %v", what, err), action}
}

// unread judges what the administration API did not tell. The worker itself works without it.
func unread(err error) verdict {
	v := trouble("the counts that KEDA scales by cannot be read, so that nothing would start a replica", err, "Azure Service Bus Data Receiver, or Data Owner where that is not enough,")
	v.status = Warn
	return v
}
