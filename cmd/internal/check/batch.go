package check

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"batchterminator/batchapi"
	"batchterminator/handler"
)

// nowhere is a task that does not exist: nobody can have guessed its ids, or its ETag.
type nowhere struct{ job, task, etag string }

func newNowhere() nowhere {
	return nowhere{job: "batch-terminator-check-" + random(), task: "batch-terminator-check-" + random(), etag: "0x" + strings.ToUpper(random())}
}

func random() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}

func checkBatch(g *group, client *batchapi.Client, credential azcore.TokenCredential) {
	target, never := client.Endpoint(), newNowhere()
	simulated := client.Scope() == ""
	g.check("batch-token", target, func(ctx context.Context) verdict {
		if simulated {
			return pass("not needed: a simulator on this machine")
		}
		return checkToken(ctx, credential, client.Scope())
	})
	g.check("batch-network", target, func(ctx context.Context) verdict { return checkReach(ctx, g, client, never) })
	exists := false
	g.check("batch-read", target, func(ctx context.Context) verdict {
		_, err := client.GetTask(ctx, never.job, never.task, nil)
		exists = err == nil
		switch {
		case exists && simulated:
			return pass("may read; a simulator that makes up the tasks that it is asked for")
		case exists:
			return fail("correct --batch-endpoint (BATCH_ENDPOINT)", "a task that cannot exist was found: this is not Batch")
		}
		return judgeAnswer("may read tasks", err)
	}, "batch-token", "batch-network")
	g.check("batch-terminate", target, func(ctx context.Context) verdict {
		_, err := client.TerminateTask(ctx, never.job, never.task, &batchapi.TerminateTaskOptions{IfMatch: never.etag})
		if err == nil {
			return fail("correct --batch-endpoint (BATCH_ENDPOINT)", "a task that cannot exist was terminated: this is not Batch")
		}
		return judgeAnswer("may terminate tasks; asked for one that cannot exist", err)
	}, "batch-token", "batch-network", "batch-read")
}

func checkReach(ctx context.Context, g *group, client *batchapi.Client, never nowhere) verdict {
	r, err := client.Reach(ctx, never.job, never.task)
	if err != nil {
		return judgeAnswer("", err)
	}
	g.clocks = append(g.clocks, clock{source: "Batch", date: r.ServerDate, sent: r.Sent, received: r.Received})
	over := "without TLS"
	if r.TLS != "" {
		over = "over " + r.TLS + ", the certificate is good"
	}
	refused := r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden
	if !refused && r.Code == "" && r.StatusCode < http.StatusInternalServerError && r.StatusCode != http.StatusTooManyRequests {
		return fail("correct --batch-endpoint (BATCH_ENDPOINT), or have the proxy in between let calls through", "something other than Batch answered, with %d", r.StatusCode)
	}
	return pass("reached %s", over)
}

// judgeAnswer says what an error of Batch tells about the right to call it, as a worker would understand it.
func judgeAnswer(proven string, err error) verdict {
	outcome, why, detail := handler.Meaning(err)
	_, answered := errors.AsType[*batchapi.Error](err)
	if answered { // what happens without an answer speaks for itself
		detail += ": " + why
	}
	switch outcome {
	case handler.AlreadyGone, handler.ConditionNotMet:
		return pass("%s", proven)
	case handler.AuthFailed:
		return fail("grant the identity the role Azure Batch Job Submitter on the account, and wait some minutes; if it has it, look at the account's network rules and at the clock", "%s", detail)
	case handler.AccountDisabled:
		return fail("enable the account, or ask Azure support", "%s", detail)
	case handler.WrongEndpoint:
		return fail("correct --batch-endpoint (BATCH_ENDPOINT), which must lead to the account itself; with a private endpoint, link its DNS zone to this network", "%s", detail)
	case handler.WorkerMisconfigured:
		return fail("correct --batch-api-version (BATCH_API_VERSION), or leave it out", "%s", detail)
	case handler.Network, handler.TimedOut:
		if !answered {
			return fail("let this network out to the account, port 443; for a simulator, start it", "no connection: %s", detail)
		}
	}
	return warn("try again later; this says nothing about rights", "%s", detail)
}
