package app

import (
	"errors"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"batchterminator/batchapi"
	"batchterminator/cmd/internal/tracing"
	"batchterminator/metrics"
)

// counter is the pipeline step that counts and times every Batch call. batchapi reads the whole answer below it, so the
// time covers the body too.
type counter struct {
	endpoint string
	metrics  *metrics.Metrics
	traced   bool
}

// Do implements [policy.Policy].
func (c counter) Do(req *policy.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := req.Next()
	if _, unsent := errors.AsType[*batchapi.CredentialError](err); unsent {
		return resp, err // no call was made
	}
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	traceID := ""
	if c.traced {
		traceID = tracing.ID(req.Raw().Context())
	}
	c.metrics.Request(c.endpoint, status, time.Since(start), traceID)
	return resp, err
}
