package batchapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// TerminateTaskOptions are the optional parameters of Terminate Task. The legal
// pairs of conditions are IfMatch with IfUnmodifiedSince and IfNoneMatch with
// IfModifiedSince; the service refuses every other pair.
type TerminateTaskOptions struct {
	// TimeOut limits the service's work on the request: whole seconds, 1 s to
	// 30 s. Zero leaves the service's default, 30 s.
	TimeOut time.Duration

	// IfMatch and IfNoneMatch are ETags, sent byte for byte: Batch's own are
	// unquoted, so nothing is added. Visible ASCII, at most 256 bytes.
	IfMatch, IfNoneMatch string

	// IfModifiedSince and IfUnmodifiedSince are sent in GMT, to the second.
	IfModifiedSince, IfUnmodifiedSince time.Time

	// ClientRequestID is a GUID without decoration that names the logical
	// request; all its attempts carry the same one. Default: a random one.
	ClientRequestID string

	// ReturnClientRequestID asks the service to echo it.
	ReturnClientRequestID bool
}

// TerminateTaskResponse is what a successful answer's headers say. Any of them
// may be absent.
type TerminateTaskResponse struct {
	// StatusCode is 204 by the contract; another 2xx means that the contract
	// has drifted. It is believed if it names a request id and its body, if it
	// has one, is JSON, read to its end.
	StatusCode int

	// ClientRequestID is the service's echo, or what was sent where it gave none.
	ClientRequestID string
	RequestID       string
	DataServiceID   string
	ETag            string
	LastModified    time.Time
}

// GetTaskOptions are the optional parameters of Get Task.
type GetTaskOptions struct {
	TimeOut               time.Duration
	ClientRequestID       string
	ReturnClientRequestID bool
}

// TaskState is a state the service reports. Compare with the constants by
// equality; states that are not known here pass through unchanged.
type TaskState string

// The states of API version 2025-06-01.
const (
	TaskActive    TaskState = "active"
	TaskPreparing TaskState = "preparing"
	TaskRunning   TaskState = "running"
	TaskCompleted TaskState = "completed"
)

// Task is the part of a task that decisions need.
type Task struct {
	ID           string
	State        TaskState
	CreationTime time.Time
	ETag         string
}

// TerminateTask asks the service, once, to terminate the task. Nil options mean
// a random request id, echoed.
func (c *Client) TerminateTask(ctx context.Context, jobID, taskID string, options *TerminateTaskOptions) (TerminateTaskResponse, error) {
	if options == nil {
		options = &TerminateTaskOptions{ReturnClientRequestID: true}
	}
	const operation = "terminate task"
	answer, err := c.do(ctx, call{
		operation: operation, span: "Client.TerminateTask",
		method: http.MethodPost, jobID: jobID, taskID: taskID, action: "/terminate",
		options: options,
	})
	if err != nil {
		return TerminateTaskResponse{}, err
	}
	if doubt := answer.doubt(); doubt != nil {
		return TerminateTaskResponse{}, answer.asError(operation, doubt)
	}
	return TerminateTaskResponse{
		StatusCode:      answer.status,
		ClientRequestID: answer.clientRequestID,
		RequestID:       answer.requestID(),
		DataServiceID:   answer.header.Get(headerDataServiceID),
		ETag:            answer.header.Get("ETag"),
		LastModified:    httpTime(answer.header.Get("Last-Modified")),
	}, nil
}

// GetTask reads the task's state and identity, once.
func (c *Client) GetTask(ctx context.Context, jobID, taskID string, options *GetTaskOptions) (Task, error) {
	if options == nil {
		options = &GetTaskOptions{ReturnClientRequestID: true}
	}
	const operation = "get task"
	answer, err := c.do(ctx, call{
		operation: operation, span: "Client.GetTask",
		method: http.MethodGet, jobID: jobID, taskID: taskID, selects: "id,state,creationTime,eTag",
		options: &TerminateTaskOptions{
			TimeOut:               options.TimeOut,
			ClientRequestID:       options.ClientRequestID,
			ReturnClientRequestID: options.ReturnClientRequestID,
		},
	})
	if err != nil {
		return Task{}, err
	}
	task, err := decodeTask(answer, taskID)
	if err != nil {
		return Task{}, answer.asError(operation, err)
	}
	return task, nil
}

// decodeTask refuses a success that does not describe the task asked for: a
// decision to terminate will rest on it.
func decodeTask(a *answer, taskID string) (Task, error) {
	if a.bodyErr != nil {
		return Task{}, a.bodyErr
	}
	var body struct {
		ID           string    `json:"id"`
		State        TaskState `json:"state"`
		CreationTime time.Time `json:"creationTime"`
		ETag         string    `json:"eTag"`
	}
	switch err := json.Unmarshal(trimBOM(a.body), &body); {
	case err != nil:
		return Task{}, errors.New("body is not a task")
	case !strings.EqualFold(body.ID, taskID):
		return Task{}, errors.New("body describes another task")
	case body.State == "":
		return Task{}, errors.New("body has no state")
	}
	return Task(body), nil
}
