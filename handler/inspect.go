package handler

// Looking at a request without carrying it out: for people who have to decide about dead letters.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"batchterminator/batchapi"
)

// Inspection is what a look at a request's task found.
type Inspection struct {
	// Open: the task may still run, so the request has something to do. Ended: it has not, and would end as Result.Outcome.
	// Neither: that is not known, because of Result.Outcome.
	Open, Ended bool
	// Task is what Batch said of it; zero unless it answered.
	Task   batchapi.Task
	Result Result
}

// Inspect reads the task of a request and terminates nothing. It tries again as Handle does, with the same bounds.
func (h *Handler) Inspect(ctx context.Context, m Message) Inspection {
	request, refusal := h.decode(m)
	if refusal != nil {
		return Inspection{Result: *refusal}
	}
	c := &call{account: h.config.Accounts[request.Endpoint], gate: open{}, request: request}
	c.result.Request, c.result.ClientRequestID = request, request.clientID(m.RequestIdentity)
	for pace := h.config.Retry.pace(); ; {
		i, again := c.inspect(ctx)
		pace.tries++
		pace.floor = i.Result.RetryAfter
		wait := pace.NextBackOff()
		if !again || wait < 0 {
			return i
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return i
		}
	}
}

// inspect makes one try.
func (c *call) inspect(delivery context.Context) (i Inspection, again bool) {
	ctx, cancel := context.WithTimeout(delivery, serverTimeOut+answerMargin)
	defer cancel()
	c.result.Attempts++
	task, err := c.read(ctx)
	i.Task = task
	switch {
	case gone(err):
		i.Ended, c.result.Outcome = true, AlreadyGone
	case err != nil:
		v := c.judge(delivery, err)
		c.result.Outcome, c.result.Err, again = v.Outcome, err, v.retry
	case !c.request.CreatedBefore.IsZero() && !task.CreationTime.IsZero() && !task.CreationTime.Before(c.request.CreatedBefore):
		i.Ended, c.result.Outcome = true, SkippedNewerIncarnation
	case task.State == batchapi.TaskCompleted:
		i.Ended, c.result.Outcome = true, AlreadyCompleted
	default:
		i.Open = true
	}
	i.Result = c.result
	return i, again
}

// ReadRequest decodes the request of a message, whatever endpoint it names.
func ReadRequest(m Message) (Request, error) {
	if m.Body == nil {
		return Request{}, errors.New("body: of a kind that holds no bytes")
	}
	body, err := unwrap(m)
	if err != nil {
		return Request{}, err
	}
	return DecodeRequest(body)
}

// ClientID returns the client-request-id that every call for the request carries, by its identity and the endpoint that
// serves requests which name none; "" when that is needed and not given.
func (r Request) ClientID(identity, defaultEndpoint string) string {
	r.Endpoint = cmp.Or(r.Endpoint, defaultEndpoint)
	u, err := url.Parse(r.Endpoint)
	if r.ClientRequestID == "" && (err != nil || u.Host == "") {
		return ""
	}
	if r.ClientRequestID == "" {
		r.Endpoint = strings.ToLower(u.Scheme + "://" + u.Host)
	}
	return r.clientID(identity)
}

// clientID is ClientID of a request whose endpoint is canonical.
func (r Request) clientID(identity string) string {
	if r.ClientRequestID != "" {
		return r.ClientRequestID
	}
	return deriveRequestID(host(r.Endpoint), r.JobID, r.TaskID, identity)
}

// CheckJobID returns an error unless id is one that the jobId of a request may be.
func CheckJobID(id string) error {
	if !batchapi.IsJobID(id) {
		return fmt.Errorf("want 1 to 64 letters, digits, '-' or '_', optionally ':job-<n>', got %s", quoted(id))
	}
	return nil
}

// CheckTaskID returns an error unless id is one that the taskId of a request may be.
func CheckTaskID(id string) error {
	if !batchapi.IsTaskID(id) {
		return fmt.Errorf("want 1 to 64 letters, digits, '-' or '_', got %s", quoted(id))
	}
	return nil
}
