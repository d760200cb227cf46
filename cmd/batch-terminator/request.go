package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"batchterminator/batchapi"
	"batchterminator/cmd/internal/console"
	"batchterminator/handler"
	"batchterminator/worker"
)

// maxMessageID is Service Bus's bound.
const maxMessageID = 128

// requestBody has its members in the order of the message contract.
type requestBody struct {
	JobID             string `json:"jobId"`
	TaskID            string `json:"taskId"`
	Endpoint          string `json:"endpoint,omitempty"`
	TimeOut           int64  `json:"timeOut,omitempty"`
	IfMatch           string `json:"ifMatch,omitempty"`
	IfNoneMatch       string `json:"ifNoneMatch,omitempty"`
	IfModifiedSince   string `json:"ifModifiedSince,omitempty"`
	IfUnmodifiedSince string `json:"ifUnmodifiedSince,omitempty"`
	CreatedBefore     string `json:"createdBefore,omitempty"`
	ClientRequestID   string `json:"clientRequestId,omitempty"`
	Reason            string `json:"reason,omitempty"`
	RequestedBy       string `json:"requestedBy,omitempty"`
}

// body renders the flags as a message and lets the worker's own decoder judge it.
func (f requestFlags) body() ([]byte, error) {
	switch {
	case f.Timeout%time.Second != 0 || f.Timeout < 0:
		return nil, fmt.Errorf("--timeout: %v; want whole seconds from 1s to 30s", f.Timeout)
	case f.Task == "":
		return nil, errors.New("--task: needed beside --job")
	case len(f.MessageID) > maxMessageID:
		return nil, fmt.Errorf("--message-id: %d characters; at most %d", len(f.MessageID), maxMessageID)
	}
	// Not json.Marshal: it would escape '<', '>' and '&', which an ETag may hold, to no use.
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(requestBody{
		JobID: f.Job, TaskID: f.Task, Endpoint: f.Endpoint, TimeOut: int64(f.Timeout / time.Second),
		IfMatch: f.IfMatch, IfNoneMatch: f.IfNoneMatch, IfModifiedSince: f.IfModifiedSince, IfUnmodifiedSince: f.IfUnmodifiedSince,
		CreatedBefore: f.CreatedBefore, ClientRequestID: f.ClientRequestID, Reason: f.Reason, RequestedBy: f.RequestedBy,
	})
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	body := bytes.TrimSpace(b.Bytes())
	if err := checkRequest(body); err != nil {
		return nil, err
	}
	return body, nil
}

// checkRequest judges a request as the worker does, but for the allow-list, which is the worker's.
func checkRequest(body []byte) error {
	request, err := handler.DecodeRequest(body)
	if err != nil || request.Endpoint == "" {
		return err
	}
	if err := batchapi.CheckEndpoint(request.Endpoint); err != nil {
		return fmt.Errorf("%w; want https://<account>.<region>.batch.azure.com", err)
	}
	return nil
}

// read takes requests from standard input until its end, or until ctx ends.
func (c sendCommand) read(ctx context.Context, std streams) ([]worker.Outgoing, error) {
	if console.IsTerminal(std.in) {
		_, _ = fmt.Fprintln(std.err, "reading requests from the terminal, one JSON object a line; end with Ctrl-D")
	}
	type result struct {
		bodies [][]byte
		err    error
	}
	// A read from a terminal or a pipe cannot be interrupted. Its goroutine is left behind at an interrupt: the process is
	// about to end.
	done := make(chan result, 1)
	go func() {
		bodies, err := readRequests(std.in)
		done <- result{bodies, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		return nil, errors.New("interrupted before the end of the input; nothing was sent")
	}
	if r.err != nil {
		return nil, r.err
	}
	messages := make([]worker.Outgoing, len(r.bodies))
	for i, body := range r.bodies {
		messages[i] = worker.Outgoing{Body: body, TimeToLive: deref(c.TTL)}
	}
	return messages, nil
}

// readRequests returns the requests of all lines, or an error that names the first line that is not one.
func readRequests(r io.Reader) ([][]byte, error) {
	lines := bufio.NewScanner(r)
	// One byte more than a body may have, so that the decoder is the one to say what is too long; and the end of the line.
	lines.Buffer(nil, handler.MaxBody+3)
	var bodies [][]byte
	n := 0
	for lines.Scan() {
		n++
		body := bytes.TrimSpace(lines.Bytes())
		if len(body) == 0 {
			continue
		}
		if err := checkRequest(body); err != nil {
			return nil, usageError{fmt.Errorf("line %d: %w; nothing was sent", n, err)}
		}
		bodies = append(bodies, bytes.Clone(body))
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, usageError{fmt.Errorf("line %d: more than %d bytes; nothing was sent", n+1, handler.MaxBody)}
	case err != nil:
		return nil, fmt.Errorf("standard input: %w; nothing was sent", err)
	case len(bodies) == 0:
		return nil, usageError{errors.New("standard input: no requests; give --job and --task, or one JSON object a line")}
	}
	return bodies, nil
}
