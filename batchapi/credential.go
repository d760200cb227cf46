package batchapi

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// CredentialError is a call that had no token to go with. Nothing was sent to
// Batch.
type CredentialError struct {
	Err error
}

func (e *CredentialError) Error() string { return "acquire token: " + oneLine(redact(e.Err.Error())) }

func (e *CredentialError) Unwrap() error { return e.Err }

// Temporary tells whether the identity service may answer later: it was
// unreachable, slow or overloaded. Everything else, such as an unknown client or
// tenant, or no credential on this machine, stays until someone changes it.
func (e *CredentialError) Temporary() bool {
	if refused, ok := errors.AsType[*azidentity.AuthenticationFailedError](e.Err); ok && refused.RawResponse != nil {
		return passing(refused.RawResponse.StatusCode)
	}
	if answer, ok := errors.AsType[*azcore.ResponseError](e.Err); ok {
		return passing(answer.StatusCode)
	}
	_, network := errors.AsType[net.Error](e.Err)
	return network || errors.Is(e.Err, context.DeadlineExceeded)
}

func passing(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= http.StatusInternalServerError
}
